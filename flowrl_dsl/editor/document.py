"""Texts in an editor: one file, and a file with those that it extends."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from types import MappingProxyType

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Span
from flowrl_dsl.editor.outline import Entry, Outline, Spot, outline
from flowrl_dsl.resources import folder
from flowrl_dsl.spec.load import base_file
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.stdlib import LIBRARY
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.lexer import Lexer
from flowrl_dsl.syntax.parser import parse
from flowrl_dsl.syntax.sources import read_source, same_file
from flowrl_dsl.syntax.tokens import Token, span_of

MOST_KEPT = 1000
"""Texts of which what was read is kept."""
Place = tuple[int, int]
"""A line and a column, both counted from 1, as spans have them."""


@dataclass(frozen=True, eq=False)
class Document:
    """The text of one file, and what is read from it alone.  Its tokens and statements are known by identity."""

    path: str
    text: str

    @cached_property
    def _lexer(self) -> Lexer:
        return Lexer(self.text, self.path)

    @property
    def comments(self) -> list[tree.Comment]:
        return self._lexer.comments

    @cached_property
    def outline(self) -> Outline:
        return outline(self._lexer.tokens)

    @property
    def entries(self) -> list[Entry]:
        """The tokens of the text, those of spelling mistakes as what was meant."""
        return self.outline.entries

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def _starts(self) -> list[Place]:
        return [(entry.token.line, entry.token.column) for entry in self.entries]

    def span(self, token: Token) -> Span:
        return span_of(token, self.path)

    def written(self, span: Span) -> str:
        """The text of a span."""
        return span.cut(self.text)

    def entry_at(self, place: Place) -> Entry | None:
        """The token at a place: the one that begins or goes on there, else a word that ends there."""
        index = bisect_left(self._starts, (place[0], place[1] + 1)) - 1
        if index < 0:
            return None
        here = self.entries[index]
        if place < _end(here.token):
            touching = self.entries[index - 1] if index else here
            return touching if _is_word(touching) and _end(touching.token) == place and not _is_word(here) else here
        return here if place == _end(here.token) and _is_word(here) else None

    def spot_at(self, place: Place) -> tuple[Spot, Token | None]:
        """The place as one between two tokens, and the word that is being written there, if any."""
        index = bisect_left(self._starts, place) - 1
        word = None
        if index >= 0 and _is_word(self.entries[index]) and place <= _end(self.entries[index].token):
            word = self.entries[index].token
            index -= 1
        if index < 0:
            return Spot(self.outline.root, None, "head", (), None), word
        return self.entries[index].after, word

    def in_comment(self, place: Place) -> bool:
        """Whether a place is behind the ``#`` of a comment."""
        spans = (comment.span for comment in self.comments)
        return any(span.line == place[0] and span.column < place[1] for span in spans)

    @property
    def base(self) -> Token | None:
        """The string after ``extends``."""
        header = next((one for one in self.outline.root.statements if one.kind == "ALGORITHM"), None)
        tokens = [] if header is None else header.tokens
        return next((name for word, name in pairwise(tokens) if word.type == "EXTENDS" and name.type == "STRING"), None)


def _end(token: Token) -> Place:
    return token.end_line, token.end_column


def _is_word(entry: Entry) -> bool:
    text = str(entry.token)
    return text.isidentifier()


@lru_cache(MOST_KEPT)
def document_of(path: str, text: str) -> Document:
    """The document of a text: the same one, with what was read of it, as long as the text stays."""
    return Document(path, text)


@cache
def library() -> Document:
    """The standard library."""
    path = folder("grammar") / LIBRARY
    return Document(str(path), path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class View:
    """A document as an editor shows it: with the texts of all opened files, by path."""

    document: Document
    opened: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def path(self) -> str:
        return self.document.path

    @cached_property
    def chain(self) -> list[Document]:
        """The document and those that it extends, nearest first, as far as they can be read."""
        found = [self.document]
        while (name := found[-1].base) is not None:
            path = base_file(found[-1].path, name[1:-1])
            if path is None or any(same_file(path, one.path) for one in found):
                break
            text = next((text for other, text in self.opened.items() if same_file(other, path)), None)
            text = read_source(path)[0] if text is None else text
            if text is None:
                break
            found.append(document_of(path, text))
        return found

    @cached_property
    def resolution(self) -> Resolution:
        """What ``check`` finds; a plugin that cannot be imported is one finding.

        Of a suite and of the standard library, the syntax errors.
        """
        sources = {self.path: self.document.text}
        kinds = {one.kind for one in self.document.outline.root.statements}
        if "SUITE" in kinds or same_file(self.path, library().path):
            return Resolution(None, Diagnostics(parse(self.document.text, self.path)[1]), sources)
        try:
            return resolve(self.path, opened={**self.opened, **sources})
        except DiagnosticError as error:
            return Resolution(None, Diagnostics(list(error.diagnostics)), sources)

    @property
    def findings(self) -> list[Diagnostic]:
        return self.resolution.diagnostics.found

    def sees(self, document: Document) -> bool:
        """Whether a text is one of the chain, or the standard library."""
        return document.path == library().path or any(one.path == document.path for one in self.chain)
