"""Ensemble of quantiles of the return."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Future
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.ensembles import Distributional, of_lowest_member, over_members
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Partial, call, kernel, partial
from flowrl_dsl.graph.nodes import SCALAR, TREE
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def mean_quantile(outputs):
    """Mean of the return: the mean of its quantiles."""
    return jnp.mean(outputs, axis=-1)


@kernel
def shifted_quantiles(outputs, q, y, keep):
    """y + keep (theta_j - mean theta), theta the quantiles of the member with the lowest mean: [B, n], with mean y."""
    theta = of_lowest_member(outputs, q)
    return y[:, None] + keep[:, None] * (theta - jnp.mean(theta, axis=-1, keepdims=True))


@kernel
def quantile_huber_loss(outputs, targets, kappa, reduction):
    """E_ij |tau_i - 1{u < 0}| L(u) / kappa, u = target_j - theta_i: mean over the batch, mean or sum over the members.

    tau_i = (i - 1/2) / n; L(u) is u^2 / 2 up to kappa and kappa (|u| - kappa / 2) beyond.
    """
    n = outputs.shape[-1]
    tau = ((jnp.arange(n) + 0.5) / n)[:, None]
    error = targets[:, None, :] - outputs[..., :, None]
    size = jnp.abs(error)
    huber = jnp.where(size <= kappa, jnp.square(error) / (2 * kappa), size - kappa / 2)
    return over_members(jnp.mean(jnp.abs(tau - (error < 0)) * huber, axis=(1, 2, 3)), reduction)


@register
class Quantile(Distributional):
    """``theta_i(s, a)``, estimates of the quantiles (i - 1/2) / n of the return; the value is their mean.

    Quantile Huber loss, the mean over i and j, against ``y + discount (1 - d) (theta'_j - mean theta')``: theta' are the
    quantiles at (s', a') of the target copy's member with the lowest mean.
    """

    name = "quantile"
    paper = "arXiv:1710.10044"
    provides = frozenset({"q_value", "energy", "value_distribution"})

    quantiles: int = Field(25, ge=2, description="number of quantiles n")
    kappa: Scalar = option("error up to which the loss is quadratic", "1", POSITIVE)

    @property
    def heads(self) -> int:
        return self.quantiles

    def mean(self) -> Partial:
        return partial(mean_quantile)

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        b = ctx.builder
        outputs = self.fitted(ctx, params, s, a)
        inputs = (*self.judged(ctx, future), y, future.keep)
        targets = b.stop(b.add("TDTarget", call(shifted_quantiles, *map(Arg, range(4))), inputs, TREE, "targets"), "fixed")
        expr = call(quantile_huber_loss, *map(Arg, range(3)), reduction=reduction)
        return b.add("Loss", expr, (outputs, targets, ctx.scalar(self.kappa)), SCALAR, "loss"), {}
