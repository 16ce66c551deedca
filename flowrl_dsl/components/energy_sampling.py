"""The contract of samplers that follow the gradient of an energy."""

from __future__ import annotations

from abc import abstractmethod

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Call, Expr


class EnergySampler(Sampler):
    """Sampling along the gradient of an energy."""

    provides = frozenset({"energy_sampler"})
    asks = ()

    @abstractmethod
    def chain(self, ctx: Context, energy: Expr, start: Expr, key: Expr, inputs: list[Value]) -> Call:
        """The sampled actions, from initial ones; ``energy`` is a function of (a, level), where level 1 is noise-free.

        Numbers that are inputs of the program are appended to ``inputs`` of the node.
        """
