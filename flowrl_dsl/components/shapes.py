"""Shapes of arrays in the graph of a component."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp


@kernel
def broadcast_rows(x, like, dimensions):
    """x repeated to the leading dimensions of another array."""
    return jnp.broadcast_to(x, like.shape[:dimensions])
