"""From a name to its declaration, through ``extends`` and into the standard library, and from there to its uses."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.document import Document, Place, View
from flowrl_dsl.editor.meaning import Meaning, meaning
from flowrl_dsl.editor.names import Declared, Names
from flowrl_dsl.editor.outline import Block, Entry, Statement
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.load import base_file


def definition(view: View, place: Place) -> list[Span]:
    """Where the word at a place is declared: in this text, in a spec that it extends, in the library, in Python."""
    document = view.document
    entry = document.entry_at(place)
    if entry is None or document.in_comment(place):
        return []
    if entry.token is document.base:
        path = base_file(document.path, entry.token[1:-1])
        return [] if path is None else [Span(path, 1, 1, 1, 1)]
    found = meaning(entry, document, Names(view.chain))
    if found.declared:
        return [found.declared[0].span]
    below = [document.span(statement.tokens[0]) for document, statement in overridden(entry, view)]
    if below or found.component is None:
        return below[:1]
    return _source(found.component)


def _source(component: type[Component]) -> list[Span]:
    """The class of a component in Python; none where its source is not to be had."""
    try:
        path = inspect.getsourcefile(component)
        line = inspect.getsourcelines(component)[1]
    except (OSError, TypeError):
        return []
    return [] if path is None else [Span(path, line, 1, line, 1)]


def overridden(entry: Entry, view: View) -> list[tuple[Document, Statement]]:
    """The statements of extended specs that set the same option or setting, or open the same block; nearest first."""
    statement = entry.spot.statement
    if statement is None or entry.token is not statement.name or entry.spot.brackets:
        return []
    own = _path(statement)
    return [(base, other) for base in view.chain[1:] for other in base.outline.statements() if _path(other) == own]


def _path(statement: Statement) -> tuple[str, ...]:
    """The names of a statement and of the blocks around it; those of tasks and of the algorithm do not count."""
    if statement.kind not in ("assign", "section", "IMPROVE"):
        return ()
    return (*_above(statement.block), statement.kind, str(statement.given or statement.name))


def _above(block: Block) -> tuple[str, ...]:
    header = block.header
    return () if header is None else (*_above(header.block), *_path(header))


def references(view: View, others: Iterable[View], place: Place, declarations: bool = True) -> list[Span]:
    """All uses of the declared name at a place, in this text, those that it extends and the others that extend them."""
    subject = declared_at(view, place)
    if subject is None:
        return []
    found = {span for document, span in occurrences(subject, [view, *others])}
    own = {one.span for one in Names(view.chain).by_home.get((subject.home, subject.name), [])}
    return sorted(found if declarations else found - own)


def declared_at(view: View, place: Place) -> Declared | None:
    """The first declaration of the name at a place, that of the farthest base; None where there is no declared name."""
    entry = view.document.entry_at(place)
    if entry is None or view.document.in_comment(place):
        return None
    found = meaning(entry, view.document, Names(view.chain)).declared
    return found[-1] if found else None


def occurrences(subject: Declared, views: Iterable[View]) -> list[tuple[Document, Span]]:
    """Each place where a name stands, its declarations included, in the chains of these views."""
    found: dict[Span, Document] = {}
    for view in views:
        if not view.sees(subject.document):
            continue
        names = Names(view.chain)
        for document in view.chain:
            for entry in document.entries:
                if entry.token == subject.name and _is(subject, meaning(entry, document, names)):
                    found.setdefault(document.span(entry.token), document)
    return [(document, span) for span, document in sorted(found.items(), key=lambda item: item[0])]


def _is(subject: Declared, what: Meaning) -> bool:
    return any((one.home, one.name, one.span) == (subject.home, subject.name, subject.span) for one in what.declared[-1:])
