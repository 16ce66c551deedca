"""The first layer of every network of named inputs, with one kernel for each; normalised, for inputs beside embeddings."""

from __future__ import annotations

from flowrl_dsl.components.stored import module_class
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp, nn


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
def joined_rows(values, inputs):
    """The concatenated named inputs, each broadcast to their joint leading dimensions."""
    lead = jnp.broadcast_shapes(*(value.shape[:-1] for value in values.values()))
    return jnp.concatenate([jnp.broadcast_to(values[name], (*lead, size)) for name, size in inputs], axis=-1)


@kernel
def first_layer(inputs, width, gain=2.0**0.5, split=False):
    """The base of a network of named inputs, pairs (name, size): h = [x_1, x_2, ...] W + b.

    ``project`` computes the contribution of some of the inputs, to be passed as ``projected`` with the rest.  By default
    this is the inputs themselves, and all are concatenated for every row.  With ``split``, it is sum_i x_i W_i, and inputs
    shared by many rows are multiplied once.
    """

    class FirstLayer(module_class()):
        def setup(self):
            self.first = self.param("first", orthogonal_by_input, inputs, width, gain)
            self.bias = self.param("bias", nn.initializers.zeros, (width,))

        def project(self, values):
            return sum(values[name] @ self.first[name] for name, _ in inputs if name in values) if split else values

        def start(self, values, projected):
            if split:
                return self.project(values) + (0.0 if projected is None else projected) + self.bias
            whole = jnp.concatenate([self.first[name] for name, _ in inputs])
            return joined_rows({**values, **(projected or {})}, inputs) @ whole + self.bias

    return FirstLayer


@kernel
def unit_size(x):
    """x divided by the mean magnitude of its components."""
    return x / jnp.maximum(jnp.mean(jnp.abs(x), axis=-1, keepdims=True), 1e-8)


@kernel(split="split")
def normalized_layer(inputs, width, split=False):
    """unit_size([x_1, x_2, ...] W + b): one linear layer of named inputs, without an activation."""

    class NormalizedLayer(first_layer(inputs, width, split=split)):
        def __call__(self, values, projected=None):
            return unit_size(self.start(values, projected))

    return NormalizedLayer()
