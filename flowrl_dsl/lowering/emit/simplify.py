"""Specialisation of the kernels of a printed program: constant arguments are substituted, and short kernels are inlined.

A kernel serves many algorithms: ``ddpm(..., clip=None, key=None)``.  Where one program always gives it the same ``None``,
``True``, ``False`` or name, that constant takes the place of the argument, and what it decides is decided.  A kernel that is
then a single expression stands where it is called.  Kernels are pure functions: a value that nothing reads need not be
computed, and a value that is read once may be computed there.
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
    """The kernels that statements use, and the statements, with constants put in and short kernels written out."""
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
    """Takes what a library has in place of kernels that compute the same."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name(name), [], []) if name in RESULTS:
                return ast.parse(RESULTS[name], mode="eval").body
        return node
