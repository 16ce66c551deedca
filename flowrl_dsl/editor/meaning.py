"""What each token of a text means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowrl_dsl.axes import AXES
from flowrl_dsl.editor import expected as roles
from flowrl_dsl.editor.document import Document
from flowrl_dsl.editor.expected import Expected, called, class_of, expected_at, is_phase
from flowrl_dsl.editor.names import KINDS, Declared, Names
from flowrl_dsl.editor.outline import Entry, Statement
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import Component, find, functions, sections
from flowrl_dsl.spec.order import WORDS
from flowrl_dsl.spec.overrides import SETTINGS
from flowrl_dsl.spec.typecheck import GRADIENT
from flowrl_dsl.syntax.lexer import language

LITERALS = {"STRING": "string", "NUMBER": "number"}
UNSPECIFIED = Expected(roles.NOTHING)
BEGINNINGS = ("copy", "reset")


@dataclass(frozen=True, slots=True)
class Meaning:
    """``kind`` is one of the keys of :data:`flowrl_dsl.editor.coloring.COLORS`.

    ``component`` is the class of a component, a mechanism or a section; ``owner`` that whose ``option`` it is.
    ``declared`` are the declarations of a name, nearest first.
    """

    kind: str
    component: type[Component] | None = None
    owner: type[Component] | None = None
    option: str = ""
    expected: Expected = UNSPECIFIED
    declared: tuple[Declared, ...] = ()


def meanings(document: Document, names: Names) -> Iterator[tuple[Entry, Meaning]]:
    """Every token with its meaning."""
    for entry in document.entries:
        yield entry, meaning(entry, document, names)


def meaning(entry: Entry, document: Document, names: Names) -> Meaning:
    token, statement = entry.token, entry.spot.statement
    if token.type in LITERALS:
        return Meaning(LITERALS[token.type])
    if token.type in language().keywords.values():
        return Meaning("keyword")
    if token.type != "NAME":
        return Meaning("operator")
    if statement is not None and statement.name is token:
        return _head(entry, statement, document, names)
    found = names.find(token, entry.spot, document)
    if statement is not None and (statement.given is token or token in statement.parameters):
        return Meaning(found[0].kind if found else "section", declared=tuple(found))
    if entry.following == "EQUAL" and entry.spot.brackets:
        return _argument(entry, document, names)
    return _used(entry, found)


def _head(entry: Entry, statement: Statement, document: Document, names: Names) -> Meaning:
    """The name that a statement is about."""
    token, block = entry.token, entry.spot.block
    if statement.kind in KINDS:
        return Meaning(KINDS[statement.kind], declared=tuple(names.find(token, entry.spot, document)))
    if statement.kind == "IMPROVE":
        return Meaning("mechanism", find("mechanism", token))
    if statement.kind == "ALGORITHM":
        return Meaning("algorithm")
    if statement.kind == "assign":
        owner = class_of(block)
        if owner is not None or is_phase(block):
            return Meaning("option", owner=owner, option=str(token))
        return Meaning("setting" if token in SETTINGS else "unknown", option=str(token))
    if statement.kind == "section":
        return Meaning("section", sections().get(str(token)))
    return Meaning("unknown")


def _argument(entry: Entry, document: Document, names: Names) -> Meaning:
    """The name of an argument of a call."""
    bracket = entry.spot.brackets[-1]
    around = _around(entry)
    if bracket.function is None or around.role == roles.FORMULA:
        found = names.arguments(bracket.function, entry.spot, document) if bracket.function is not None else {}
        return Meaning("argument", option=str(entry.token), expected=around, declared=tuple(found.get(str(entry.token), ())))
    return Meaning("argument", owner=called(around, bracket.function), option=str(entry.token), expected=around)


def _around(entry: Entry) -> Expected:
    """What the innermost call that a token stands in is expected to be."""
    return expected_at(replace(entry.spot, brackets=entry.spot.brackets[:-1], before=None))


def _used(entry: Entry, found: list[Declared]) -> Meaning:
    """A name inside a value."""
    token, want = entry.token, expected_at(entry.spot)
    known = Meaning(found[0].kind, expected=want, declared=tuple(found)) if found else None
    if token == "none" and want.kind is not None and want.kind.optional:
        return Meaning("choice", expected=want)
    match want.role:
        case roles.FORMULA | roles.VARIABLE:
            return _in_formula(entry, want, known)
        case roles.AXIS:
            return Meaning("axis" if token in AXES else "unknown", expected=want)
        case roles.SOURCE | roles.PART:
            return known or Meaning("source", expected=want)
        case roles.ORDER | roles.BEGIN:
            word = entry.following == "LPAR" and token in (*WORDS, *BEGINNINGS)
            return known or Meaning("word" if word else "part", sections().get(str(token)), expected=want)
        case roles.LITERAL:
            return Meaning("choice", expected=want)
    cls = called(want, token)
    if cls is not None:
        return Meaning("component", cls, expected=want)
    return known or Meaning("unknown", expected=want)


def _in_formula(entry: Entry, want: Expected, known: Meaning | None) -> Meaning:
    name = str(entry.token)
    if name == GRADIENT or name in PRIMITIVES or name in functions():
        return Meaning("function", expected=want)
    if known is not None:
        return known
    if any(name in slot.values for slot in want.slots):
        return Meaning("value", expected=want)
    if any(name in slot.sizes for slot in want.slots):
        return Meaning("size", expected=want)
    return Meaning("unknown", expected=want)
