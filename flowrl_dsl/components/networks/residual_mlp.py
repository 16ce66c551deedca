"""Residual perceptron: pre-activation blocks with layer normalisation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.activations import activation_function
from flowrl_dsl.components.base import Network
from flowrl_dsl.components.first_layer import first_layer
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import nn
from flowrl_dsl.registry import register


@kernel(split="split", activation="activation")
def residual_mlp(inputs, width, blocks, outputs, activation, dropout, split=False):
    """h + dense(act(norm(dense(act(norm(h)))))), block after block; head(act(norm(h))).

    With a random key ``dropout``, units of each block's output are dropped.
    """
    act = activation_function(activation)
    dense = dense_layer()

    class ResidualMLP(first_layer(inputs, width, split=split)):
        def setup(self):
            super().setup()
            orthogonal = nn.initializers.orthogonal(2.0**0.5)
            self.layers = [dense(width, kernel_init=orthogonal) for _ in range(2 * blocks)]
            self.norms = [nn.LayerNorm() for _ in range(2 * blocks + 1)]
            self.drop = nn.Dropout(dropout)
            self.head = dense(outputs, kernel_init=orthogonal)

        def __call__(self, values, projected=None):
            h = self.start(values, projected)
            for i in range(0, 2 * blocks, 2):
                added = self.layers[i](act(self.norms[i](h)))
                added = self.layers[i + 1](act(self.norms[i + 1](added)))
                h = h + self.drop(added, deterministic=not self.has_rng("dropout"))
            return self.head(act(self.norms[-1](h)))

    return ResidualMLP()


@register
class ResidualMLP(Network):
    """Residual perceptron: ``h <- h + W_2 act(norm(W_1 act(norm(h))))`` for each block, head ``W act(norm(h))``.

    Normalisation and activation precede each dense layer, so the residual stream passes through the network unchanged.
    Orthogonal kernels of gain sqrt 2, zero biases; first layer as in mlp.
    """

    name = "residual_mlp"
    paper = "arXiv:1603.05027"

    width: int = Field(256, ge=3, description="width of every layer; at least 3, as a layer norm of 2 leaves only signs")
    blocks: int = Field(2, ge=1, description="number of residual blocks, with two dense layers each")
    activation: Literal["relu", "mish", "elu", "gelu", "silu", "tanh"] = Field("relu", description="before dense layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of each block's output")

    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        shape = {"width": self.width, "blocks": self.blocks, "outputs": outputs}
        return build(name, residual_mlp, inputs=inputs, **shape, activation=self.activation, dropout=self.dropout)
