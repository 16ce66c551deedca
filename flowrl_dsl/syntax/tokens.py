"""Tokens with their places in the text, and the kinds that are not in the grammar."""

from __future__ import annotations

import lark

from flowrl_dsl.diagnostics import Span

ERROR = "ERROR"  # a place that was complained about already; the parser never sees it
END = "$END"


class Token(lark.Token):
    """A token with a place; lark's own may be made without one."""

    __slots__ = ()

    start_pos: int
    line: int
    column: int
    end_line: int
    end_column: int
    end_pos: int

    def replaced(self, kind: str, text: str) -> Token:
        """Another token in the place of this one."""
        return Token.new_borrow_pos(kind, text, self)


def placed(token: lark.Token) -> Token:
    """A token of lark's lexer, which gives a place to each one."""
    return Token.new_borrow_pos(token.type, token.value, token)


def span_of(token: Token, file: str) -> Span:
    """The place of a token in ``file``."""
    return Span(file, token.line, token.column, token.end_line, token.end_column)


def after(token: Token, file: str) -> Span:
    """The empty place just behind a token: where something is missing."""
    return Span(file, token.end_line, token.end_column, token.end_line, token.end_column)


def virtual(kind: str, near: Token, text: str = "") -> Token:
    """A token that is not in the text, at the empty place just before ``near``."""
    return Token(kind, text, near.start_pos, near.line, near.column, near.line, near.column, near.start_pos)
