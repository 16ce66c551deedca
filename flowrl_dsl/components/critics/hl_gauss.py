"""Ensemble of categorical action values, fitted by classification."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.base import Future
from flowrl_dsl.components.common import ordered_ends
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.ensembles import Distributional, over_members
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Partial, call, kernel, partial
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def expected_bin(outputs, v_min, v_max):
    """sum_k p_k c_k, p the softmax of the outputs and c the centres of bins of equal width."""
    bins = outputs.shape[-1]
    centres = v_min + (jnp.arange(bins) + 0.5) * (v_max - v_min) / bins
    return jnp.sum(jax.nn.softmax(outputs, axis=-1) * centres, axis=-1)


@kernel
def smoothed_histogram(y, v_min, v_max, bins, ratio):
    """The mass of N(y, sigma^2) in each bin, relative to its mass in the whole range: [..., bins].

    sigma is ``ratio`` times the width of a bin; y is clipped to the range.
    """
    width = (v_max - v_min) / bins
    edges = v_min + width * jnp.arange(bins + 1)
    away = (edges - jnp.clip(y, v_min, v_max)[..., None]) / (ratio * width)
    below = jax.lax.erf(away / 2**0.5)
    return (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])


@kernel
def histogram_loss(outputs, y, v_min, v_max, ratio, reduction):
    """Cross-entropy of the predicted to the target histogram: mean over the batch, then mean or sum over the members."""
    target = smoothed_histogram(y, v_min, v_max, outputs.shape[-1], ratio)
    cross_entropy = -jnp.sum(target * jax.nn.log_softmax(outputs, axis=-1), axis=-1)
    return over_members(jnp.mean(cross_entropy, axis=-1), reduction)


@kernel
def share_outside(y, v_min, v_max):
    """The fraction of targets outside the range."""
    return jnp.mean((y < v_min) | (y > v_max))


@register
class HLGauss(Distributional):
    """Probabilities p_k of bins of equal width between v_min and v_max; the value is ``sum_k p_k c_k``, c their centres.

    The loss is the cross-entropy to the histogram of N(y, sigma^2), sigma = ratio * width of a bin: regression by
    classification.  Targets are clipped to the range; the metric ``targets_outside`` is the clipped fraction.
    """

    name = "hl_gauss"
    paper = "arXiv:2403.03950"

    v_min: float = Field(description="lower bound of the values")
    v_max: float = Field(description="upper bound of the values")
    bins: int = Field(101, ge=2, description="number of bins")
    ratio: Scalar = option("standard deviation of the smoothing, in bin widths", "0.75", POSITIVE)

    _ordered = ordered_ends("v_min", "v_max")

    @property
    def heads(self) -> int:
        return self.bins

    def mean(self) -> Partial:
        return partial(expected_bin, v_min=self.v_min, v_max=self.v_max)

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        b, ends = ctx.builder, {"v_min": self.v_min, "v_max": self.v_max}
        outputs = self.fitted(ctx, params, s, a)
        ctx.metric("targets_outside", b.add("Reduce", call(share_outside, Arg(0), **ends), (y,), SCALAR, "outside"))
        expr = call(histogram_loss, Arg(0), Arg(1), **ends, ratio=Arg(2), reduction=reduction)
        return b.add("Loss", expr, (outputs, y, ctx.scalar(self.ratio)), SCALAR, "loss"), {}
