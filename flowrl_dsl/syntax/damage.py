"""What remains certain of a text with mistakes: the statements that the parser read exactly as they are written.

A **wound** is a token that was dropped, a token that was made up, or the place of a syntax error.  A block (a section, an
``improve`` or ``for task`` block) with a wound in its body is *incomplete*: its header is known, its statements are not.
Any other wound leaves the whole algorithm or suite incomplete, for it may hide statements of any kind; the statement that
it stands in, or next to, is left out.  Where a bracket outside of bodies or any brace is wounded, the text is *torn*: the
parser guessed where a statement or block ends, so that only the blocks without wounds remain.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeVar

from lark import Tree

from flowrl_dsl.diagnostics import Diagnostic
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.tokens import END, Token

_BRACES = ("LBRACE", "RBRACE")
_BRACKETS = ("LPAR", "RPAR", "LSQB", "RSQB")

_Place = tuple[int, int]
_Stretch = tuple[_Place, _Place]
_Block = tree.Section | tree.Improve | tree.ForTask


W = TypeVar("W", bound=tree.Whole)


def certain(whole: W, grown: Tree, written: Sequence[Token], found: Iterable[Diagnostic]) -> W | None:
    """The certain part of an algorithm or suite, with its incomplete parts marked; None where its header is wounded.

    ``grown`` is lark's tree of it, ``written`` are the tokens of the text, ``found`` its syntax errors.
    """
    *header, body = grown.children
    bodies = [node.children[-1] for node in body.children[1:-1] if _is_block(node)]
    wounds = _Wounds.of(grown, bodies, written, found)
    if wounds.in_header([*header, body.children[0]]):
        return None
    body_parts = zip(body.children[1:-1], whole.body, strict=True)
    befores = [None, *body.children[1:-1]]
    statements = [
        (node, None if wounds.runs_into(before, node) else _certain(node, statement, wounds))
        for before, (node, statement) in zip(befores, body_parts, strict=False)
    ]
    kept = tuple(statement for _, statement in statements if statement is not None)
    complete = len(kept) == len(statements) and not wounds.torn and wounds.all_inside
    return replace(whole, body=kept, complete=complete)


def _certain(node: Tree, statement: tree.Statement, wounds: _Wounds) -> tree.Statement | None:
    if not isinstance(statement, _Block):
        return None if wounds.torn or wounds.near(node) else statement
    *header, body = node.children
    if wounds.in_header([*header, body.children[0]]):
        return None
    if not wounds.in_body(body):
        # the brace that is one too many, or lacks, may be that of a section inside of it
        of_task = wounds.torn and isinstance(statement, tree.ForTask)
        return replace(statement, complete=False) if of_task else statement
    return None if wounds.torn else replace(statement, complete=False)


class _Stretches:
    """Stretches of a text, asked in a time that hardly grows with their number."""

    def __init__(self, stretches: Iterable[_Stretch]):
        ordered = sorted(stretches)
        self._begins = [begin for begin, _ in ordered]
        self._ends = list(accumulate((end for _, end in ordered), max))  # the last end of the first so many

    def begin_within(self, first: _Place, last: _Place) -> bool:
        """Whether one begins behind ``first`` and not behind ``last``."""
        return bisect_right(self._begins, first) < bisect_right(self._begins, last)

    def reach(self, first: _Place, last: _Place) -> bool:
        """Whether one begins before ``last`` and ends at ``first`` or behind it."""
        count = bisect_left(self._begins, last)
        return count > 0 and self._ends[count - 1] >= first


@dataclass(frozen=True)
class _Wounds:
    """Wounds as stretches of the text, and the tokens that are not in it, by identity."""

    stretches: _Stretches
    made: frozenset[int]
    braces: bool
    """Whether a brace was dropped or made up."""
    torn: bool
    all_inside: bool
    """Whether every wound is in the body of a block."""

    @classmethod
    def of(cls, grown: Tree, bodies: list[Tree], written: Sequence[Token], found: Iterable[Diagnostic]) -> _Wounds:
        read, inside = list(_tokens([grown])), [list(_tokens([body])) for body in bodies]
        kept, known = {id(token) for token in read}, {id(token) for token in written}
        within = {id(token) for tokens in inside for token in tokens}
        insides = [(_end(tokens[0]), _end(tokens[-1])) for tokens in inside]
        lost = [
            (token, _around(written, n)) for n, token in enumerate(written) if id(token) not in kept and token.type != END
        ]
        made = [token for token in read if id(token) not in known]
        outside = [token for token, stretch in lost if not _within(stretch, insides)]
        outside += [token for token in made if id(token) not in within]
        spans = [diagnostic.span for diagnostic in found if diagnostic.span is not None]
        errors = [((span.line, span.column), (span.end_line, span.end_column)) for span in spans]
        braces = any(token.type in _BRACES for token in (*made, *(token for token, _ in lost)))
        return cls(
            stretches=_Stretches([*errors, *(stretch for _, stretch in lost)]),
            made=frozenset(map(id, made)),
            braces=braces,
            torn=braces or any(token.type in _BRACKETS for token in outside),
            all_inside=not outside and all(_within(error, insides) for error in errors),
        )

    def _made(self, tokens: Iterable[Token]) -> bool:
        return any(id(token) in self.made for token in tokens)

    def in_header(self, parts: list[Tree | Token]) -> bool:
        """Whether a header is wounded, up to its brace.

        An error placed at its first token is about what precedes it, unless the token itself was replaced.
        """
        tokens = list(_tokens(parts))
        first, brace = _start(tokens[0]), _start(tokens[-1])
        return self._made(tokens) or self.stretches.reach(first, first) or self.stretches.begin_within(first, brace)

    def runs_into(self, before: Tree | None, node: Tree) -> bool:
        """Whether the statement before, on the same line, has a made-up token: where it ends is a guess."""
        if before is None or _is_block(before):
            return False
        tokens = list(_tokens([before]))
        return self._made(tokens) and _end(tokens[-1])[0] == _start(next(iter(_tokens([node]))))[0]

    def in_body(self, body: Tree) -> bool:
        """Whether a body is wounded, its closing brace included, and its line where braces are in doubt."""
        tokens = list(_tokens([body]))
        first, last = _end(tokens[0]), _end(tokens[-1])
        return self._made(tokens) or self.stretches.reach(first, (last[0] + 1, 0) if self.braces else last)

    def near(self, node: Tree) -> bool:
        """Whether a statement without a body is wounded, or shares a line with a wound."""
        tokens = list(_tokens([node]))
        first, last = (_start(tokens[0])[0], 0), (_end(tokens[-1])[0] + 1, 0)
        return self._made(tokens) or self.stretches.reach(first, last)


def _within(stretch: _Stretch, insides: Sequence[_Stretch]) -> bool:
    """Whether a stretch lies in one of these, which are in order."""
    begin, end = stretch
    at = bisect_right(insides, begin, key=lambda inside: inside[0]) - 1
    return at >= 0 and begin < insides[at][1] and end <= insides[at][1]


def _around(written: Sequence[Token], index: int) -> _Stretch:
    """From the end of the token before a dropped one to its own end, or to the start of the next one on its line.

    So a dropped token is a wound of the statement that it may have continued, and of the one that it may have begun.
    """
    begin, token, following = written[max(index - 1, 0)], written[index], written[index + 1]
    return _end(begin), _start(following) if following.line == token.end_line else _end(token)


def _is_block(node: Tree) -> bool:
    body = node.children[-1]
    return isinstance(body, Tree) and body.data == "body"


def _tokens(parts: Iterable[Tree | Token]) -> Iterable[Token]:
    """The tokens of parts of lark's tree, in the order of the text."""
    waiting = list(parts)[::-1]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Tree):
            waiting.extend(reversed(part.children))
        else:
            yield part


def _start(token: Token) -> _Place:
    return token.line, token.column


def _end(token: Token) -> _Place:
    return token.end_line, token.end_column
