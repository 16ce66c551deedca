"""Adaptations whose number is kept in the state as it is."""

from __future__ import annotations

from flowrl_dsl.components.changing import Adaptation
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import call, kernel
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.lazy import jnp


@kernel
def single_number(value):
    """An initial value, as an array."""
    return jnp.asarray(value, jnp.float32)


class StoredNumber(Adaptation):
    """A number that starts at ``init``; its group of the state is what formulas read."""

    init: float

    def initial(self, ctx: Context, name: str, group: str) -> dict[str, Value]:
        return {group: ctx.builder.add("Init", call(single_number, self.init), (), SCALAR, name)}

    def value(self, ctx: Context, name: str, stored: Value) -> Value:
        return stored
