"""Texts with a cursor, as the features of the editor room see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowrl_dsl.editor.document import Document, Place, View
from flowrl_dsl.resources import shipped_specs

CURSOR = "‸"
SPECS = {name: path.read_text(encoding="utf-8") for name, path in shipped_specs().items()}


def at(text: str, path: str = "/nowhere/mine.flowrl", opened: Mapping[str, str] | None = None) -> tuple[View, Place]:
    """The view of a text without its cursor, and the place where that stood."""
    before, _, after = text.partition(CURSOR)
    place = before.count("\n") + 1, len(before) - before.rfind("\n")
    return View(Document(path, before + after), opened or {}), place


def in_spec(name: str, words: str, path: str | None = None) -> tuple[View, Place]:
    """A shipped spec with the cursor where it stands in ``words``, which occur once without it."""
    plain = words.replace(CURSOR, "")
    assert SPECS[name].count(plain) == 1, f"{plain!r} does not occur once in {name}"
    return at(SPECS[name].replace(plain, words), path or str(shipped_specs()[name]))


def view_of(name: str) -> View:
    return View(Document(str(shipped_specs()[name]), SPECS[name]))


def applied(text: str, path: Path | str, changes) -> str:
    """A text with the changes to it made, the last one first."""
    lines = text.split("\n")
    for change in sorted(changes, key=lambda one: one.span, reverse=True):
        span = change.span
        if span.file == str(path):
            before, after = lines[span.line - 1][: span.column - 1], lines[span.end_line - 1][span.end_column - 1 :]
            lines[span.line - 1 : span.end_line] = (before + change.text + after).split("\n")
    return "\n".join(lines)
