"""Names in a printed program: chosen by one search for unused names, so that none shadows another."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Iterable
from itertools import chain, count

from flowrl_dsl.graph.expr import KERNELS
from flowrl_dsl.graph.nodes import GRAD, INPUT, STOP, TREE, WHEN, Graph, Node
from flowrl_dsl.lazy import MODULES

HELPERS = ("HYPER", "draw_key", "partial", "zlib")
"""Names that every printed file uses itself."""

_VAGUE = frozenset({"new", "new_moments", "gradient", "loss", "finite", "step"})
"""Last parts of node names that say too little alone."""


class Names:
    """Unused names for one printed function; a name is never assigned twice.

    ``taken`` are names of the file: its functions, networks and arguments.  Kernels, modules, builtins and keywords are
    also taken, whether or not this program uses them.
    """

    def __init__(self, taken: Iterable[str]):
        self._taken = {*taken, *HELPERS, *MODULES, *KERNELS, *dir(builtins), *keyword.kwlist}

    def free(self, *wanted: str) -> str:
        """The first of the wanted names that is unused, otherwise the last one with a number appended."""
        clean = [re.sub(r"\W+", "_", name).strip("_") for name in wanted]
        numbered = (f"{clean[-1]}_{number}" for number in count(2))
        name = next(name for name in chain(clean, numbered) if name not in self._taken and name.isidentifier())
        self._taken.add(name)
        return name


class Variables:
    """Python names for the values of a graph, for the inner functions, and for the arguments of those.

    ``inlined`` values are printed at their use and need no name.
    """

    def __init__(self, graph: Graph, names: Names, inlined: Collection[str]):
        self.graph = graph
        self._names = names
        self._arguments: dict[str, str] = {}
        self._params = names.free("params")
        self.functions = {node.name: self._function(node) for node in graph.nodes.values() if node.op in (GRAD, WHEN)}
        self.pieces = {
            node.name: names.free(f"{_leaf(node.name)}_piece") for node in graph.nodes.values() if node.chunk is not None
        }
        outputs = reversed([*graph.outputs.items()])
        self._kept = {node: output.removeprefix("state.") for output, node in outputs if output.startswith("state.")}
        self.values = {node.name: self.value(node) for node in graph.nodes.values() if node.name not in inlined}

    def argument(self, value: str, around: Collection[str] = ()) -> str:
        """The name of the inner-function argument that replaces a value; the same for all uses.

        ``around`` holds the arguments of the enclosing functions.
        """
        variable = self.values[value]
        if variable.isidentifier():
            return variable
        if self.graph.nodes[value].type == TREE and self._params not in around:
            return self._params
        if variable not in self._arguments:
            self._arguments[variable] = self._names.free(_leaf(value), variable)
        return self._arguments[variable]

    def _function(self, node: Node) -> str:
        """The name of a differentiated function: a loss is named after its parameters, any other after its value."""
        own = _ends(node.name)
        if node.op == WHEN:
            return self._names.free(*(f"{end}_update" for end in own))
        loss, wrt = node.inputs
        if wrt.startswith("state."):
            return self._names.free(f"{_leaf(wrt)}_loss", *(f"{end}_loss" for end in own))
        return self._names.free(f"{_leaf(loss)}_of_{_leaf(wrt)}", *(f"{end}_value" for end in own))

    def value(self, node: Node) -> str:
        """A name for the value of a node."""
        if node.op == INPUT:
            group, _, key = node.name.partition(".")
            return f'{group}["{key}"]' if key else group
        if node.op == "Key":
            return self._names.free("key", *_ends(node.name))
        ends = _ends(node.name)
        if node.op == "Broadcast":
            ends = [_leaf(node.inputs[0]), *ends]
        if node.op == STOP and ends[0].endswith("_constant"):
            ends = [ends[0].removesuffix("_constant"), *ends]
        if node.name in self._kept:
            ends = [_leaf(self._kept[node.name]), *ends]
        return self._names.free(*ends, *([f"{ends[0]}_value"] if ends[0].endswith("loss") else []))


def _leaf(name: str) -> str:
    return name.rsplit(".", 1)[-1]


def _ends(name: str) -> list[str]:
    """Suffixes of a node's name by increasing length, from the last part, or the last two if one is too general."""
    parts = name.split(".")
    shortest = max(len(parts) - (2 if parts[-1] in _VAGUE else 1), 0)
    return ["_".join(parts[start:]) for start in range(shortest, -1, -1)]
