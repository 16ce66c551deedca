"""Lark's tree to ours: what each rule of the grammar means, and the mistakes that no grammar rule can see."""

from __future__ import annotations

import re
from itertools import pairwise

from lark import Tree
from lark.visitors import Transformer_NonRecursive

from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.tokens import Token, span_of

DEEPEST = 100

_DEEPER = frozenset(["binary", "unary", "call", "list_", "group", "arrow", "draw", "section", "improve", "for_task"])
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
_ESCAPE = re.compile(r"\\(.)")


def too_deep(root: Tree) -> Token | None:
    """The first token of a part nested more than DEEPEST levels deep, or None when there is none.

    What comes after the parser may recurse into the tree, because no tree is deeper than this.
    """
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        depth += node.data in _DEEPER
        if depth > DEEPEST:
            return _leftmost(node)
        stack.extend((child, depth) for child in node.children if isinstance(child, Tree))
    return None


def _leftmost(node: Tree | Token) -> Token:
    while isinstance(node, Tree):
        node = node.children[0]
    return node


class TreeBuilder(Transformer_NonRecursive):
    """Builds our tree bottom up.  Every child is a node of ours, a list of statements, or a token of the text."""

    def __init__(self, file: str, diagnostics: Diagnostics):
        super().__init__(visit_tokens=False)
        self.at, self.diagnostics = file, diagnostics

    def _span(self, part) -> Span:
        return span_of(part, self.at) if isinstance(part, Token) else part.span

    def _over(self, parts: list) -> Span:
        last = parts[-1]
        end = last[1] if isinstance(last, tuple) else self._span(last)
        return self._span(parts[0]).to(end)

    def _name(self, token: Token) -> tree.Name:
        return tree.Name(str(token), span_of(token, self.at))

    # ------------------------------------------------------------------------------------------------- statements

    def file(self, parts: list) -> tree.File:
        whole = parts[0] if isinstance(parts[0], tree.Whole) else None
        return tree.File(whole, () if whole else tuple(parts))

    def algorithm(self, parts: list) -> tree.Algorithm:
        return tree.Algorithm(*self._whole(parts))

    def suite(self, parts: list) -> tree.Suite:
        return tree.Suite(*self._whole(parts))

    def _whole(self, parts: list) -> tuple:
        """Name, title, base, statements and span of an algorithm or a suite."""
        title = base = None
        for before, part in pairwise(parts):
            if _is(part, "STRING"):
                if _is(before, "EXTENDS"):
                    base = self._string(part)
                else:
                    title = self._string(part)
        return self._name(parts[1]), title, base, parts[-1][0], self._over(parts)

    def body(self, parts: list) -> tuple[tuple[tree.Statement, ...], Span]:
        return tuple(parts[1:-1]), self._span(parts[-1])

    def assign(self, parts: list) -> tree.Assign:
        return tree.Assign(self._name(parts[0]), parts[2], self._over(parts[:3]))

    def section(self, parts: list) -> tree.Section:
        given = self._name(parts[1]) if len(parts) > 2 else None
        return tree.Section(self._name(parts[0]), parts[-1][0], self._over(parts), given)

    def param(self, parts: list) -> tree.Param:
        bounds = parts[5] if len(parts) > 4 else None
        return tree.Param(self._name(parts[1]), parts[3], bounds, self._over(parts))

    def let(self, parts: list) -> tree.Let:
        return tree.Let(self._name(parts[1]), parts[3], self._over(parts))

    def define(self, parts: list) -> tree.Define:
        names = [self._name(part) for part in parts[3:-2] if _is(part, "NAME")]
        for n, name in enumerate(names):
            if any(name.id == other.id for other in names[:n]):
                message = f'"{name.id}" is listed twice in the arguments of "{parts[1]}"'
                self.diagnostics.error("FRL0134", message, name.span)
        return tree.Define(self._name(parts[1]), tuple(names), parts[-1], self._over(parts))

    def improve(self, parts: list) -> tree.Improve:
        weight = parts[1] if len(parts) > 3 else None
        return tree.Improve(weight, self._name(parts[-2]), parts[-1][0], self._over(parts))

    def for_task(self, parts: list) -> tree.ForTask:
        tasks = tuple(self._string(part) for part in parts if _is(part, "STRING"))
        return tree.ForTask(tasks, parts[-1][0], self._over(parts))

    def range_(self, parts: list) -> tree.Range:
        comma = next(n for n, part in enumerate(parts) if part.type == "COMMA")
        low, high = self._bound(parts[1:comma]), self._bound(parts[comma + 1 : -1])
        low_open, high_open = parts[0].type == "LPAR", parts[-1].type == "RPAR"
        span = self._over(parts)
        if (low == float("inf")) or (high == float("-inf")) or low > high:
            self._bad_range("the lower bound is above the upper one", span)
        elif low == high and (low_open or high_open):
            self._bad_range("no number lies in this range", span)
        elif (low == float("-inf") and not low_open) or (high == float("inf") and not high_open):
            self._bad_range('infinity is never reached: its side is written with "(" or ")"', span)
        return tree.Range(_finite(low), _finite(high), low_open, high_open, span)

    def _bad_range(self, message: str, span: Span) -> None:
        self.diagnostics.error("FRL0125", message, span, "a range is written (0, 10] or [1, inf)")

    def _bound(self, parts: list[Token]) -> int | float:
        value = float("inf") if parts[-1].type == "INF" else _value(parts[-1])
        return -value if len(parts) > 1 else value

    # ------------------------------------------------------------------------------------------------ expressions

    def number(self, parts: list) -> tree.Number:
        return tree.Number(_value(parts[0]), span_of(parts[0], self.at), str(parts[0]))

    def string(self, parts: list) -> tree.String:
        return self._string(parts[0])

    def boolean(self, parts: list) -> tree.Boolean:
        return tree.Boolean(parts[0].type == "TRUE", span_of(parts[0], self.at))

    def name(self, parts: list) -> tree.Name:
        return self._name(parts[0])

    def group(self, parts: list) -> tree.Expr:
        """Parentheses leave no node, but a place given in a message includes them."""
        inner = parts[1]
        values = {name: getattr(inner, name) for name in inner.__dataclass_fields__}
        return type(inner)(**{**values, "span": self._over(parts)})

    def call(self, parts: list) -> tree.Call:
        arguments = tuple(part for part in parts if isinstance(part, tree.Argument))
        self._check_arguments(str(parts[0]), arguments)
        return tree.Call(self._name(parts[0]), arguments, self._over(parts))

    def argument(self, parts: list) -> tree.Argument:
        name = self._name(parts[0]) if len(parts) > 1 else None
        return tree.Argument(name, parts[-1], self._over(parts))

    def list_(self, parts: list) -> tree.List:
        return tree.List(tuple(part for part in parts if not isinstance(part, Token)), self._over(parts))

    def unary(self, parts: list) -> tree.Unary:
        return tree.Unary(parts[1], self._over(parts))

    def binary(self, parts: list) -> tree.Binary:
        return tree.Binary(str(parts[1]), parts[0], parts[2], self._over(parts))

    def arrow(self, parts: list) -> tree.Arrow:
        return tree.Arrow(tuple(parts[::2]), self._over(parts))

    def draw(self, parts: list) -> tree.From:
        return tree.From(parts[0], self._name(parts[2]), self._over(parts))

    def _check_arguments(self, function: str, arguments: tuple[tree.Argument, ...]) -> None:
        """Report misplaced and repeated names, except on a line with a mistake: its arguments may be the parser's guess."""
        named: dict[str, Span] = {}
        for argument in arguments:
            if argument.name is None:
                if named and not self.diagnostics.on_line(argument.span.line):
                    message = f'argument without a name behind "{next(reversed(named))} = ..." in "{function}"'
                    self.diagnostics.error("FRL0133", message, argument.span, "arguments without a name come first")
            elif argument.name.id in named:
                if self.diagnostics.on_line(argument.span.line):
                    continue
                message = f'"{argument.name.id}" is given twice to "{function}"'
                first = named[argument.name.id]
                note = f"first given at {first.line}:{first.column}"
                self.diagnostics.error("FRL0132", message, argument.name.span, note)
            else:
                named[argument.name.id] = argument.name.span

    def _string(self, token: Token) -> tree.String:
        for escape in _ESCAPE.finditer(token):
            if escape[1] not in _ESCAPES:
                column = token.column + escape.start()
                span = Span(self.at, token.line, column, token.line, column + 2)
                note = r"known are \" \\ \n \t \r"
                self.diagnostics.error("FRL0123", f'unknown escape "{escape[0]}" in a string', span, note)
        value = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1])
        return tree.String(value, span_of(token, self.at))


def _is(part, kind: str) -> bool:
    return isinstance(part, Token) and part.type == kind


def _value(token: Token) -> int | float:
    digits = token.replace("_", "")
    return int(digits) if digits.isdigit() else float(digits)


def _finite(bound: int | float) -> int | float | None:
    return None if bound in (float("inf"), float("-inf")) else bound
