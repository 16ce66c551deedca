"""Python statements as lines of at most 120 columns.

A statement that is too long is broken at its last brackets: their contents go on one line, or on one line per element.
A chain of operators outside brackets is parenthesised, with one line per operand.  Statements may carry an attribute
``origin``, printed as a comment where it differs from the previous one.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from flowrl_dsl.lowering.emit.text import (
    ATOM,
    POWER,
    UNARY,
    argument,
    commas,
    comprehension,
    enclosed,
    lambda_head,
    operands,
    parameter_list,
    precedence,
    text,
)

WIDTH = 120
_STEP = "    "

Lines = list[str]


def module(statements: Sequence[ast.stmt]) -> str:
    """The text of top-level statements, with two blank lines around functions."""
    lines: Lines = []
    for before, statement in zip([None, *statements], statements, strict=False):
        if before is not None:
            lines += [""] * (2 if _is_block(before) or _is_block(statement) else 0)
        lines += _Indented("").statement(statement)
    return "\n".join(lines) + "\n"


def _is_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.ClassDef)


class _Indented:
    """Prints the statements of an indented block and its nested blocks; keeps the last origin printed."""

    def __init__(self, indent: str, origin: str = ""):
        self.indent = indent
        self.origin = origin

    def body(self, statements: Sequence[ast.stmt], of: ast.AST | None = None) -> Lines:
        lines: Lines = []
        for before, statement in zip([None, *statements], statements, strict=False):
            described = isinstance(of, ast.ClassDef) and before is not None and _is_docstring(before)
            if before is not None and (_is_block(before) or _is_block(statement) or described):
                lines.append("")
            lines += self.statement(statement)
        return lines

    def statement(self, statement: ast.stmt) -> Lines:
        origin = getattr(statement, "origin", "")
        changed = origin and origin != self.origin
        self.origin = origin or self.origin
        lines = self._statement(statement)
        if not changed:
            return lines
        if len(lines) == 1 and len(lines[0]) + len(origin) + 4 <= WIDTH:
            return [f"{lines[0]}  # {origin}"]
        return [f"{self.indent}# {origin}", *lines]

    def _statement(self, statement: ast.stmt) -> Lines:
        fit = _Fit(self.indent)
        match statement:
            case ast.Expr(ast.Constant(str() as docstring)):
                return _docstring(docstring, self.indent)
            case ast.Expr(value):
                return fit.lines("", value, "")
            case ast.Return(None):
                return [f"{self.indent}return"]
            case ast.Return(ast.expr() as value):
                return fit.result("return ", value)
            case ast.Assign(targets, value):
                return self._assign([*targets], value)
            case ast.AugAssign(target, op, value):
                sign = text(ast.BinOp(ast.Name(""), op, ast.Name(""))).strip()
                return fit.value(f"{text(target)} {sign}= ", value)
            case ast.AnnAssign(target, annotation, value):
                head = f"{text(target)}: {text(annotation)}"
                return [self.indent + head] if value is None else fit.value(f"{head} = ", value)
            case ast.FunctionDef() | ast.ClassDef():
                return self._definition(statement)
            case ast.If():
                return self._if(statement, "if")
            case ast.For(target, iterable, body, []):
                names = commas(map(text, target.elts)) if isinstance(target, ast.Tuple) else text(target)
                return [*fit.lines(f"for {names} in ", iterable, ":"), *self._inside(body)]
        return [self.indent + line for line in ast.unparse(statement).split("\n")]

    def _inside(self, body: Sequence[ast.stmt], of: ast.AST | None = None) -> Lines:
        inner = _Indented(self.indent + _STEP, self.origin)
        lines = inner.body(body, of)
        self.origin = inner.origin
        return lines

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr) -> Lines:
        *first, last = targets
        head = "".join(f"{text(target)} = " for target in first)
        bare = isinstance(last, ast.Tuple) and len(last.elts) > 1
        names = commas(map(text, last.elts)) if bare and isinstance(last, ast.Tuple) else text(last)
        if not isinstance(last, ast.Tuple) or len(self.indent) + len(head) + len(names) + 30 <= WIDTH:
            return _Fit(self.indent).result(f"{head}{names} = ", value)
        exploded = [f"{self.indent}{head}(", *(f"{self.indent}{_STEP}{text(name)}," for name in last.elts)]
        return [*exploded, *_Fit(self.indent).value(") = ", value)]

    def _if(self, statement: ast.If, word: str) -> Lines:
        lines = [*_Fit(self.indent).value(f"{word} ", statement.test, ":"), *self._inside(statement.body)]
        match statement.orelse:
            case []:
                return lines
            case [ast.If() as other]:
                return lines + self._if(other, "elif")
        return [*lines, f"{self.indent}else:", *self._inside(statement.orelse)]

    def _definition(self, statement: ast.FunctionDef | ast.ClassDef) -> Lines:
        lines = [line for decorator in statement.decorator_list for line in _Fit(self.indent).lines("@", decorator, "")]
        if isinstance(statement, ast.FunctionDef):
            head, parts = f"def {statement.name}", parameter_list(statement.args)
            brackets = "()"
        else:
            head, parts = f"class {statement.name}", [*map(text, statement.bases), *map(argument, statement.keywords)]
            brackets = "()" if parts else ""
        lines += _Fit(self.indent).texts(head + brackets[:1], parts, brackets[1:] + ":")
        return lines + self._inside(statement.body, statement)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _docstring(docstring: str, indent: str) -> Lines:
    lines = inspect.cleandoc(docstring).replace("\\", "\\\\").split("\n")
    room = WIDTH - len(indent) - 6
    first, *rest = wrap(lines[0], room, break_long_words=False) if len(lines) == 1 else lines
    if not rest:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(indent + line for line in rest), f'{indent}"""']


class _Fit:
    """Breaks expressions that exceed the line length at this indentation."""

    def __init__(self, indent: str):
        self.indent = indent

    @property
    def inside(self) -> _Fit:
        return _Fit(self.indent + _STEP)

    def fits(self, line: str) -> bool:
        return len(self.indent) + len(line) <= WIDTH

    def result(self, head: str, expr: ast.expr) -> Lines:
        """As :meth:`value`; a tuple that fits on the line has no parentheses."""
        if isinstance(expr, ast.Tuple) and len(expr.elts) > 1:
            line = head + commas(map(text, expr.elts))
            if self.fits(line):
                return [self.indent + line]
        return self.value(head, expr)

    def value(self, head: str, expr: ast.expr, tail: str = "") -> Lines:
        """An expression outside any brackets: parenthesised if it is broken at operators."""
        splits = _has_operators(expr) or isinstance(expr, ast.BinOp)
        if self.fits(f"{head}{text(expr)}{tail}") or not splits or _breaks_in_brackets(expr):
            return self.in_groups(head, segments(expr), tail)
        return [f"{self.indent}{head}(", *self.inside.lines("", expr, ""), f"{self.indent}){tail}"]

    def lines(self, head: str, expr: ast.expr, tail: str) -> Lines:
        """An expression inside brackets: it may be broken at its operators."""
        if self.fits(f"{head}{text(expr)}{tail}") or not _has_operators(expr):
            return self.in_groups(head, segments(expr), tail)
        parts = _operator_parts(expr)
        lines: Lines = []
        for number, (sign, operand, least) in enumerate(parts):
            before, behind = sign if number else head, tail if operand is parts[-1][1] else ""
            if precedence(operand) < least:
                lines += self.in_groups(before, segments(operand, least), behind)
            else:
                lines += self.lines(before, operand, behind)
        return lines

    def in_groups(self, head: str, pieces: Sequence[str | Group], tail: str) -> Lines:
        """Break brackets from left to right, each one if the text up to the next one does not fit on the line."""
        lines: Lines = []
        line = head
        for position, piece in enumerate(pieces):
            ahead = "".join(_until_open(pieces[position + 1 :], tail))
            if isinstance(piece, str) or self.fits(line + piece.flat + ahead):
                line += piece if isinstance(piece, str) else piece.flat
                continue
            lines += [self.indent + line + piece.opening, *self.inside.contents(piece)]
            line = piece.closing
        return [*lines, self.indent + line + tail]

    def contents(self, group: Group) -> Lines:
        """The contents of brackets on separate lines."""
        if group.chain is not None:
            return self.lines("", group.chain, "")
        if group.clauses:
            return [self.indent + part for part in group.clauses]
        together = commas(head + text(expr) for head, expr in group.parts)
        if self.fits(together) and group.is_call:
            return [self.indent + together]
        comma = "" if group.opening == "[" and group.is_index else ","
        return [line for head, expr in group.parts for line in self.lines(head, expr, comma)]

    def texts(self, head: str, parts: Sequence[str], tail: str) -> Lines:
        """Parts already in text form, between a head and a tail."""
        if self.fits(f"{head}{commas(parts)}{tail}"):
            return [f"{self.indent}{head}{commas(parts)}{tail}"]
        if self.inside.fits(commas(parts)):
            return [self.indent + head, self.indent + _STEP + commas(parts), self.indent + tail]
        return [self.indent + head, *(f"{self.indent}{_STEP}{part}," for part in parts), self.indent + tail]


@dataclass(frozen=True)
class Group:
    """Brackets and their contents: parts with their heads (``key=``), one chain of operators, or a comprehension."""

    flat: str
    parts: Sequence[tuple[str, ast.expr]] = ()
    chain: ast.expr | None = None
    clauses: Sequence[str] = ()
    is_call: bool = False
    is_index: bool = False

    @property
    def opening(self) -> str:
        return self.flat[0]

    @property
    def closing(self) -> str:
        return self.flat[-1]


def _until_open(pieces: Iterable[str | Group], tail: str) -> Iterator[str]:
    """The text after a group up to the opening bracket of the next one."""
    for piece in pieces:
        if isinstance(piece, Group):
            yield piece.opening
            return
        yield piece
    yield tail


def segments(expr: ast.expr, least: int = 0) -> list[str | Group]:
    """An expression as text and brackets; parenthesised if its precedence is below ``least``."""
    if precedence(expr) < least:
        return [Group(f"({text(expr)})", chain=expr)]
    match expr:
        case ast.Call(function):
            whole = text(expr).removeprefix(enclosed(function, ATOM))
            return [*segments(function, ATOM), _arguments(expr, whole) if len(whole) > 2 else whole]
        case ast.Subscript(value, index):
            whole = text(expr).removeprefix(enclosed(value, ATOM))
            sliced = isinstance(index, ast.Slice | ast.Tuple)
            return [*segments(value, ATOM), whole if sliced else Group(whole, [("", index)], is_index=True)]
        case ast.Attribute(value, name):
            return [*segments(value, ATOM), f".{name}"]
        case ast.UnaryOp(_, operand):
            sign = text(expr).removesuffix(enclosed(operand, precedence(expr)))
            return [sign, *segments(operand, precedence(expr))]
        case ast.Starred(value):
            return ["*", *segments(value, 6)]
        case ast.Lambda(_, body):
            return [lambda_head(expr), *segments(body, 1)]
        case ast.BinOp(left, ast.Pow(), right):
            first, last = segments(left, POWER + 1), segments(right, UNARY)
            sign = text(expr).removeprefix(enclosed(left, POWER + 1)).removesuffix(enclosed(right, UNARY))
            return [*first, sign, *last]
        case ast.BinOp() | ast.BoolOp() | ast.Compare():
            parts = _operator_parts(expr)
            return [piece for sign, part, least in parts for piece in (" " * bool(sign) + sign, *segments(part, least))]
        case ast.Dict(keys, values):
            heads = [f"{text(key)}: " if key is not None else "**" for key in keys]
            return [Group(text(expr), list(zip(heads, values, strict=True)))]
        case ast.Tuple(elements) | ast.List(elements) | ast.Set(elements):
            return [Group(text(expr), [("", element) for element in elements])]
        case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
            return [Group(text(expr), clauses=comprehension(expr))]
    return [text(expr)]


def _arguments(expr: ast.Call, whole: str) -> Group:
    match expr:
        case ast.Call(args=[ast.GeneratorExp() as only], keywords=[]):
            return Group(whole, clauses=comprehension(only))
    named = [(f"{keyword.arg}=" if keyword.arg is not None else "**", keyword.value) for keyword in expr.keywords]
    return Group(whole, [*(("", arg) for arg in expr.args), *named], is_call=True)


def _operator_parts(expr: ast.expr) -> list[tuple[str, ast.expr, int]]:
    """The operands of a chain of operators, or of a conditional: preceding operator, operand, required precedence."""
    if isinstance(expr, ast.IfExp):
        return [("", expr.body, 2), ("if ", expr.test, 2), ("else ", expr.orelse, 1)]
    return [(f"{p.sign} " if p.sign else "", p.expr, ATOM + 1 if p.enclosed else 0) for p in operands(expr)]


def _has_operators(expr: ast.expr) -> bool:
    if isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.Pow):
        return False
    return isinstance(expr, ast.BinOp | ast.BoolOp | ast.Compare | ast.IfExp)


def _breaks_in_brackets(expr: ast.expr) -> bool:
    """Whether a chain has a single operator of lowest precedence and starts or ends with breakable brackets."""
    if isinstance(expr, ast.IfExp) or (_has_operators(expr) and len(_operator_parts(expr)) != 2):
        return False
    pieces = [piece for piece in segments(expr) if piece]
    first, last = pieces[0], pieces[-1]
    indexed = isinstance(last, Group) and last.is_index
    return (isinstance(last, Group) and not indexed) or isinstance(first, Group)
