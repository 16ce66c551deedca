"""Fixed sinusoidal features of time."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.activations import activation_function
from flowrl_dsl.components.base import Embedding
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import jnp, nn
from flowrl_dsl.registry import register


@kernel(activation="activation")
def positional_features(size, longest, hidden, fastest=1000.0, inner=None, activation="mish"):
    """Cosines and sines of t at frequencies from ``fastest`` down to ``fastest / longest``, then two dense layers."""
    dense = dense_layer()

    class PositionalFeatures(nn.Module):
        @nn.compact
        def __call__(self, t):
            half = size // 2
            f = fastest * jnp.exp(-jnp.log(longest) * jnp.arange(half) / half)
            angle = t[..., None] * f
            features = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
            orthogonal = nn.initializers.orthogonal(2.0**0.5)
            h = activation_function(activation)(dense(inner or hidden, kernel_init=orthogonal)(features))
            return dense(hidden, kernel_init=orthogonal)(h)

    return PositionalFeatures()


@register
class Positional(Embedding):
    """Fixed features ``[cos(f_i t), sin(f_i t)]``, ``f_i = fastest longest^(-i / (size/2))``: 1000 suits t in [0, 1].

    Two dense layers (Mish between them) map the ``size`` features to ``hidden`` ones.
    """

    name = "positional"
    paper = "arXiv:1706.03762"

    size: int = Field(64, ge=2, multiple_of=2, description="number of features")
    longest: float = Field(10_000.0, gt=1, description="ratio of the longest period to the shortest")
    hidden: int = Field(64, ge=1, description="width of the dense layers after the features")
    fastest: float = Field(1000.0, gt=0, description="largest frequency, in radians per unit of time")
    inner: int | None = Field(None, ge=1, description="width of the first of the two layers; none for `hidden`")

    def module(self, name: str) -> Build:
        sizes = {"size": self.size, "hidden": self.hidden, "inner": self.inner}
        return build(name, positional_features, **sizes, longest=self.longest, fastest=self.fastest, activation="mish")
