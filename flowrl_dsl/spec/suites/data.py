"""The data sets of a suite, ``data = "hopper-medium-v2.hdf5"``: of all tasks or of those of a ``for task`` block."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowrl_dsl.diagnostics import Diagnostics
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.literals import read_literal
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.suites.suite import DataLayer, Source
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.sources import beside

DATA = "data"
"""The choice of a suite, a group or one of their ``for task`` blocks."""
_ID = re.compile(r"[\w-][\w/-]*")


class _One(Component):
    """One data set."""

    data: str


class _Several(Component):
    """Data sets, each of which every spec learns from in runs of its own; none where the list is empty."""

    data: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """A statement that chooses data sets, with the names of its ``for task`` block."""

    assign: tree.Assign
    tasks: tuple[tree.String, ...] = ()


def separate(body: Sequence[tree.Statement], diagnostics: Diagnostics) -> tuple[list[Written], list[tree.Statement]]:
    """The choices of data sets in a body and its ``for task`` blocks, and the statements without them."""
    found, rest = _taken(body, (), diagnostics)
    for place, block in enumerate(rest):
        if isinstance(block, tree.ForTask) and block.complete:
            own, others = _taken(block.body, block.tasks, diagnostics)
            found += own
            rest[place] = replace(block, body=tuple(others))
    return found, rest


def _taken(
    body: Sequence[tree.Statement], tasks: tuple[tree.String, ...], diagnostics: Diagnostics
) -> tuple[list[Written], list[tree.Statement]]:
    """The choice of one body, which is made once; FRL0206 where there are two."""
    assigns = [one for one in body if isinstance(one, tree.Assign) and one.key.id == DATA]
    for again in assigns[1:]:
        note = f"first given in line {assigns[0].span.line}"
        diagnostics.error("FRL0206", f'"{DATA}" is given twice', again.key.span, note)
    rest = [one for one in body if not (isinstance(one, tree.Assign) and one.key.id == DATA)]
    return [Written(one, tasks) for one in assigns[:1]], rest


def read_data(written: Sequence[Written], diagnostics: Diagnostics) -> tuple[DataLayer, ...]:
    """The data sets that are chosen; FRL0275 where two of one task have one name."""
    return tuple(DataLayer(_sources(one.assign, diagnostics), tuple(task.value for task in one.tasks)) for one in written)


def _sources(assign: tree.Assign, diagnostics: Diagnostics) -> tuple[Source, ...]:
    value = assign.value
    listed = isinstance(value, tree.List)
    cls: type[Component] = _Several if listed else _One
    found = read_literal(cls, DATA, value, Scope(diagnostics), Site(DATA, value.span))
    if found is None:
        return ()
    places = value.items if isinstance(value, tree.List) else (value,)
    sources: dict[str, Source] = {}
    for text, place in zip(found if listed else (found,), places, strict=True):
        source = source_of(text, place.span.file)
        if source.name in sources:
            note = "tables name a data set by its id or its file: remove or rename one of them"
            diagnostics.error("FRL0275", f'two data sets are called "{source.name}"', place.span, note)
        sources[source.name] = source
    return tuple(sources.values())


def source_of(text: str, file: str) -> Source:
    """An id of Minari, which has no point and begins with no slash; anything else is a path, relative to the suite.

    A path that begins with ``~`` is one in the home directory, as it is for a shell.
    """
    if _ID.fullmatch(text):
        return Source(text, text)
    path = os.path.normpath(beside(file, os.path.expanduser(text)))
    return Source(os.path.splitext(os.path.basename(path))[0], path)
