"""Learnable Fourier features of time."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.activations import activation_function
from flowrl_dsl.components.base import Embedding
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import jnp, nn
from flowrl_dsl.registry import register


@kernel(activation="activation")
def fourier_features(size, scale, hidden, activation="mish"):
    """[cos(2 pi f t), sin(2 pi f t)] with trained frequencies f ~ N(0, scale^2), then two dense layers."""
    dense = dense_layer()

    class FourierFeatures(nn.Module):
        @nn.compact
        def __call__(self, t):
            f = self.param("frequencies", nn.initializers.normal(scale), (size // 2,))
            angle = 2 * jnp.pi * t[..., None] * f
            features = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
            orthogonal = nn.initializers.orthogonal(2.0**0.5)
            h = activation_function(activation)(dense(hidden, kernel_init=orthogonal)(features))
            return dense(hidden, kernel_init=orthogonal)(h)

    return FourierFeatures()


@register
class Fourier(Embedding):
    """Learnable Fourier features ``[cos(2 pi f t), sin(2 pi f t)]``, f from N(0, scale^2) and trained.

    Two dense layers (Mish between them) map the ``size`` features to ``hidden`` ones.
    """

    name = "fourier"
    paper = "arXiv:2006.10739"

    size: int = Field(64, ge=2, multiple_of=2, description="number of features")
    scale: float = Field(0.2, gt=0, description="standard deviation of the initial frequencies")
    hidden: int = Field(64, ge=1, description="width of the two dense layers after the features")

    def module(self, name: str) -> Build:
        return build(name, fourier_features, size=self.size, scale=self.scale, hidden=self.hidden, activation="mish")
