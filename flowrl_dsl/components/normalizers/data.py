"""Mean and standard deviation of a data set."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Normalizer
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import TREE
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import register


@kernel
def no_moments(size):
    """Mean 0 and standard deviation 1: observations as they are, until a data set is read."""
    return {"mean": jnp.zeros(size), "std": jnp.ones(size)}


@kernel
def standardize(s, moments):
    """(s - mean) / std"""
    return (s - moments["mean"]) / moments["std"]


@register
class DataMoments(Normalizer):
    """``s <- (s - mean) / std``, the moments those of all observations of the data set; std 0 counts as 1.

    They are computed once, from the data set of the run, and stored with the learner's state.
    """

    name = "data"
    of_data: ClassVar[bool] = True

    def init(self, ctx: Context) -> Value:
        return ctx.builder.add("Init", call(no_moments, ctx.sizes.obs), (), TREE, "normalizer")

    def update(self, ctx: Context, moments: Value, s: Value) -> Value:
        return moments

    def apply(self, ctx: Context, moments: Value, s: Value, name: str) -> Value:
        return ctx.builder.add("Normalize", call(standardize, Arg(0), Arg(1)), (s, moments), s.type, name)
