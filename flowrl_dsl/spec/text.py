"""Syntax in words and as text, for messages and for records of sources."""

from __future__ import annotations

from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.formatter import format_expression


def text_of(expr: tree.Expr) -> str:
    """The canonical text of an expression on one line."""
    return format_expression(expr)


def article(family: str) -> str:
    """``a backbone``, ``an action``."""
    words = family.replace("_", " ")
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(family: str) -> str:
    """``backbones``, ``noise schedules``."""
    words = family.replace("_", " ")
    return words + "s" if not words.endswith("y") else words[:-1] + "ies"


def exceeds(function: str, size: int, count: int) -> str:
    """The message for more members than an ensemble has."""
    return f"{function} takes at most the {size} members of the ensemble, found {count}"


def what_is(expr: tree.Expr) -> str:
    """A description of the expression, for "found ..."."""
    match expr:
        case tree.Name(name):
            return f'the name "{name}"'
        case tree.String(value):
            return f'the string "{value}"'
        case tree.Call(function):
            return f"a call of {function.id}"
        case tree.List():
            return "a list"
        case tree.Arrow():
            return "an arrow"
        case tree.From():
            return "`from`"
    return f"`{text_of(expr)}`"
