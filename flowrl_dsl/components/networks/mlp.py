"""Multi-layer perceptron with one first-layer kernel for each named input."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.base import Network
from flowrl_dsl.registry import register


@register
class MLP(Network):
    """h = act(sum_i W_i x_i + b), then dense layers."""

    name = "mlp"

    sizes: tuple[int, ...] = Field(min_length=1, description="widths of the hidden layers")
    activation: Literal["relu", "mish", "elu", "gelu", "silu", "tanh"] = Field("relu", description="between layers")
    layer_norm: bool = Field(False, description="normalise each hidden layer before its activation")
