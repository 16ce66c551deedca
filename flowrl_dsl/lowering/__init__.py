"""From update graphs to jax: evaluation, the compiled program, printed Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowrl_dsl.graph.nodes import Graph

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Data, Program
    from flowrl_dsl.record import Layout


def lower(
    name: str,
    graphs: Mapping[str, Graph],
    hyper: Mapping[str, float],
    data: Data,
    sizes: tuple[int, int],
    chunk: int = 1,
    layout: Layout | None = None,
) -> Program:
    """Compile verified graphs to a program.

    ``sizes`` are the dimensions of an observation and of an action of the task, ``chunk`` the number of successive actions
    that an action of the graphs consists of, ``layout`` the entries of an observation where the graphs read some of them.
    """
    from flowrl_dsl.lowering.program import Program

    return Program(name, graphs, hyper, data, sizes, chunk, layout)
