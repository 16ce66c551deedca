"""A statement up to the token that does not fit, as the rules of :mod:`mistakes` see it, and what a rule finds."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from flowrl_dsl.diagnostics import Diagnostic
from flowrl_dsl.syntax.brackets import CLOSER, OPERATORS, STARTERS, WHOLES
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.machine import Cursor
from flowrl_dsl.syntax.tokens import END, Token, after, span_of, virtual

VALUES = frozenset(["NUMBER", "STRING", "TRUE", "FALSE", "NAME", "INF", "LSQB", "LPAR", "MINUS"])
_CLASSES = {"NAME": "a name", "NUMBER": "a number", "STRING": "a quoted string", END: "the end of the file"}


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``drop`` tokens from index ``at`` by ``insert``."""

    at: int
    drop: int
    insert: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    diagnostic: Diagnostic
    edit: Edit | None = None


@dataclass
class Scene:
    """A statement and the token in it that does not fit."""

    tokens: list[Token]
    start: int  # index of the statement's first token
    index: int  # index of the token that does not fit
    mark: Cursor  # the parser before the statement
    cursor: Cursor  # the parser before the token
    file: str

    @cached_property
    def expected(self) -> frozenset[str]:
        kinds = self.cursor.accepts()
        # A second word is a section's own name only where a brace follows: elsewhere an "=" or a "{" is missing.
        return kinds - {"NAME"} if self._behind_first_word else kinds

    @property
    def _behind_first_word(self) -> bool:
        return self.head.type == "NAME" and self.index == self.start + 1

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def head(self) -> Token:
        return self.tokens[self.start]

    @property
    def at_start(self) -> bool:
        return self.index == self.start

    def back(self, count: int) -> Token | None:
        """The ``count``-th token before this one, inside the statement."""
        index = self.index - count
        return self.tokens[index] if index >= self.start else None

    @property
    def previous(self) -> Token:
        """The token before this one, whichever statement it belongs to."""
        return self.tokens[max(self.index - 1, 0)]

    @property
    def following(self) -> Token:
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    @cached_property
    def opener(self) -> Token | None:
        """The innermost bracket of this statement that is open at the token."""
        stack: list[Token] = []
        for token in self.tokens[self.start : self.index]:
            if token.type in CLOSER:
                stack.append(token)
            elif token.type in ("RPAR", "RSQB", "RBRACE") and stack:
                stack.pop()
        return stack[-1] if stack else None

    def kind_back(self, count: int) -> str | None:
        token = self.back(count)
        return token.type if token is not None else None

    @property
    def wants_value(self) -> bool:
        return "TRUE" in self.expected

    @property
    def in_header(self) -> bool:
        """Whether the token stands in ``improve ...``, ``for ...``, or the header of a file, or behind a section's name."""
        return self.head.type in WHOLES | {"IMPROVE", "FOR"} or self.index == self.start + 1

    def at_token(self, code: str, message: str, *notes: str, edit: Edit | None = None) -> Finding:
        place = span_of(self.token, self.file) if self.token.type != END else after(self.previous, self.file)
        return Finding(Diagnostic(code, message, place, tuple(n for n in notes if n)), edit)

    def behind(self, index: int, code: str, message: str, *notes: str, edit: Edit | None = None) -> Finding:
        """A finding at the empty place behind token ``index``: something is missing there."""
        place = after(self.tokens[max(index, 0)], self.file)
        return Finding(Diagnostic(code, message, place, tuple(n for n in notes if n)), edit)

    def insert(self, kind: str, at: int | None = None) -> Edit:
        at = self.index if at is None else at
        text = language().written.get(kind) or {"NUMBER": "0", "STRING": '""', "NAME": "_"}[kind]
        return Edit(at, 0, (virtual(kind, self.tokens[at], text),))

    def replace(self, kind: str, at: int | None = None) -> Edit:
        at = self.index if at is None else at
        token = self.tokens[at]
        text = '""' if kind == "STRING" else language().written.get(kind, str(token))
        return Edit(at, 1, (token.replaced(kind, text),))

    def would_help(self, kind: str) -> bool:
        """Whether a token of this kind, inserted here, lets the parser read this token and a telling next one."""
        kinds = [kind, self.token.type]
        if self.following.type in ("EQUAL", "LBRACE"):
            kinds.append(self.following.type)
        return self.cursor.takes(kinds)


Rule = Callable[[Scene], Finding | None]


def describe(token: Token) -> str:
    """How a message names a token it found."""
    if token.type == END:
        return "the end of the file"
    text = str(token) if len(token) <= 24 else f"{token[:20]}..."
    if token.type == "STRING":
        return f"the string {text}"
    if token.type in language().keywords.values():
        return f'the reserved word "{text}"'
    return f'"{text}"'


def wanted(expected: frozenset[str]) -> str:
    """How a message names what would have fitted: classes of tokens before single ones."""
    kinds, parts = set(expected), []
    if "TRUE" in kinds:
        parts.append("a value")
        kinds -= VALUES
    if "PLUS" in kinds:
        kinds -= OPERATORS
        parts.append("an operator")
    if kinds >= STARTERS:
        kinds -= STARTERS | {"NAME"}
        parts.append("a statement")
    written = language().written
    parts += [_CLASSES.get(kind) or f'"{written[kind]}"' for kind in sorted(kinds)]
    return " or ".join(parts) if len(parts) <= 2 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def names_section(word: Token, second: Token) -> bool:
    """Whether a second word may be the name of a section: on the line of the first, which is no misspelt ``improve``."""
    return word.line == second.line and closest_keyword(word, frozenset({"IMPROVE"}), 0.7) is None


def closest_keyword(word: str, kinds: frozenset[str], cutoff: float = 0.6) -> str | None:
    """The terminal of the reserved word, among ``kinds``, that ``word`` most resembles."""
    keywords = {text: kind for text, kind in language().keywords.items() if kind in kinds}
    close = difflib.get_close_matches(word.lower(), sorted(keywords), n=1, cutoff=cutoff)
    return keywords[close[0]] if close else None
