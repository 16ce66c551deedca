"""Printing a program as one readable, self-contained Python file.

The file holds the source of every kernel the program uses, the networks, and ``init``, ``step`` and ``act`` as
straight-line code with one line for each node of the update graph.  It imports jax, flax and optax but not this
package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import fill

from flowrl_dsl.graph.expr import Expr, modules_in
from flowrl_dsl.graph.nodes import INPUT, Graph, Node
from flowrl_dsl.lowering.emit.functions import function_statement, module_statement
from flowrl_dsl.lowering.emit.kernels import parsed
from flowrl_dsl.lowering.emit.layout import WIDTH, module
from flowrl_dsl.lowering.emit.scopes import free_names
from flowrl_dsl.lowering.emit.simplify import simplified

_HEADER = '''"""{title}

Printed by flowrl-dsl {version}.  {about}

    state = init(jax.random.PRNGKey(0))
    state, metrics = jax.jit(step, donate_argnums=0)(state, batch, HYPER)

{arrays}
"""

'''

_IMPORTS = {
    "zlib": "import zlib",
    "partial": "from functools import partial",
    "nn": "import flax.linen as nn",
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "optax": "import optax",
}
_STANDARD = ("zlib", "partial")

_DRAW_KEY = '''
def draw_key(key, name):
    """The random key of one draw, known by its name."""
    return jax.random.fold_in(key, zlib.crc32((name + ".key").encode()) & 0x7FFFFFFF)
'''


def emit_python(title: str, about: str, graphs: Mapping[str, Graph], hyper: Mapping[str, float], version: str) -> str:
    """The program as Python source."""
    builds = modules_in(_expressions(graphs.values()))
    networks = [module_statement(build) for build in builds.values()]
    functions = [function_statement(name, graph, [*builds, *graphs]) for name, graph in graphs.items()]
    kernels, statements = simplified([*networks, *functions])
    networks, functions = statements[: len(networks)], statements[len(networks) :]
    if any("draw_key" in free_names(function) for function in functions):
        functions.insert(0, parsed(_DRAW_KEY))
    numbers = ast.parse(f"HYPER = {dict(sorted(hyper.items()))!r}").body
    parts: list[Sequence[ast.stmt]] = [kernels, [*networks, *numbers], functions]
    batch = ", ".join(f"{node.name.removeprefix('batch.')} {_shape(node)}" for node in _batch(graphs["step"]))
    arrays = fill(f"``batch`` holds float32 arrays: {batch}.", WIDTH)
    header = _HEADER.format(title=title, about=about, arrays=arrays, version=version)
    return header + _imports(part for group in parts for part in group) + "\n\n" + "\n\n".join(module(p) for p in parts if p)


def _imports(statements: Iterable[ast.stmt]) -> str:
    used = {name for statement in statements for name in free_names(statement)} & {*_IMPORTS}
    standard = [line for name, line in _IMPORTS.items() if name in used and name in _STANDARD]
    others = [line for name, line in _IMPORTS.items() if name in used and name not in _STANDARD]
    return "\n\n".join("\n".join(lines) for lines in (standard, others) if lines) + "\n"


def _batch(step: Graph) -> list[Node]:
    return [node for node in step.nodes.values() if node.op == INPUT and node.name.startswith("batch.")]


def _shape(node: Node) -> str:
    return "[" + ", ".join(node.type.axes) + "]"


def _expressions(graphs: Iterable[Graph]) -> Iterator[Expr]:
    for graph in graphs:
        yield from (node.expr for node in graph.nodes.values() if node.expr is not None)
