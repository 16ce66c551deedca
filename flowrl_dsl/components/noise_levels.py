"""Shared by noise schedules: continuous times, or the K levels of a discrete schedule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import NoiseSchedule
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.denoising import time_grid, uniform_time
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.graph.expr import Arg, Call, Partial, call, kernel, partial
from flowrl_dsl.lazy import jax, jnp


@kernel
def random_level(key, a, levels):
    """One of the times 1/K, 2/K, ... 1 for each action."""
    return jax.random.randint(key, a.shape[:-1], 1, levels + 1) / levels


@kernel
def level_grid(levels, steps):
    """Times from 1 down to 0 (no noise), all distinct levels k/K: [min(steps, K) + 1].

    A step from level 0 to itself would divide by zero noise.
    """
    return jnp.round(jnp.linspace(levels, 0, min(steps, levels) + 1)) / levels


@kernel
def alpha_of_betas(t, levels, betas):
    """alpha = sqrt(prod_{j <= k} (1 - beta_j)) at the level k = K t, and 1 at level 0."""
    kept = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jnp.log1p(-betas))])
    return jnp.exp(kept / 2)[jnp.round(t * levels).astype(jnp.int32)]


@kernel
def log_snr(alpha):
    """log(alpha / sigma), sigma^2 = 1 - alpha^2; finite even if alpha rounds to 1."""
    return jnp.log(alpha) - jnp.log(jnp.maximum(1 - alpha**2, 1e-7)) / 2


@kernel
def halfway(alpha, t, u):
    """The times m between t and u with ``l_m = (l_t + l_u)/2``, l = log(alpha / sigma): [...].

    By 24 bisections, which leave an interval that 32-bit numbers hardly divide.
    """
    middle = (log_snr(alpha(t)) + log_snr(alpha(u))) / 2

    def halved(_, ends):
        later, earlier = ends
        m = (later + earlier) / 2
        above = log_snr(alpha(m)) > middle
        return jnp.where(above, later, m), jnp.where(above, m, earlier)

    return sum(jax.lax.fori_loop(0, 24, halved, (t, u))) / 2


class Continuous(NoiseSchedule):
    """A schedule for all t in [t_min, t_max]; training draws them uniformly, samplers go from t_max to t_min."""

    provides = frozenset({"continuous_time"})
    t_min: float
    t_max: float

    _ordered = ordered_ends("t_min", "t_max")

    def draw(self) -> Call:
        return call(uniform_time, Arg(0), Arg(1), times=(self.t_min, self.t_max))

    def times(self, steps: int) -> Call:
        return call(time_grid, self.t_max, self.t_min, steps=steps)


class Discrete(NoiseSchedule):
    """A schedule of K noise levels, t = k/K; a sampler takes at most one step per level, skipping some if it has fewer."""

    levels: int

    @abstractmethod
    def betas(self) -> Call:
        """The variances beta_1 ... beta_K of single steps: [K]."""

    def alpha(self) -> Partial:
        return partial(alpha_of_betas, levels=self.levels, betas=self.betas())

    def draw(self) -> Call:
        return call(random_level, Arg(0), Arg(1), levels=self.levels)

    def times(self, steps: int) -> Call:
        return call(level_grid, self.levels, steps=steps)

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """A sampler of more steps than there are levels to take."""
        sampler = f"{at.owner}.sampler"
        steps = getattr(at.components.get(sampler), "steps", 0)
        if steps > self.levels:
            message = f"the sampler takes {self.levels} of its {steps} steps: the schedule has {self.levels} noise levels"
            place = at.algorithm.written(f"{sampler}.steps", f"{at.path}.levels", sampler)
            yield warning("FRL0324", message, place, f"for instance steps = {self.levels}, or more levels")
