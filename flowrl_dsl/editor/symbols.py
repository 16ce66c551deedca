"""The outline of a text: the algorithm, its sections with their options, parameters, lets, definitions, improve blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.document import Document
from flowrl_dsl.editor.outline import Statement

KINDS = {
    "ALGORITHM": "Class",
    "section": "Namespace",
    "IMPROVE": "Method",
    "FOR": "Event",
    "PARAM": "Constant",
    "LET": "Variable",
    "DEF": "Function",
    "assign": "Property",
}
"""The kind of symbol in the protocol, by the kind of statement."""


@dataclass(frozen=True)
class Symbol:
    """``span`` is the whole statement, ``name_span`` the word that names it."""

    name: str
    detail: str
    kind: str
    span: Span
    name_span: Span
    children: tuple[Symbol, ...] = ()


def symbols(document: Document) -> list[Symbol]:
    """The statements of a text that have a name, each with those inside it."""
    return _of(document.outline.root.statements, document)


def _of(statements: Iterable[Statement], document: Document) -> list[Symbol]:
    return [_symbol(one, document) for one in statements if one.kind in KINDS and (one.name or one.kind == "FOR")]


def _symbol(statement: Statement, document: Document) -> Symbol:
    first, last = statement.tokens[0], statement.tokens[-1]
    name = statement.given or statement.name or first
    inside = () if statement.body is None else tuple(_of(statement.body.statements, document))
    closing = None if statement.body is None else statement.body.closing
    span = document.span(first).to(document.span(closing or last))
    text, detail = _named(statement, document)
    return Symbol(text, detail, KINDS[statement.kind], span, document.span(name), inside)


def _named(statement: Statement, document: Document) -> tuple[str, str]:
    """The name that is shown, and what is shown beside it."""
    tokens, name = statement.tokens, str(statement.name)
    if statement.kind == "FOR":
        return "for task " + ", ".join(token for token in tokens if token.type == "STRING"), ""
    if statement.kind == "section":
        return (f"{name} {statement.given}" if statement.given is not None else name), ""
    if statement.kind == "IMPROVE":
        return f"improve {name}", ""
    if statement.kind == "ALGORITHM":
        return name, next((token[1:-1] for token in tokens if token.type == "STRING"), "")
    behind = [token for token in tokens if token.start_pos > (statement.name or tokens[0]).start_pos]
    value = behind[1:] if behind and behind[0].type == "EQUAL" else behind
    text = document.written(document.span(value[0]).to(document.span(value[-1]))) if value else ""
    return name, " ".join(text.split())
