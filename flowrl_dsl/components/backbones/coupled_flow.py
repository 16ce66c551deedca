"""A flow of two coupled halves, whose density is known in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, cast

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.axes import Axes
from flowrl_dsl.components.auxiliary import drawn_with
from flowrl_dsl.components.base import Embedding, Sampled, Widths
from flowrl_dsl.components.common import no_noise
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.denoising import Timed, denoise_at, time_grid
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Operation, terms
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Expr, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Formula, option, register


@kernel
def coupled_actions(velocity, z, y, times, mixing):
    """The actions (z + y) / 2 and the differences z - y of the halves that noise (z, y) becomes: [..., action] each.

    In each step from time t to t + h, p being ``mixing`` and each line using the newest values,

        z <- z + h v(y, t),    y <- y + h v(z, t),    z <- p z + (1 - p) y,    y <- p y + (1 - p) z.
    """

    def step(halves, now):
        (z, y), (t, u) = halves, now
        z = z + (u - t) * velocity(y, t)
        y = y + (u - t) * velocity(z, t)
        z = mixing * z + (1 - mixing) * y
        y = mixing * y + (1 - mixing) * z
        return (z, y), None

    (z, y), _ = jax.lax.scan(step, (z, y), (times[:-1], times[1:]))
    return (z + y) / 2, z - y


@kernel
def coupled_noise(velocity, a, difference, times, mixing):
    """The noise (z, y) that becomes halves with the mean a and this difference, by the steps backwards: [..., action]."""

    def step(halves, now):
        (z, y), (t, u) = halves, now
        y = (y - (1 - mixing) * z) / mixing
        z = (z - (1 - mixing) * y) / mixing
        y = y - (u - t) * velocity(z, t)
        z = z - (u - t) * velocity(y, t)
        return (z, y), None

    halves = a + difference / 2, a - difference / 2
    return jax.lax.scan(step, halves, (times[:-1], times[1:]), reverse=True)[0]


@kernel
def coupled_log_density(velocity, a, difference, times, mixing):
    """log N(x_0; 0, I) - 2 A K log p, x_0 the noise that becomes the two halves in K steps, p their ``mixing``.

    The lines with v shift one half by a function of the other: their determinant is 1.  Those with p have determinant p^2
    for each component.  So the Jacobian of the whole map has determinant p^(2 A K), for every network and input.
    """
    z, y = coupled_noise(velocity, a, difference, times, mixing)
    size, steps = a.shape[-1], times.shape[0] - 1
    normal = -0.5 * jnp.sum(jnp.square(z) + jnp.square(y), axis=-1) - size * jnp.log(2 * jnp.pi)
    return normal - 2 * size * steps * jnp.log(mixing)


@register
class CoupledFlow(Timed):
    """``a = (z + y) / 2``: two halves of noise, (z, y) ~ N(0, I), each carried by the velocity v of the other.

    In each of ``steps`` steps k, t = k / K, with p = ``mixing`` and the newest values in each of

        z <- z + v(y, t) / K,    y <- y + v(z, t) / K,    z <- p z + (1 - p) y,    y <- p y + (1 - p) z,

    the last two of which keep the halves together.  The map can be inverted, and its determinant is p^(2 A K), so that

        log pi(z, y | s) = -|x_0|^2 / 2 - A log(2 pi) - 2 A K log p,    x_0 the noise that becomes (z, y).

    This is the ``log_prob`` of an action: the joint log-density of a and the auxiliary variable z - y drawn with it, which
    rollouts store.  Where none is stored, as for the best of several samples, it is taken as 0.

    The entropy of the pair, A log(2 pi e) + 2 A K log p, depends on no parameter: a bonus for it has no gradient.  The noise
    of the action becomes smaller only as the halves move apart, which the mechanism ``pull`` resists.
    """

    name = "coupled_flow"
    paper: ClassVar[str] = "arXiv:2505.18763"
    provides = frozenset({"log_prob", "auxiliary", "reparameterized", "zero_noise"})
    requires = frozenset({"rollouts"})

    steps: int = Field(5, ge=1, description="steps K from noise to the two halves")
    mixing: float = Field(0.95, gt=0, le=1, description="share p of itself that each half keeps when they are mixed")
    time: Embedding = option("features of the time", "fourier(32)")
    obs: Widths = Field((), description="layers of the observation embedding; [] for none")

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """Exploring by a choice that loses the auxiliary variable, and objectives meant as bonuses for the entropy."""
        algorithm, explore = at.algorithm, cast(Any, at.algorithm.sections["act"]).explore
        if algorithm.drawn_from(explore.source) == at.owner and not explore.value.plain:
            message = f"{explore.value.name} does not keep the auxiliary variable of the action that it chooses"
            cure = "it is stored as 0, and the action rated as one of equal halves; write explore = sample"
            yield warning("FRL0330", message, algorithm.written("act.explore"), cure)
        for block in algorithm.improvements:
            formula = getattr(block.mechanism, "objective", None)
            if block.owner == at.owner and isinstance(formula, Formula) and _rates_itself(formula, at.owner):
                message = f'the entropy of "{self.name}" depends on no parameter: -log_prob(s, a) is no bonus for it'
                cure = "leave it out: of fresh samples it has no gradient, and of stored ones it is a cross-entropy"
                yield warning("FRL0329", message, algorithm.written(f"{block.label}.objective"), cure)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        noise = [ctx.normal(s, ctx.sizes.action, f"{name}_noise_{half}", particles) for half in ("z", "y")]
        return Sampled(self._flowed(ctx, params, s, noise, name))

    def noiseless(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """What zero noise becomes in both halves."""
        return self._flowed(ctx, params, s, [no_noise(ctx, s, f"{name}_noise")] * 2, name)

    def log_prob(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The joint log-density of the actions and of the auxiliary variables drawn with them."""
        lead, auxiliary = leading(s, a), drawn_with(ctx, a)
        halves = rows(2, a, lead), rows(3, auxiliary, lead)
        velocity = self._velocity(ctx, s, lead)
        expr = call(coupled_log_density, velocity, *halves, times=self._times(), mixing=self.mixing)
        return ctx.builder.add("LogProb", expr, (params, s, a, auxiliary), Type(lead), "log_prob")

    def _flowed(self, ctx: Context, params: Value, s: Value, noise: Sequence[Value], name: str) -> Value:
        """The actions that noise in both halves becomes, with their auxiliary variables."""
        b, kind = ctx.builder, noise[0].type
        velocity = self._velocity(ctx, s, leading(s, *noise))
        expr = call(coupled_actions, velocity, Arg(2), Arg(3), times=self._times(), mixing=self.mixing)
        pair = b.add("Sample", expr, (params, s, *noise), TREE, f"{name}_pair")
        action = b.item(pair, 0, kind, name)
        ctx.report.auxiliary[action.name] = b.item(pair, 1, kind, f"{name}_auxiliary")
        return action

    def _velocity(self, ctx: Context, s: Value, lead: Axes) -> Expr:
        """v as a function of one half and the time, in a node whose first inputs are parameters and observations."""
        return call(denoise_at, self.module(ctx), Arg(0), rows(1, s, lead))

    def _times(self) -> Expr:
        return call(time_grid, 0.0, 1.0, steps=self.steps)


def _rates_itself(formula: Formula, owner: str) -> bool:
    """Whether a formula reads the log-density by the policy that it trains."""
    asked = [term for term in terms(formula.term) if isinstance(term, Operation) and term.function == "log_prob"]
    return any(term.source in ("", owner) for term in asked)
