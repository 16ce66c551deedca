"""Exact solutions of mechanisms for a known Q, without networks, training or replay.

Not every algorithm targets the density or its best action: some ascend noisy gradients, some are restricted to a single
Gaussian.  The limit of each is computed here from its equations, as draws [count, 2] in [-1, 1]^2, so that a policy can be
compared with the solution of its own mechanism.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.components.denoising import time_grid
from flowrl_dsl.components.noise_schedules.cosine import cosine_alpha
from flowrl_dsl.components.samplers.ddpm import ddpm
from flowrl_dsl.testing.known_answers import Answer

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
NOISE = np.stack(np.meshgrid(_NODES, _NODES, indexing="ij"), axis=-1).reshape(-1, 2)
SHARE = np.outer(_WEIGHTS, _WEIGHTS).reshape(-1) / _WEIGHTS.sum() ** 2
"""Gauss-Hermite nodes [256, 2] of a standard normal in two dimensions and their weights, which add up to 1."""


def noisy_slope(shape: str, sharpness: float, count: int, seed: int = 0, steps: int = 20) -> np.ndarray:
    """Draws of ddpm (cosine schedule) whose score at every noise level is the gradient at the noisy action.

    eps(a_t, t) = -sigma_t sharpness grad log p(a_t), the regression target of Q-score matching (arXiv:2312.11752).
    """
    alpha = partial(cosine_alpha, s=0.008)
    slope = jax.grad(lambda a: jnp.sum(known_value(a, shape)))

    def eps(a_t: jax.Array, t: jax.Array) -> jax.Array:
        return -jnp.sqrt(1 - alpha(t) ** 2) * sharpness * slope(a_t)

    start, steps_key = jax.random.split(jax.random.PRNGKey(seed))
    prior = jax.random.normal(start, (count, 2))
    return np.asarray(ddpm(eps, alpha, prior, steps_key, time_grid(0.9946, 1e-3, steps), 1.0))


def blurred_climb(
    shape: str, count: int, seed: int = 0, steps: int = 2, size: float = 1e-4, beta: float = 500
) -> np.ndarray:
    """Ends of annealed Langevin chains on the exactly blurred values E[log p(a + sigma noise)], sigma from 0.1 to 0.001.

    a <- clip(a + size_l / 2 beta g / |g| + sqrt(size_l) noise), size_l = size (sigma_l / 0.001)^2, ``steps`` times at each
    of ten levels: the sampler of an exact noise-conditioned critic (arXiv:2602.07873).
    """

    @jax.jit
    @jax.grad
    def slope(a: jax.Array, sigma: jax.Array) -> jax.Array:
        return jnp.sum(known_value(a[:, None] + sigma * NOISE, shape) @ SHARE)

    rng = np.random.default_rng(seed)
    a = rng.uniform(-1, 1, size=(count, 2))
    for sigma in np.repeat(np.geomspace(0.1, 0.001, 10), steps):
        g, scaled = np.asarray(slope(a, sigma)), size * (sigma / 0.001) ** 2
        along = g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-8)
        a = np.clip(a + scaled / 2 * beta * along + np.sqrt(scaled) * rng.normal(size=a.shape), -1, 1)
    return a


def best_squashed_gaussian(shape: str, entropy: float, count: int, seed: int = 0, tries: int = 300) -> np.ndarray:
    """Draws of a = tanh(u), u ~ N(mean, diag std^2), with the largest E[log p(a)] at a given entropy.

    Random search in 25 rounds: each evaluates ``tries`` random means and ratios of the two standard deviations around the
    best so far, at a radius 0.8 times the previous one.
    """
    rng = np.random.default_rng(seed)
    best = np.zeros((1, 3))
    for reach in 1.5 * 0.8 ** np.arange(25):
        found = np.concatenate([best, best + rng.uniform(-reach, reach, (tries, 3))])
        mean, log_std = found[:, :2], _of_entropy(found, entropy)
        spread = jnp.tanh(mean[:, None] + np.exp(log_std)[:, None] * NOISE)
        at = np.argmax(np.asarray(known_value(spread, shape)) @ SHARE)
        best = found[at : at + 1]
    return np.tanh(mean[at] + np.exp(log_std[at]) * rng.normal(size=(count, 2)))


def _of_entropy(found: np.ndarray, entropy: float) -> np.ndarray:
    """The log_std [n, 2] of squashed Gaussians of a given entropy, by bisection; found [n, 3]: means and log ratio."""
    mean, apart = found[:, :2], found[:, 2:] * np.array([0.5, -0.5])
    low, high = np.full((len(found), 1), -6.0), np.zeros((len(found), 1))
    for _ in range(40):
        size = (low + high) / 2
        above = squashed_entropy(mean, apart + size)[:, None] > entropy
        low, high = np.where(above, low, size), np.where(above, size, high)
    return apart + low


def squashed_entropy(mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """Entropy of tanh(u), u ~ N(mean, diag exp(log_std)^2), in nats: [n] from [n, 2].

    The log of tanh's derivative is a sum over the dimensions, so that nodes of one dimension integrate it.
    """
    u = mean[..., None] + np.exp(log_std)[..., None] * _NODES
    squash = 2 * (np.log(2) - u - np.logaddexp(0, -2 * u)).sum(-2)
    return log_std.sum(-1) + np.log(2 * np.pi * np.e) + squash @ (_WEIGHTS / _WEIGHTS.sum())


def repelled(shape: str, count: int, seed: int = 0, strength: float = 4.0, updates: int = 1500) -> np.ndarray:
    """The final positions of ``count`` points (a multiple of 32) that follow the field of driftpo in random groups of 32.

    The field is ``strength |v| g / |g| - v``, clipped to norm 1, with v the mean shift of a point to the others of its group
    and g the gradient of log p (arXiv:2602.04770).  The step size decays from 0.05 to 0.
    """
    rng = np.random.default_rng(seed)
    a = rng.uniform(-1, 1, (count, 2))
    slope = jax.jit(jax.grad(lambda a: jnp.sum(known_value(a, shape))))
    for update in range(updates):
        groups = rng.permutation(a).reshape(-1, 32, 2)
        shift, g = _mean_shift(groups), np.asarray(slope(groups))
        up = g / np.maximum(np.linalg.norm(g, axis=-1, keepdims=True), 1e-8)
        field = strength * np.linalg.norm(shift, axis=-1, keepdims=True) * up - shift
        field /= np.maximum(np.linalg.norm(field, axis=-1, keepdims=True), 1.0)
        a = np.clip(groups + 0.05 * (1 - update / updates) * field, -1, 1).reshape(-1, 2)
    return a


def _mean_shift(groups: np.ndarray) -> np.ndarray:
    """Mean shift from each point to the others, weights exp(-d^2 / 2v), v = max(median d^2 / (2 log(n + 1)), 0.05)."""
    away = groups[:, None] - groups[:, :, None]
    n = groups.shape[1] - 1
    square = np.where(np.eye(n + 1, dtype=bool), np.inf, (away**2).sum(-1))
    middle = np.sort(square, axis=-1)[..., (n - 1) // 2 : n // 2 + 1].mean(-1)
    v = np.maximum(middle / (2 * np.log(n + 1)), 0.05)[..., None]
    k = np.exp(-(square - square.min(-1, keepdims=True)) / (2 * v))
    return (k[..., None] * away).sum(2) / k.sum(2)[..., None]


def of_entropy(shape: str, entropy: float) -> Answer:
    """The density p^sharpness of a given entropy in nats: of all densities of that entropy it has the largest E[log p]."""
    answer, low, high = Answer.of(shape), 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if grid_entropy(answer.sharpened(middle)) > entropy else (low, middle)
    return answer.sharpened(low)


def grid_entropy(answer: Answer) -> float:
    """Entropy in nats of a density that is uniform within each cell."""
    p = answer.probability[answer.probability > 0]
    return float(-(p * np.log(p)).sum() + np.log(4 / len(answer.cells)))
