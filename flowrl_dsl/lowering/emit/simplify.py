"""Specialisation of the kernels of a printed program: constant arguments are substituted, and short kernels are inlined.

A kernel serves many algorithms: ``ddpm(..., clip=None, key=None)``.  If a program always passes the same ``None``,
``True``, ``False`` or string, that constant replaces the argument and conditions on it are folded.  A kernel that reduces
to a single expression is inlined at its calls.  Kernels are pure functions: an unused value need not be computed, and a
value with a single use may be computed at that use.
"""

from __future__ import annotations

import ast
import copy

from flowrl_dsl.graph.plain import RESULTS
from flowrl_dsl.lowering.emit.constants import put_in_constants
from flowrl_dsl.lowering.emit.folding import fold
from flowrl_dsl.lowering.emit.parts import File
from flowrl_dsl.lowering.emit.writing import write_out


def simplified(statements: list[ast.stmt]) -> tuple[list[ast.FunctionDef], list[ast.stmt]]:
    """The kernels in use and the statements, after substituting constants and inlining short kernels."""
    file = File(copy.deepcopy(statements))
    for kernel in file.kernels.values():
        _Plain().visit(kernel.tree)
        kernel.changed()
    changed = True
    while changed:
        changed = put_in_constants(file)
        for kernel in file.kernels.values():
            changed |= fold(kernel)
        file.gather()
        changed |= write_out(file)
        file.gather()
    return [kernel.tree for kernel in file.kernels.values()], [part.tree for part in file.others]


class _Plain(ast.NodeTransformer):
    """Replaces kernels by equivalent library functions."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name(name), [], []) if name in RESULTS:
                return ast.parse(RESULTS[name], mode="eval").body
        return node
