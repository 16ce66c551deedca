"""Classes of words for colouring: semantic tokens of editors, and the tokens of Pygments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.document import View
from flowrl_dsl.editor.meaning import Meaning, meanings
from flowrl_dsl.editor.names import Names
from flowrl_dsl.editor.outline import Entry

COLORS = {
    "keyword": "keyword",
    "comment": "comment",
    "string": "string",
    "number": "number",
    "operator": "operator",
    "algorithm": "class",
    "section": "namespace",
    "phase": "namespace",
    "part": "namespace",
    "source": "namespace",
    "mechanism": "class",
    "component": "type",
    "setting": "property",
    "option": "property",
    "argument": "parameter",
    "param": "variable",
    "let": "variable",
    "value": "variable",
    "size": "variable",
    "def": "function",
    "function": "function",
    "axis": "enumMember",
    "choice": "enumMember",
    "word": "keyword",
    "unknown": "variable",
}
"""The type of a semantic token, by the kind of meaning; names and types as in the protocol."""
READ_ONLY, DECLARATION, DEFAULT_LIBRARY = "readonly", "declaration", "defaultLibrary"
BUILT_IN = ("function", "value", "size", "axis")


@dataclass(frozen=True)
class Colored:
    """A word with its type and modifiers."""

    span: Span
    color: str
    modifiers: tuple[str, ...] = ()


def colored(view: View) -> list[Colored]:
    """The words of a text in its order, comments included; operators and brackets have no colour."""
    document = view.document
    found = [Colored(comment.span, COLORS["comment"]) for comment in document.comments]
    for entry, what in meanings(document, Names(view.chain)):
        if what.kind != "operator":
            found.append(Colored(document.span(entry.token), COLORS[what.kind], tuple(_modifiers(entry, what))))
    return sorted(found, key=lambda one: one.span)


def _modifiers(entry: Entry, what: Meaning) -> Iterator[str]:
    if what.declared and entry.token is what.declared[0].token:
        yield DECLARATION
    if what.kind == "param":
        yield READ_ONLY
    if what.kind in BUILT_IN:
        yield DEFAULT_LIBRARY
