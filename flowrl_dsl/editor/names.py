"""The names that a spec declares: ``param``, ``let``, ``def`` and its arguments, sections and phases of their own.

A name belongs to a *home*: an argument to its ``def``, a ``let`` of a block to that block in every file of the chain that
``extends`` makes, any other name to the whole chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.document import MOST_KEPT, Document, library
from flowrl_dsl.editor.outline import Block, Spot, Statement
from flowrl_dsl.syntax.tokens import Token

KINDS = {"PARAM": "param", "LET": "let", "DEF": "def"}
Home = tuple[object, ...]
EVERYWHERE: Home = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration; ``kind`` is param, let, def, argument, section or phase."""

    name: str
    kind: str
    home: Home
    document: Document
    token: Token
    statement: Statement

    @property
    def span(self) -> Span:
        return self.document.span(self.token)

    @property
    def text(self) -> str:
        """The statement as it is written."""
        first, last = self.statement.tokens[0], self.statement.tokens[-1]
        return self.document.written(self.document.span(first).to(self.document.span(last)))


def home_of(block: Block) -> Home:
    """The home of the lets of a block."""
    header = block.header
    if header is None or header.kind not in ("section", "IMPROVE"):
        return EVERYWHERE
    if header.kind == "section":
        return ("section", str(header.given or header.name))
    same = [one for one in header.block.statements if one.kind == "IMPROVE" and _mechanism(one) == _mechanism(header)]
    return ("improve", _mechanism(header), same.index(header), *home_of(header.block))


def _mechanism(statement: Statement) -> str:
    return str(statement.name)


@lru_cache(MOST_KEPT)
def declared(document: Document) -> tuple[Declared, ...]:
    """The declarations of one text, in its order."""
    return tuple(one for statement in document.outline.statements() for one in _of_statement(statement, document))


def _of_statement(statement: Statement, document: Document) -> Iterator[Declared]:
    name = statement.name
    if name is not None and statement.kind in KINDS:
        home = home_of(statement.block) if statement.kind == "LET" else EVERYWHERE
        yield Declared(str(name), KINDS[statement.kind], home, document, name, statement)
    if statement.kind == "DEF":
        home = argument_home(statement, document)
        for token in statement.parameters:
            yield Declared(str(token), "argument", home, document, token, statement)
    if statement.kind == "section" and statement.given is not None:
        kind = "phase" if name == "phase" else "section"
        yield Declared(str(statement.given), kind, EVERYWHERE, document, statement.given, statement)


def argument_home(statement: Statement, document: Document) -> Home:
    return ("def", document.path, statement.tokens[0].start_pos)


@cache
def of_library() -> dict[str, Declared]:
    """The definitions of the standard library by name."""
    return {one.name: one for one in declared(library()) if one.kind == "def"}


class Names:
    """The declarations of a chain of texts, nearest first, by home and name; the first one of a pair is the nearest."""

    def __init__(self, chain: Iterable[Document]):
        self.by_home: dict[tuple[Home, str], list[Declared]] = {}
        for document in chain:
            for one in declared(document):
                self.by_home.setdefault((one.home, one.name), []).append(one)

    def find(self, name: str, spot: Spot, document: Document) -> list[Declared]:
        """The declarations of a name that is used at a place, nearest first; none for a name of the language."""
        for home in homes_at(spot, document):
            if found := self.by_home.get((home, name)):
                return found
        own = of_library().get(name)
        return [own] if own is not None else []

    def arguments(self, function: str, spot: Spot, document: Document) -> dict[str, list[Declared]]:
        """The arguments of a definition that is called at a place, by name; empty for any other function."""
        called = next((one for one in self.find(function, spot, document) if one.kind == "def"), None)
        if called is None:
            return {}
        home = argument_home(called.statement, called.document)
        return {name: found for (at, name), found in self.by_home.items() if at == home}

    def seen(self, spot: Spot, document: Document) -> dict[str, Declared]:
        """All names that can be used at a place, those of the standard library first."""
        found = dict(of_library())
        for home in reversed(homes_at(spot, document)):
            found |= {name: all_of[0] for (at, name), all_of in self.by_home.items() if at == home}
        return found


def homes_at(spot: Spot, document: Document) -> list[Home]:
    """The homes of the names that can be used at a place, the innermost first."""
    statement = spot.statement
    own = [argument_home(statement, document)] if statement is not None and statement.kind == "DEF" else []
    return [*own, *dict.fromkeys((home_of(spot.block), EVERYWHERE))]
