"""Renaming of parameters, lets, definitions, their arguments, and sections and phases of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Span, quoted
from flowrl_dsl.editor.document import Place, View
from flowrl_dsl.editor.expected import all_slots
from flowrl_dsl.editor.names import EVERYWHERE, Declared, Names
from flowrl_dsl.editor.navigation import declared_at, occurrences
from flowrl_dsl.resources import folder
from flowrl_dsl.spec.parameters import taken
from flowrl_dsl.spec.text import article
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.sources import same_file


@dataclass(frozen=True)
class Change:
    """``text`` in the place of what stands at ``span``."""

    span: Span
    text: str


def renamable(view: View, place: Place) -> Declared:
    """The declaration of the name at a place.  Raises ``DiagnosticError`` (FRL0471) where it cannot be renamed."""
    subject = declared_at(view, place)
    if subject is None:
        raise _refused("only names that a spec declares can be renamed", None, "put the cursor on one")
    return subject


def rename(view: View, others: Sequence[View], place: Place, name: str) -> list[Change]:
    """The changes that give the name at a place another one, in every spec that sees it.

    Raises ``DiagnosticError`` (FRL0471) for a name that a package has declared, and for one that cannot be declared, or
    that would mean something else where the old one is used.
    """
    subject = renamable(view, place)
    found = occurrences(subject, [view, *others])
    for path in (subject.document.path, *(document.path for document, _ in found)):
        if _is_shipped(path):
            message = f'"{subject.name}" stands in {path}, a file of the package'
            raise _refused(message, subject.span, "declare it again in this spec, and rename that")
    _check_name(name, subject, _seeing(subject, [view, *others]))
    return [Change(span, name) for _, span in found]


def _is_shipped(path: str) -> bool:
    return any(same_file(str(folder(name)), os.path.dirname(path)) for name in ("grammar", "specs"))


def _seeing(subject: Declared, views: Iterable[View]) -> list[View]:
    return [view for view in views if view.sees(subject.document)]


def _check_name(name: str, subject: Declared, views: Iterable[View]) -> None:
    if not (name.isidentifier() and name.isascii()):
        raise _refused(f"{quoted(name)} is no name", subject.span, "names have letters, digits and _, a letter first")
    if name in language().keywords:
        raise _refused(f'"{name}" is a reserved word', subject.span, "choose another name")
    if meaning := taken(name):
        raise _refused(f'"{name}" is {meaning} of the language', subject.span, "choose another name")
    if any(name in slot.values or name in slot.sizes for slot in all_slots()):
        raise _refused(f'"{name}" is a value that formulas see', subject.span, "choose another name")
    for view in views:
        for (home, other), declared in Names(view.chain).by_home.items():
            if other == name and (home == subject.home or EVERYWHERE in (home, subject.home)):
                message = f'"{name}" is already {article(declared[0].kind)}, declared at {declared[0].span}'
                raise _refused(message, subject.span, "choose another name")


def _refused(message: str, span: Span | None, note: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("FRL0471", message, span, (note,))])
