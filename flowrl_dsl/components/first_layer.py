"""The first layer of every network: one kernel for each named input, so that what many rows share is multiplied once."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import nn


@kernel
def orthogonal_by_input(key, inputs, width, gain=2.0**0.5):
    """One orthogonal matrix for all inputs together, split into a kernel for each named input; gain sqrt 2."""
    whole = nn.initializers.orthogonal(gain)(key, (sum(size for _, size in inputs), width))
    kernels, row = {}, 0
    for name, size in inputs:
        kernels[name] = whole[row : row + size]
        row += size
    return kernels


@kernel
def first_layer(inputs, width, gain=2.0**0.5):
    """The base of a network of named inputs, pairs (name, size): h = sum_i x_i W_i + b.

    ``project`` gives the part that some of the inputs make up: what does not change from call to call is projected once
    and handed in as ``projected``.
    """

    class FirstLayer(nn.Module):
        def setup(self):
            self.first = self.param("first", orthogonal_by_input, inputs, width, gain)
            self.bias = self.param("bias", nn.initializers.zeros, (width,))

        def project(self, values):
            return sum(values[name] @ self.first[name] for name, _ in inputs if name in values)

        def start(self, values, projected):
            return self.project(values) + projected + self.bias

    return FirstLayer
