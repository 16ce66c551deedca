"""Multi-layer perceptron with one first-layer kernel for each named input."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.activations import activation_function
from flowrl_dsl.components.base import Network, Widths
from flowrl_dsl.components.first_layer import first_layer
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.graph.expr import Build, build, kernel
from flowrl_dsl.lazy import nn
from flowrl_dsl.registry import register


@kernel(split="split", activation="activation")
def mlp(inputs, sizes, outputs, activation, layer_norm, dropout=0.0, head=None, split=False):
    """A perceptron of named inputs: h = act(sum_i x_i W_i + b), then dense layers, then a linear head.

    ``layer_norm`` normalises each hidden layer before its activation, or with "after" its activations.
    With a random key ``dropout``, units are dropped after each activation.
    """
    act = activation_function(activation)
    dense = dense_layer()

    class MLP(first_layer(inputs, sizes[0], split=split)):
        def setup(self):
            super().setup()
            orthogonal = nn.initializers.orthogonal(2.0**0.5)
            self.hidden = [dense(size, kernel_init=orthogonal) for size in sizes[1:]]
            if layer_norm:
                self.norms = [nn.LayerNorm() for _ in sizes]
            if dropout:
                self.drop = nn.Dropout(dropout)
            self.head = dense(outputs, kernel_init=nn.initializers.orthogonal(head or 2.0**0.5))

        def __call__(self, values, projected=None):
            h = self.start(values, projected)
            for i in range(len(sizes)):
                h = self.hidden[i - 1](h) if i else h
                h = act(self.norms[i](h) if layer_norm is True else h)
                h = self.norms[i](h) if layer_norm == "after" else h
                h = self.drop(h, deterministic=not self.has_rng("dropout")) if dropout else h
            return self.head(h)

    return MLP()


@register
class MLP(Network):
    """Multi-layer perceptron: ``h_1 = act(sum_i x_i W_i + b_1)``, ``h_k = act(h_{k-1} W_k + b_k)``, linear head.

    The first layer has one kernel for each named input (initialised as one orthogonal matrix, then split), so inputs
    shared by many actions or denoising steps, such as the observation, are multiplied once.  Gain sqrt 2, zero biases.
    """

    name = "mlp"

    sizes: Widths = Field(min_length=1, description="widths of the hidden layers")
    activation: Literal["relu", "mish", "elu", "gelu", "silu", "tanh"] = Field("relu", description="between layers")
    layer_norm: bool | Literal["after"] = Field(
        False, description="normalise each hidden layer before its activation, or after it"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate after each activation")

    head: float | None = Field(None, gt=0, description="gain of the initial head; none for sqrt 2")

    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        options = {"sizes": self.sizes, "activation": self.activation, "layer_norm": self.layer_norm}
        return build(name, mlp, inputs=inputs, outputs=outputs, **options, dropout=self.dropout, **self._last())

    def _last(self) -> dict[str, float]:
        return {} if self.head is None else {"head": self.head}
