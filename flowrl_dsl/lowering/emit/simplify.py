"""Kernels as a printed program needs them: arguments that never vary are put in, and short kernels are written out.

A kernel serves many algorithms: ``ddpm(..., clip=None, quick=False)``.  Where one program always gives it the same ``None``,
``True``, ``False`` or name, that constant takes the place of the argument, and what it decides is decided.  A kernel that is
then a single expression stands where it is called.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from flowrl_dsl.graph.plain import RESULTS
from flowrl_dsl.lowering.emit.kernels import with_kernels
from flowrl_dsl.lowering.emit.scopes import bound_names, free_names, parameters, stored_names
from flowrl_dsl.lowering.emit.text import text

Kernels = dict[str, ast.FunctionDef]

_SHORT = 90
"""Columns of an expression that may be written out in the place of several calls of a kernel."""


def simplified(statements: list[ast.stmt]) -> tuple[Kernels, list[ast.stmt]]:
    """The kernels that statements use, and the statements, with constants put in and short kernels written out."""
    statements = copy.deepcopy(statements)
    kernels = {name: _Plain().visit(kernel) for name, kernel in with_kernels(statements).items()}
    before = ""
    while before != (before := _dump(kernels, statements)):
        _put_in_constants(kernels, statements)
        kernels = with_kernels(statements, {name: _folded(kernel) for name, kernel in kernels.items()})
        _write_out(kernels, statements)
        kernels = with_kernels(statements, kernels)
    return kernels, statements


class _Plain(ast.NodeTransformer):
    """Takes what a library has in place of kernels that compute the same."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name(name), [], []) if name in RESULTS:
                return ast.parse(RESULTS[name], mode="eval").body
        return node


def _dump(kernels: Kernels, statements: Iterable[ast.stmt]) -> str:
    return "".join(map(ast.dump, [*kernels.values(), *statements]))


@dataclass
class _Calls:
    """Calls of one kernel, each with the name of the kernel it stands in; ``""`` for those in other statements.

    ``everywhere`` is false where the kernel is also handed on as a function, or called with unpacked arguments.
    """

    found: list[tuple[str, ast.Call]] = field(default_factory=list)
    everywhere: bool = True


def _all_calls(kernels: Kernels, statements: Iterable[ast.stmt]) -> dict[str, _Calls]:
    """The calls of every kernel."""
    calls = {name: _Calls() for name in kernels}
    for caller, tree in [*kernels.items(), *(("", statement) for statement in statements)]:
        mentions = Counter(free_names(tree))
        for node in ast.walk(tree):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and name in calls and mentions[name]:
                calls[name].found.append((caller, node))
                calls[name].everywhere &= not _unpacks(node)
                mentions[name] -= 1
        for name in calls.keys() & (+mentions).keys():
            calls[name].everywhere = False
    return calls


def _unpacks(call: ast.Call) -> bool:
    return any(isinstance(arg, ast.Starred) for arg in call.args) or any(k.arg is None for k in call.keywords)


# constants in place of arguments


def _put_in_constants(kernels: Kernels, statements: list[ast.stmt]) -> None:
    known = _all_calls(kernels, statements)
    for name, kernel in kernels.items():
        calls = [call for _, call in known[name].found]
        if not known[name].everywhere or not calls or kernel.args.posonlyargs or kernel.args.kwonlyargs:
            continue
        for arg in [*kernel.args.args]:
            possible = _possible(kernels, known, name, arg.arg)
            if possible is not None:
                _Exclude(arg.arg, possible).visit(kernel)
            constant = _common_constant(kernel, arg.arg, calls)
            if constant is not None and not _is_rebound(kernel, arg.arg):
                for call in calls:
                    _drop_argument(kernel, arg.arg, call)
                _drop_parameter(kernel, arg.arg)
                _Replace({arg.arg: constant}).visit(kernel)


def _common_constant(kernel: ast.FunctionDef, parameter: str, calls: Iterable[ast.Call]) -> ast.Constant | None:
    """What every call gives for a parameter, where that is the same None, boolean or string."""
    values = [bound.get(parameter) for bound in (_bound(kernel, call) for call in calls)]
    first = values[0]
    same = all(isinstance(value, ast.Constant) and ast.dump(value) == ast.dump(values[0]) for value in values)  # type: ignore[arg-type]
    if not same or not isinstance(first, ast.Constant):
        return None
    decides = first.value is None or isinstance(first.value, bool | str)
    never_given = first is _defaults(kernel).get(parameter)
    return first if decides or never_given else None


def _defaults(kernel: ast.FunctionDef) -> dict[str, ast.expr]:
    names = [arg.arg for arg in kernel.args.args]
    return dict(zip(names[len(names) - len(kernel.args.defaults) :], kernel.args.defaults, strict=True))


def _bound(kernel: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr]:
    """The parameters of a kernel and what a call gives for them; without those behind a star."""
    names = [arg.arg for arg in kernel.args.args]
    given = dict(zip(names, call.args, strict=False))
    return _defaults(kernel) | given | {k.arg: k.value for k in call.keywords if k.arg is not None}


def _possible(kernels: Kernels, known: Mapping[str, _Calls], name: str, parameter: str) -> set[object] | None:
    """All constants that calls give for a parameter, also by handing on one of the caller; None where not all are known."""
    if not known[name].everywhere:
        return None
    found: set[object] = set()
    for caller, call in known[name].found:
        value = _bound(kernels[name], call).get(parameter)
        if isinstance(value, ast.Constant):
            found.add(value.value)
            continue
        if not (caller and caller != name and isinstance(value, ast.Name) and value.id in parameters(kernels[caller])):
            return None
        handed_on = _possible(kernels, known, caller, value.id)
        if handed_on is None:
            return None
        found |= handed_on
    return found


class _Exclude(ast.NodeTransformer):
    """Decides comparisons of a parameter with strings that it never is."""

    def __init__(self, parameter: str, possible: set[object]):
        self.parameter = parameter
        self.possible = possible

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        match node:
            case ast.Compare(ast.Name(name), [ast.Eq()], [ast.Constant(str() as value)]) if name == self.parameter:
                return node if value in self.possible else ast.Constant(False)
        return node


def _is_rebound(kernel: ast.FunctionDef, parameter: str) -> bool:
    """Whether a parameter's name is given another value in the kernel, or in a function inside it."""
    return any(parameter in bound_names(statement) for statement in kernel.body)


def _drop_argument(kernel: ast.FunctionDef, parameter: str, call: ast.Call) -> None:
    position = [arg.arg for arg in kernel.args.args].index(parameter)
    if position < len(call.args):
        del call.args[position]
    call.keywords = [keyword for keyword in call.keywords if keyword.arg != parameter]


def _drop_parameter(kernel: ast.FunctionDef, parameter: str) -> None:
    args = kernel.args
    position = [arg.arg for arg in args.args].index(parameter)
    from_end = len(args.args) - position
    if from_end <= len(args.defaults):
        del args.defaults[len(args.defaults) - from_end]
    del args.args[position]


class _Replace(ast.NodeTransformer):
    """Puts expressions in the place of names, and several ones in the place of a starred name."""

    def __init__(self, values: Mapping[str, ast.expr], starred: Mapping[str, list[ast.expr]] | None = None):
        self.values = values
        self.starred = starred or {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.values.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if value is None else copy.deepcopy(value)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        args: list[ast.expr] = []
        for arg in node.args:
            name = arg.value.id if isinstance(arg, ast.Starred) and isinstance(arg.value, ast.Name) else ""
            args += self.starred.get(name, [arg])
        node.args = args
        self.generic_visit(node)
        return node


# what is decided


def _folded(kernel: ast.FunctionDef) -> ast.FunctionDef:
    """The kernel without branches that are never taken and values that are never read."""
    folded = _Fold().visit(kernel)
    _drop_unread(folded)
    return folded


class _Fold(ast.NodeTransformer):
    """Decides conditions on constants."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Compare(ast.Constant(left), [ast.Is() | ast.Eq()], [ast.Constant(right)]):
                return ast.Constant(left == right and type(left) is type(right))
            case ast.Compare(ast.Constant(left), [ast.IsNot() | ast.NotEq()], [ast.Constant(right)]):
                return ast.Constant(not (left == right and type(left) is type(right)))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        decisive = isinstance(node.op, ast.Or)
        *first, last = node.values
        kept: list[ast.expr] = []
        for value in first:
            if not isinstance(value, ast.Constant):
                kept.append(value)
            elif bool(value.value) is decisive:
                return value if not kept else ast.BoolOp(node.op, [*kept, value])
        return ast.BoolOp(node.op, [*kept, last]) if kept else last

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        """A tuple unpacked inside of another one is part of it."""
        self.generic_visit(node)
        elements: list[ast.expr] = []
        for element in node.elts:
            nested = isinstance(element, ast.Starred) and isinstance(element.value, ast.Tuple)
            elements += element.value.elts if nested else [element]  # type: ignore[attr-defined]
        node.elts = elements
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Subscript(ast.Tuple(elements), ast.Constant(int() as index)) if index < len(elements):
                return elements[index]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.BinOp(ast.Constant(int() as left), ast.Add(), ast.Constant(int() as right)):
                return ast.Constant(left + right)
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | None:
        self.generic_visit(node)
        match node:
            case ast.Assign([ast.Name(name)], ast.Name(same)) if name == same:
                return None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        ends = [position for position, statement in enumerate(node.body) if isinstance(statement, ast.Return)]
        node.body = node.body[: ends[0] + 1] if ends else node.body
        return node


def _drop_unread(kernel: ast.FunctionDef) -> None:
    """Take out assignments and inner functions that nothing reads, and put constants and other names where they are read."""
    values: dict[str, ast.expr] = {}
    stored = Counter([*stored_names(kernel), *bound_inside(kernel), *parameters(kernel)])
    for statement in kernel.body:
        match statement:
            case ast.Assign([ast.Name(name)], ast.Constant(None | bool()) as value) if stored[name] == 1:
                values[name] = value
            case ast.Assign([ast.Name(name)], ast.Name(other) as value) if stored[name] == stored[other] == 1:
                values[name] = value
            case ast.Assign([ast.Name(name)], ast.Attribute(ast.Name(other)) as value) if stored[name] == 1 > stored[other]:
                values[name] = value
    _Replace(values).visit(kernel)
    _DropUnread(kernel).visit(kernel)


def bound_inside(kernel: ast.FunctionDef) -> Iterator[str]:
    """Names that the functions inside a kernel give a value."""
    for node in ast.walk(kernel):
        if node is not kernel and isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from bound_names(node)


class _DropUnread(ast.NodeTransformer):
    """Takes out what nothing in a kernel reads: variables, inner functions, and attributes that are None or empty lists."""

    def __init__(self, kernel: ast.FunctionDef):
        nodes = [*ast.walk(kernel)]
        self.read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        self.attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
        self.kernel = kernel

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """What a class assigns are its fields."""
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self.generic_visit(statement)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        self.generic_visit(node)
        unread = node.name not in self.read and not node.decorator_list and node is not self.kernel
        return None if unread else node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        match node:
            case ast.Assign([ast.Name(name)]) if name not in self.read:
                return None
            case ast.Assign([ast.Attribute(_, name)], ast.Constant(None) | ast.List([])) if name not in self.attributes:
                return None
        return node


# short kernels at their calls


def _write_out(kernels: Kernels, statements: list[ast.stmt]) -> None:
    known = _all_calls(kernels, statements)
    for name, kernel in kernels.items():
        expression = _only_expression(kernel)
        if expression is None:
            continue
        calls = known[name]
        callers = {caller for caller, _ in calls.found}
        if not calls.everywhere or name in callers:
            continue
        longest = None if len(calls.found) == 1 else _SHORT
        trees = [kernels[caller] for caller in callers if caller]
        for tree in [*trees, *(statements if "" in callers else ())]:
            _WriteOut(kernel, expression, bound_names(tree), longest).visit(tree)
        known = _all_calls(kernels, statements)


def _only_expression(kernel: ast.FunctionDef) -> ast.expr | None:
    """What a kernel returns as one expression: its steps are written where they are read, if each is read once."""
    *steps, last = [statement for statement in kernel.body if not isinstance(statement, ast.Expr)]
    if not (isinstance(last, ast.Return) and last.value is not None):
        return None
    found = _named_values(steps)
    if found is None:
        return None
    value = copy.deepcopy(last.value)
    for name, part in reversed(found):
        captured = bound_names(value) & {*free_names(part)}
        if captured or name in _read_often(value) or [*free_names(value)].count(name) != 1:
            return None
        value = _Replace({name: part}).visit(ast.Expr(value)).value
    return None if {name for name, _ in found} & {*free_names(value)} or ends_awkwardly(value) else value


def _named_values(steps: Iterable[ast.stmt]) -> list[tuple[str, ast.expr]] | None:
    """Names and values of assignments, and of functions of one expression; None where there is anything else."""
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


def ends_awkwardly(value: ast.expr) -> bool:
    """Whether an expression is an item of a call: it has no good place to be broken."""
    return isinstance(value, ast.Subscript | ast.Attribute) and isinstance(value.value, ast.Call)


class _WriteOut(ast.NodeTransformer):
    """Writes the expression of a kernel in the place of its calls, wherever no name changes its meaning by that."""

    def __init__(self, kernel: ast.FunctionDef, expression: ast.expr, local: set[str], longest: int | None):
        self.longest = longest
        self.kernel = kernel
        self.expression = expression
        outside = {*free_names(expression)} - {*parameters(kernel)}
        self.possible = not outside & local
        self.own = bound_names(expression)
        self.often = _read_often(expression)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not (self.possible and isinstance(node.func, ast.Name) and node.func.id == self.kernel.name):
            return node
        names, star = [arg.arg for arg in self.kernel.args.args], self.kernel.args.vararg
        values, rest = _bound(self.kernel, node), node.args[len(names) :]
        captured = self.own & {name for value in [*values.values(), *rest] for name in free_names(value)}
        repeated = any(name in self.often and not _is_atom(value) for name, value in values.items())
        if captured or repeated:
            return node
        starred = {} if star is None else {star.arg: rest}
        several = {} if star is None else {star.arg: ast.Tuple(rest, ast.Load())}
        written = (
            _Fold().visit(_Replace({**values, **several}, starred).visit(ast.Expr(copy.deepcopy(self.expression)))).value
        )
        return written if self.longest is None or len(text(written)) <= self.longest else node


def _read_often(expression: ast.expr) -> set[str]:
    """Names that an expression reads more than once, or in a function or loop inside it."""
    read = Counter(free_names(expression))
    inner = {name for node in ast.walk(expression) if isinstance(node, _LOOPS) for name in free_names(node)}
    return {name for name, times in read.items() if times > 1} | inner


_INDEX = (ast.Constant, ast.Slice, ast.Tuple, ast.Load)
_LOOPS = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def _is_atom(expr: ast.expr) -> bool:
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
