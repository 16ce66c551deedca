"""Functions shared by several families."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo, field_validator

from flowrl_dsl.algorithm import Condition
from flowrl_dsl.axes import union
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.random_numbers import zero_noise
from flowrl_dsl.formula import Bound, Formula, Operation, Term, Variable, terms
from flowrl_dsl.graph.builder import Builder, Value, aligned
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Scalar


@kernel
def take_best(a, score):
    """The action with the highest score (the first of them) among the particles of each state."""
    index = jnp.argmax(score, axis=-1)
    return jnp.take_along_axis(a, index[..., None, None], axis=-2)[..., 0, :]


@kernel
def add_noise(a, noise, scale, clip=None, bound=1.0):
    """a + scale noise, the noise bounded by ``clip`` and the result by [-bound, bound]."""
    step = scale * noise
    step = step if clip is None else jnp.clip(step, -clip, clip)
    return jnp.clip(a + step, -bound, bound)


@kernel
def negative_mean(x):
    """Minus the mean: turns an objective into a loss, log-densities into an entropy."""
    return -jnp.mean(x)


@kernel
def mean_squared_error(x, y):
    """Mean of (x - y)^2 over all axes."""
    return jnp.mean(jnp.square(x - y))


@kernel
def is_nth(step, n):
    """Whether the update with this counter (from 0) is the n-th, the 2n-th, ..."""
    return (step + 1) % n == 0


@kernel
def is_due(step, n, after, until):
    """Whether the update with this counter (from 0) is an n-th one, not before ``after``, and before ``until`` if given."""
    inside = step >= after if until is None else (step >= after) & (step < until)
    return ((step + 1) % n == 0) & inside


@kernel
def weighted_squared_error(prediction, target, weight, bound=None):
    """E_batch[sum_particles w mean_A min((prediction - target)^2, bound)]"""
    error = jnp.square(prediction - target)
    error = jnp.mean(error if bound is None else jnp.minimum(error, bound), axis=-1)
    weighted = weight * error
    return jnp.mean(weighted if weighted.ndim == 1 else jnp.sum(weighted, axis=-1))


@kernel
def weighted_negative(log_prob, weight):
    """-E_batch[sum_particles w log_prob]"""
    weighted = weight * log_prob
    return -jnp.mean(weighted if weighted.ndim == 1 else jnp.sum(weighted, axis=-1))


def ordered_ends(low: str, high: str) -> Any:
    """A validator for a component's options: ``high`` must be greater than ``low``."""

    def check(cls: type, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get(low, value - 1):
            raise ValueError(f"{high} must be greater than {low}")
        return value

    return field_validator(high)(classmethod(check))


def uses_draw_density(formula: Formula, s: str, a: str) -> bool:
    """Whether a formula uses the log-density of a sample; ``ValueError`` unless it is that of ``a`` at ``s``."""
    asked = [t for t in terms(formula.term) if isinstance(t, Operation) and t.function == "draw_log_prob"]
    for term in asked:
        if [_name(operand) for operand in term.operands] != [s, a]:
            raise ValueError(f"the log-density is only available for the sampled action: draw_log_prob({s}, {a})")
    return bool(asked)


def _name(term: Term) -> str | None:
    while isinstance(term, Bound):
        term = term.value
    return term.name if isinstance(term, Variable) else None


def due(b: Builder, counter: Value, condition: Condition) -> Value:
    """Whether the condition holds in the update with this counter."""
    expr = call(is_nth, Arg(0), condition.every)
    if condition.after or condition.until is not None:
        expr = call(is_due, Arg(0), condition.every, condition.after, condition.until)
    return b.add("Every", expr, (counter,), Type(dtype="bool"), f"each_{condition.every}")


def imitation(ctx: Context, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
    """The loss [] that fits the policy ``ctx.owner`` to actions [batch(, particle), action] with constant weights."""
    training, params, s = ctx.in_training().actor(ctx.owner, s)
    return training.own.backbone.imitate(training, params, s, a, ctx.builder.stop(weight, "fixed_weight"), bound)


def weighted_squares(ctx: Context, said: Value, truth: Value, weight: Value, bound: Scalar | None = None) -> Value:
    """``E_B[sum_N w mean_A min((said - truth)^2, bound)]``: a loss []."""
    full, inputs, options = union(said.axes, truth.axes), [said, truth, weight], {}
    if bound is not None:
        inputs.append(ctx.scalar(bound))
        options["bound"] = Arg(3)
    expr = call(weighted_squared_error, aligned(0, said.axes, full), aligned(1, truth.axes, full), Arg(2), **options)
    return ctx.builder.add("Loss", expr, inputs, SCALAR, "loss")


def weighted_likelihood(ctx: Context, density: Value, weight: Value) -> Value:
    """``-E_B[sum_N w log pi(a | s)]``: a loss []."""
    return ctx.builder.add("Loss", call(weighted_negative, Arg(0), Arg(1)), (density, weight), SCALAR, "loss")


def no_noise(ctx: Context, s: Value, name: str) -> Value:
    """Zero for each observation, in place of noise: [..., action]."""
    expr = call(zero_noise, Arg(0), size=ctx.sizes.action)
    return ctx.builder.add("Noise", expr, (s,), Type(ctx.drawn_axes(s, None)), name)
