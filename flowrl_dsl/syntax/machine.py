"""The grammar as an automaton that can be copied, asked and wound back: the tool of error recovery.

A :class:`Cursor` recognises without building anything, so a copy costs two short lists; lark's
ImmutableInteractiveParser is not used because it copies the values of all trees built so far at each token.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from lark import Token, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from flowrl_dsl.syntax.lexer import language


class Cursor:
    """A place in the grammar.  Cursors are values: feeding one gives another and leaves it as it was."""

    __slots__ = ("_parser",)

    def __init__(self, parser: InteractiveParser):
        self._parser = parser

    @classmethod
    def at(cls, start: str) -> Cursor:
        """The cursor before the first token of a ``file`` or an ``expression``."""
        parser = language().lark.parse_interactive(start=start)
        state = parser.parser_state
        state.parse_conf = copy(state.parse_conf)
        state.parse_conf.callbacks = {}  # recognise only
        return cls(parser)

    def behind(self, token: Token) -> Cursor:
        """The cursor behind ``token``.  Raises ``UnexpectedToken`` when the token does not fit here."""
        parser = self._parser.copy(deepcopy_values=False)
        parser.feed_token(token)
        return Cursor(parser)

    def feed(self, token: Token) -> Cursor | None:
        """The cursor behind ``token``, or None when the token does not fit here."""
        try:
            return self.behind(token)
        except UnexpectedToken:
            return None

    def takes(self, kinds: Iterable[str]) -> bool:
        """Whether tokens of these kinds fit here, one behind the other."""
        cursor = self
        for kind in kinds:
            fed = cursor.feed(Token(kind, ""))
            if fed is None:
                return False
            cursor = fed
        return True

    def accepts(self) -> frozenset[str]:
        """Every kind of token that fits here."""
        candidates = [kind for kind in self._parser.choices() if kind.isupper()]
        return frozenset(kind for kind in candidates if self.feed(Token(kind, "")) is not None)
