"""Tokens that are not in the grammar, and where in the text a token stands."""

from __future__ import annotations

from lark import Token

from flowrl_dsl.diagnostics import Span

ERROR = "ERROR"  # a place that was complained about already; the parser never sees it
END = "$END"


def span_of(token: Token, file: str) -> Span:
    """The place of a token in ``file``."""
    line, column, end_line, end_column = token.line, token.column, token.end_line, token.end_column
    assert line is not None and column is not None and end_line is not None and end_column is not None
    return Span(file, line, column, end_line, end_column)


def after(token: Token, file: str) -> Span:
    """The empty place just behind a token: where something is missing."""
    place = span_of(token, file)
    return Span(file, place.end_line, place.end_column, place.end_line, place.end_column)


def virtual(kind: str, near: Token, text: str = "") -> Token:
    """A token that is not in the text, at the empty place just before ``near``."""
    return Token(kind, text, near.start_pos, near.line, near.column, near.line, near.column, near.start_pos)
