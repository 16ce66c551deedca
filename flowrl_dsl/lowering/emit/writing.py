"""Inlines single-expression kernels at their calls."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable

from flowrl_dsl.lowering.emit.constants import Replace
from flowrl_dsl.lowering.emit.folding import Fold
from flowrl_dsl.lowering.emit.parts import File, Kernel, Part
from flowrl_dsl.lowering.emit.scopes import bindings, free_names, parameters
from flowrl_dsl.lowering.emit.text import text

_SHORT = 90
"""Columns of an expression that may be written out in the place of several calls of a kernel."""


def write_out(file: File) -> bool:
    """Inline single-expression kernels; returns whether the file changed."""
    changed = False
    for name, kernel in file.kernels.items():
        expression = _only_expression(kernel)
        calls = file.calls(name) if expression is not None else None
        if expression is None or not calls or any(part is kernel for part, _ in calls):
            continue
        for part in dict.fromkeys(part for part, _ in calls):
            writing = _WriteOut(kernel, expression, part, longest=None if len(calls) == 1 else _SHORT)
            writing.visit(part.tree)
            if writing.found:
                part.changed()
                changed = True
    return changed


def _only_expression(kernel: Kernel) -> ast.expr | None:
    """The result of a kernel as one expression, with each step inlined at its use, if each is used once."""
    *steps, last = [statement for statement in kernel.tree.body if not isinstance(statement, ast.Expr)] or [ast.Pass()]
    if not kernel.is_ordinary or not (isinstance(last, ast.Return) and last.value is not None):
        return None
    found = _named_values(steps)
    if found is None or any(name in kernel.names for name, _ in found):
        return None
    value = copy.deepcopy(last.value)
    for name, part in reversed(found):
        captured = {*bindings(value)} & {*free_names(part)}
        if captured or name in _read_often(value) or [*free_names(value)].count(name) != 1:
            return None
        value = _in_expression(Replace({name: part}), value)
    return None if {name for name, _ in found} & {*free_names(value)} or _ends_awkwardly(value) else value


def _in_expression(change: ast.NodeTransformer, value: ast.expr) -> ast.expr:
    return change.visit(ast.Expr(value)).value


def _named_values(steps: Iterable[ast.stmt]) -> list[tuple[str, ast.expr]] | None:
    """Names and values of assignments and single-expression functions; None if there is any other statement."""
    found: list[tuple[str, ast.expr]] = []
    for step in steps:
        match step:
            case ast.Assign([ast.Name(name)], value):
                found.append((name, value))
            case ast.FunctionDef(name, args, [ast.Return(ast.expr() as value)], decorator_list=[]):
                found.append((name, ast.Lambda(args, value)))
            case _:
                return None
    return found if len({name for name, _ in found}) == len(found) else None


def _ends_awkwardly(value: ast.expr) -> bool:
    """Whether an expression is an item or attribute of a call's result, which leaves no good place for a line break."""
    return isinstance(value, ast.Subscript | ast.Attribute) and isinstance(value.value, ast.Call)


class _WriteOut(ast.NodeTransformer):
    """Replaces the calls of a kernel in a part by its expression, unless that would capture a name."""

    def __init__(self, kernel: Kernel, expression: ast.expr, part: Part, longest: int | None):
        self.kernel = kernel
        self.expression = expression
        self.longest = longest
        self.found = False
        defaults = (name for value in kernel.defaults.values() for name in free_names(value))
        outside = {*free_names(expression), *defaults} - {*parameters(kernel.tree)}
        self._is_possible = not outside & part.bound.keys()
        self._own = {*bindings(expression)}
        self._often = _read_often(expression)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not (self._is_possible and isinstance(node.func, ast.Name) and node.func.id == self.kernel.tree.name):
            return node
        written = self._written(node)
        if written is None or (self.longest is not None and len(text(written)) > self.longest):
            return node
        self.found = True
        return written

    def _written(self, call: ast.Call) -> ast.expr | None:
        """The expression with a call's arguments; None if it would capture a name or evaluate a value twice."""
        values, star = self.kernel.given(call), self.kernel.tree.args.vararg
        rest = call.args[len(self.kernel.names) :]
        captured = self._own & {name for value in [*values.values(), *rest] for name in free_names(value)}
        if captured or any(name in self._often and not _is_atom(value) for name, value in values.items()):
            return None
        if star is None:
            replace = Replace(values)
        else:
            replace = Replace({**values, star.arg: ast.Tuple(rest, ast.Load())}, {star.arg: rest})
        return _in_expression(Fold(), _in_expression(replace, copy.deepcopy(self.expression)))


_INNER = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_INDEX = (ast.Constant, ast.Slice, ast.Tuple, ast.Load)


def _read_often(expression: ast.expr) -> set[str]:
    """Names that an expression reads more than once, or in a function or loop inside it."""
    read = Counter(free_names(expression))
    inner = {name for node in ast.walk(expression) if isinstance(node, _INNER) for name in free_names(node)}
    return {name for name, times in read.items() if times > 1} | inner


def _is_atom(expr: ast.expr) -> bool:
    """Whether an expression costs nothing to evaluate and may therefore be repeated."""
    match expr:
        case ast.Name() | ast.Constant():
            return True
        case ast.Attribute(value):
            return _is_atom(value)
        case ast.Subscript(value, index):
            return _is_atom(value) and all(isinstance(node, _INDEX) for node in ast.walk(index))
        case ast.Tuple(elements):
            return all(isinstance(element, ast.Constant) for element in elements)
    return False
