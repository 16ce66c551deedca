"""A positive parameter, learned to hold a measured quantity at a target."""

from __future__ import annotations

from pydantic import Field, model_validator

from flowrl_dsl.components.base import Estimator
from flowrl_dsl.components.changing import Adaptation, Optimizer
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
    """The logarithm of an initial value, as an array."""
    return jnp.log(jnp.asarray(value, jnp.float32))


@kernel
def dual_loss(log_x, excess):
    """log x times a constant excess: descending it raises x while the excess is negative."""
    return log_x * jax.lax.stop_gradient(excess)


@register
class Learned(Adaptation):
    """Dual ascent on log x: x grows while the divergence is above ``target_kl``, or the entropy below ``target_entropy``.

    Loss ``log x (target_kl - kl)`` or ``log x (entropy - target_entropy)``, the measured quantity held constant.

    The divergence is the one measured by the stage ``policy``.  The entropy is that of the policy read by the stage of the
    parameter: ``[policy, x]`` uses the samples of the policy's own update, ``policy -> x`` one new sample of the new policy
    per state.  If samples have no log-density, ``entropy`` estimates their entropy; inside ``every(n, ...)`` the estimate is
    computed only every n-th update.
    """

    name = "learned"
    paper = "arXiv:1812.05905"

    alternatives = (frozenset({"target_kl", "target_entropy"}),)

    init: float = Field(1.0, gt=0, description="initial value")
    target_kl: Scalar | None = option("target divergence from the proposals", "none", NOT_NEGATIVE)
    target_entropy: Formula | None = slot("target entropy of the policy", TARGET, "none")
    entropy: Estimator | None = option("estimator of the entropy from samples; none to use their log-density", "none")
    optimizer: Optimizer = option("optimizer of the logarithm", "adam(3e-4)")

    @model_validator(mode="after")
    def _one_target(self) -> Learned:
        if (self.target_kl is None) == (self.target_entropy is None):
            raise ValueError("give exactly one of target_kl and target_entropy")
        if self.entropy is not None and self.target_entropy is None:
            raise ValueError("entropy is not used with target_kl")
        return self

    def needs(self) -> frozenset[str]:
        """The required measurement of a mechanism; an entropy requires samples with a log-density."""
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
        """-E[log pi(a | s)], a drawn from the current policy."""
        density = ctx.log_prob("policy", s, ctx.draw("policy", s, "action"))
        entropy = ctx.builder.add("Reduce", call(negative_mean, Arg(0)), (density,), SCALAR, "entropy")
        return ctx.builder.stop(entropy, "measured")

    def initial(self, ctx: Context, name: str, group: str) -> dict[str, Value]:
        log_x = ctx.builder.add("Init", call(log_of, self.init), (), SCALAR, f"log_{name}")
        return {group: log_x, f"{group}_opt": self.optimizer.init(ctx, log_x, f"{name}_opt")}

    def value(self, ctx: Context, name: str, stored: Value) -> Value:
        return ctx.builder.elementwise("jnp.exp", stored, name=name)

    def update(self, ctx: Context, name: str, group: str, measured: Value) -> dict[str, Value]:
        """One step of the optimizer on the loss of the logarithm."""
        excess = ctx.builder.elementwise("jnp.subtract", *self._compared(ctx, measured), name="excess")
        expr = call(dual_loss, Arg(0), Arg(1))
        loss = ctx.builder.add("Loss", expr, (ctx.versions[group], excess), SCALAR, "loss")
        return ctx.descend(group, loss, self.optimizer, label=name)

    def _compared(self, ctx: Context, measured: Value) -> tuple[Value, Value]:
        """The two quantities to equate: log x descends their difference."""
        if self.target_entropy is not None:
            return measured, ctx.formula(self.target_entropy, "target_entropy")
        assert self.target_kl is not None, "refused by _one_target"
        return ctx.scalar(self.target_kl), measured
