"""A positive parameter learned so that a measured quantity meets its target."""

from __future__ import annotations

from pydantic import Field, model_validator

from flowrl_dsl.components.base import Adaptation, Estimator, Optimizer
from flowrl_dsl.components.common import negative_mean
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import NOT_NEGATIVE, Formula, Scalar, Slot, option, register, slot

TARGET = Slot(result=(), values={}, sizes={"A": "action"})


@kernel
def log_of(value):
    """The logarithm of a starting value, as an array."""
    return jnp.log(jnp.asarray(value, jnp.float32))


@kernel
def dual_loss(log_x, excess):
    """log x times a constant excess: descending it raises x while the excess is negative."""
    return log_x * jax.lax.stop_gradient(excess)


@register
class Learned(Adaptation):
    """Dual ascent on log x: x rises while the divergence is above ``target_kl``, or the entropy below ``target_entropy``.

    Loss ``log x (target_kl - kl)`` or ``log x (entropy - target_entropy)``, the measured quantity held constant.

    The divergence is the one that the stage ``policy`` measured.  The entropy is that of the policy which the stage of the
    parameter reads: ``[policy, x]`` learns from the draws that the policy learned from, ``policy -> x`` from one new draw of
    the new policy at each state.  Where samples have no log-density, ``entropy`` says how their entropy is estimated; inside
    ``every(n, ...)`` the estimate is made in each n-th update only.
    """

    name = "learned"
    paper = "arXiv:1812.05905"

    init: float = Field(1.0, gt=0, description="value at the start")
    target_kl: Scalar | None = option("divergence from the proposals to hold", "none", NOT_NEGATIVE)
    target_entropy: Formula | None = slot("entropy of the policy to hold", TARGET, "none")
    entropy: Estimator | None = option("estimates the entropy from samples; none for their log-density", "none")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")

    @model_validator(mode="after")
    def _one_target(self) -> Learned:
        if (self.target_kl is None) == (self.target_entropy is None):
            raise ValueError("give exactly one of target_kl and target_entropy")
        if self.entropy is not None and self.target_entropy is None:
            raise ValueError("entropy goes unread: what is held is target_kl")
        return self

    def needs(self) -> frozenset[str]:
        """What a mechanism must measure; an entropy can be measured only where draws have a log-density."""
        if self.entropy is not None:
            return frozenset()
        return frozenset({"kl"} if self.target_kl is not None else {"entropy", "draw_log_prob"})

    def measured(self, ctx: Context, s: Value) -> Value:
        if self.target_kl is not None:
            return ctx.measured("kl")
        if self.entropy is None:
            return self._entropy_of_draws(ctx, s) if ctx.policy_has_moved() else ctx.measured("entropy")
        value = ctx.builder.stop(self.entropy.entropy(ctx, s), "measured")
        ctx.metric("entropy", value)
        return value

    def _entropy_of_draws(self, ctx: Context, s: Value) -> Value:
        """-E[log pi(a | s)], a drawn by the policy as it is now."""
        density = ctx.log_prob("policy", s, ctx.draw("policy", s, "action"))
        entropy = ctx.builder.add("Reduce", call(negative_mean, Arg(0)), (density,), SCALAR, "entropy")
        return ctx.builder.stop(entropy, "measured")

    def start(self, ctx: Context, name: str) -> Value:
        return ctx.builder.add("Init", call(log_of, self.init), (), SCALAR, name)

    def loss(self, ctx: Context, log_x: Value, measured: Value) -> Value:
        excess = ctx.builder.elementwise("jnp.subtract", *self._compared(ctx, measured), name="excess")
        return ctx.builder.add("Loss", call(dual_loss, Arg(0), Arg(1)), (log_x, excess), SCALAR, "loss")

    def _compared(self, ctx: Context, measured: Value) -> tuple[Value, Value]:
        """What is to be equal: log x falls by the first less the second."""
        if self.target_entropy is not None:
            return measured, ctx.formula(self.target_entropy, "target_entropy")
        assert self.target_kl is not None, "refused by _one_target"
        return ctx.scalar(self.target_kl), measured
