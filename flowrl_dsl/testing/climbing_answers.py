"""What offline algorithms that climb Q are after, on the one-state problems of :mod:`flowrl_dsl.testing.offline_answers`.

Some are after a law of actions, which is drawn from; others after a single action, and ascend the hill on which they start:
their answers are all local maxima of an objective on the grid of the problem. ::

    problem = Problem("ring", "uneven", 0.3)
    pulled_to(problem, problem.behaviour.draw(2000, seed=0), strength=5.0)
    peaks_by_size(problem, scale=2.5, pull=0.5).nearest(np.array([-0.5, -0.5]))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.components.noise_levels import alpha_of_betas, level_grid
from flowrl_dsl.components.noise_schedules.discrete_vp import vp_betas
from flowrl_dsl.components.noise_schedules.linear import linear_alpha
from flowrl_dsl.components.samplers.ddpm import ddpm
from flowrl_dsl.testing.offline_answers import Problem, best_among

_LEVELS = 64
"""Noise levels of an expectation over them."""
_STEPS = 21
"""Edits that are compared along each component."""
_SUMS = 2000
_AT_ONCE = 1000

# noisy actions


def posterior(problem: Problem, noisy: jax.Array, alpha: jax.Array, sigma: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E[a | a_t] [n, 2] at noisy actions a_t = alpha a + sigma noise [n, 2], a of mu, and log p(a_t) [n] less a constant.

    By two products of matrices, as the Gaussian factors into components.
    """
    line, share = _grid(problem)
    far = -jnp.square(noisy[..., None] - alpha * line) / (2 * sigma**2)
    top = far.max(axis=-1, keepdims=True)
    x, y = jnp.moveaxis(jnp.exp(far - top), 1, 0)
    seen = x @ share
    total = (seen * y).sum(axis=-1)
    mean = jnp.stack([((x * line) @ share * y).sum(axis=-1), (seen * y) @ line], axis=-1) / total[:, None]
    return mean, jnp.log(total) + top.sum(axis=(1, 2))


def _grid(problem: Problem) -> tuple[jax.Array, jax.Array]:
    """The cells along one component [G], and mu [G, G]."""
    side = round(len(problem.share) ** 0.5)
    return jnp.asarray(problem.behaviour.cells[:side, 1], jnp.float32), jnp.asarray(
        problem.share.reshape(side, side), jnp.float32
    )


def flow_of(problem: Problem, noise: np.ndarray, steps: int = 10) -> np.ndarray:
    """The actions [n, 2] that Euler steps along the exact velocity (E[a | a_t] - a_t) / (1 - t) of mu reach from noise."""

    @jax.jit
    def moved(a: jax.Array, t: jax.Array) -> jax.Array:
        mean, _ = posterior(problem, a, t, 1 - t)
        return a + (mean - a) / (1 - t) / steps

    a = jnp.asarray(noise, jnp.float32)
    for step in range(steps):
        a = moved(a, jnp.float32(step / steps))
    return np.clip(np.asarray(a), -1, 1)


def slope_guided(problem: Problem, eta: float, draws: int, seed: int, levels: int = 5) -> np.ndarray:
    """Draws [n, 2] of ddpm with eps(a_t) = E[noise | a_t] - sigma grad Q(a_t) / (2 eta E|Q|), of mu (dac).

    That is the minimum of eta E[mean_A (eps - noise)^2] + E[mean_A (sigma grad Q(a_t) eps)] / E|Q| at each noisy action.
    """
    first, rest = jax.random.split(jax.random.PRNGKey(seed))
    return np.asarray(_guided_sampler(problem, eta, levels)(jax.random.normal(first, (draws, 2)), rest))


@cache
def _guided_sampler(problem: Problem, eta: float, levels: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Actions from noise and a key, compiled once for all seeds."""
    size = float(problem.share @ np.abs(problem.q))
    alpha = partial(alpha_of_betas, levels=levels, betas=vp_betas(levels, 0.1, 10.0))
    slope = jax.grad(lambda a: problem.value(a).sum())

    def eps(a_t: jax.Array, t: jax.Array) -> jax.Array:
        kept = alpha(t)
        sigma = jnp.sqrt(1 - kept**2)
        mean, _ = posterior(problem, a_t, kept, sigma)
        return (a_t - kept * mean) / sigma - sigma * slope(a_t) / (2 * eta * size)

    return jax.jit(lambda prior, key: ddpm(eps, alpha, prior, key, level_grid(levels, levels), 1.0))


# laws of actions


def best_edits(problem: Problem, actions: np.ndarray, scale: float) -> np.ndarray:
    """The best actions [n, 2] within ``scale`` of each component of the given ones, and within [-1, 1] (expo)."""
    line = scale * np.linspace(-1, 1, _STEPS)
    edits = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    parts = [np.clip(part[:, None] + edits, -1, 1) for part in np.split(actions, range(_AT_ONCE, len(actions), _AT_ONCE))]
    return np.concatenate([best_among(problem, part) for part in parts])


def pulled_to(problem: Problem, taught: np.ndarray, strength: float) -> np.ndarray:
    """argmax_a Q(a) - strength |a - b|^2 over the grid, for each b of ``taught`` [n, 2] (fql)."""
    cells = problem.behaviour.cells
    alone = problem.q - strength * np.square(cells).sum(axis=1)
    parts = np.split(taught, range(_AT_ONCE, len(taught), _AT_ONCE))
    return cells[np.concatenate([(alone + 2 * strength * part @ cells.T).argmax(axis=1) for part in parts])]


def resampling_weight(problem: Problem, temperature: float, count: int, seed: int = 0) -> np.ndarray:
    """w [G^2] with mu w the density of one of ``count`` draws of mu, chosen by softmax(Q / temperature) (dpmd).

    w(a) = count E[e(a) / (e(a) + sum of e over the other draws)], e = exp(Q / temperature).
    """
    rng = np.random.default_rng(seed)
    e = np.exp((problem.q - problem.q.max()) / temperature)
    others = e[rng.choice(len(e), (_SUMS, count - 1), p=problem.share)].sum(axis=1)
    weight: np.ndarray = count * np.mean([e / (e + other) for other in others], axis=0)
    return weight


# single actions


@dataclass(frozen=True)
class Peaks:
    """The local maxima [n, 2] of an objective, and for each how many others exceed it."""

    cells: np.ndarray
    above: np.ndarray

    def nearest(self, action: np.ndarray) -> tuple[int, float]:
        """The index of the nearest one, and its distance."""
        far = np.linalg.norm(self.cells - action, axis=1)
        return int(far.argmin()), float(far.min())


def peaks_of(points: np.ndarray, value: np.ndarray, cost: np.ndarray | float = 0.0, size: np.ndarray | float = 1.0) -> Peaks:
    """The cells c of a square grid where value(a) / size(c) - cost(a) is not larger at any of the eight neighbours a.

    ``points`` [G^2, 2] are what the cells stand for, in the order of the rows of the grid.
    """
    side = round(len(value) ** 0.5)
    value, cost, size = (np.broadcast_to(np.asarray(x, np.float64), (side * side,)) for x in (value, cost, size))
    wide = [np.pad(x.reshape(side, side), 1, constant_values=edge) for x, edge in ((value, -np.inf), (cost, 0.0))]
    ahead = [slice(i, i + side) for i in range(3)]
    neighbours = [(wide[0][i, j].ravel(), wide[1][i, j].ravel()) for i in ahead for j in ahead]
    own = value / size - cost
    (found,) = np.nonzero(np.all([v / size - c <= own for v, c in neighbours], axis=0))
    rivals = value[found] / size[found][:, None] - cost[found]
    return Peaks(points[found], (rivals > own[found][:, None]).sum(axis=1))


def peaks_by_size(problem: Problem, scale: float, pull: float) -> Peaks:
    """Of scale Q(a) / |Q(c)| - pull E|a - b|^2, b of mu, at a = c: the divisor is a constant of the gradient (td3_bc).

    The expectation is |a - E b|^2 and a constant.
    """
    cells = problem.behaviour.cells
    far = np.square(cells - problem.share @ cells).sum(axis=-1)
    return peaks_of(cells, scale * problem.q, pull * far, np.abs(problem.q))


def peaks_reached(problem: Problem, bound: float, side: int = 101) -> Peaks:
    """The actions of the noises z within [-bound, bound]^2 where Q(flow(z)) has a local maximum on a grid (dsrl)."""
    line = bound * np.linspace(-1, 1, side)
    reached = flow_of(problem, np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2))
    return peaks_of(reached, problem.q_at(reached))


def over_noise(problem: Problem, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """E[mean_A (E[a | a_t] - a)^2] and E[log p(a_t)] [G^2] over the noise of a_t = alpha a + sigma noise, a each cell.

    Sums over a grid of noisy actions, half a deviation wide; all factors are Gaussians of single components.
    """
    line, share = (np.asarray(x, np.float64) for x in _grid(problem))
    reach = alpha + 5 * sigma
    noisy = np.linspace(-reach, reach, int(np.ceil(4 * reach / sigma)))
    far = -np.square(noisy[:, None] - alpha * line) / (2 * sigma**2)
    top = far.max(axis=1, keepdims=True)
    kernel, weight = np.exp(far - top), np.exp(far)
    weight = weight / weight.sum(axis=0)
    total = kernel @ share @ kernel.T
    mean = [(kernel * line) @ share @ kernel.T / total, kernel @ share @ (kernel * line).T / total]
    square, *first = (weight.T @ x @ weight for x in (mean[0] ** 2 + mean[1] ** 2, *mean))
    error = square - 2 * (line[:, None] * first[0] + line * first[1]) + line[:, None] ** 2 + line**2
    return error.ravel() / 2, (weight.T @ (np.log(total) + top + top.T) @ weight).ravel()


def trust(problem: Problem, data: float = 0.5, spread: float = 0.5) -> np.ndarray:
    """E[mean_A (D(a + sigma noise) - a)^2 / c_out^2] [G^2] of the exact denoiser D of mu: the loss of edm at a (dtql).

    1 / c_out^2 = 1 / sigma^2 + 1 / data^2, and log sigma is logistic around log data.
    """
    u = (np.arange(_LEVELS) + 0.5) / _LEVELS
    return np.mean([(s**-2 + data**-2) * over_noise(problem, 1.0, s)[0] for s in data * (u / (1 - u)) ** spread], axis=0)


def flow_trust(problem: Problem) -> np.ndarray:
    """E[mean_A (E[a | a_t] - a)^2 / (1 - t)^2] [G^2], a_t = (1 - t) noise + t a: the loss of a flow at a (trusted_flow)."""
    times = (np.arange(_LEVELS) + 0.5) / _LEVELS
    return np.mean([over_noise(problem, t, 1 - t)[0] / (1 - t) ** 2 for t in times], axis=0)


def density_cost(problem: Problem, ends: tuple[float, float] = (0.02, 0.98)) -> np.ndarray:
    """-E[sigma^3 / alpha log p_t(alpha a + sigma noise)] [G^2], t uniform: its gradient is E[sigma^2 (eps - noise)] (srpo).

    Of the linear schedule; eps = -sigma grad log p_t, and the noise has the mean 0.
    """
    found = []
    for t in ends[0] + (ends[1] - ends[0]) * (np.arange(_LEVELS) + 0.5) / _LEVELS:
        alpha = float(linear_alpha(t, 0.1, 20.0))
        sigma = (1 - alpha**2) ** 0.5
        found.append(-(sigma**3) / alpha * over_noise(problem, alpha, sigma)[1])
    return np.mean(found, axis=0)


def peaks_with_cost(problem: Problem, weight: float, cost: Callable[[Problem], np.ndarray]) -> Peaks:
    """Of Q(a) - weight cost(a) (dtql, trusted_flow, srpo)."""
    return peaks_of(problem.behaviour.cells, problem.q, weight * cost(problem))
