"""Invariants of every text: it is rejected with diagnostics or accepted, and formatting preserves its meaning."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.codes import CODES
from flowrl_dsl.diagnostics import Diagnostic, render_text
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse


def check_parse_format(text: str) -> None:
    """Formatting a text that parses preserves its tree and comments, and is idempotent."""
    tree, found = parse(text, "text")
    assert tree is not None, f"does not parse: {[d.message for d in found]}\n{text}"
    formatted = format_file(tree)
    again, found = parse(formatted, "formatted")
    assert again is not None, f"formatted text does not parse: {[d.message for d in found]}\n{formatted}"
    assert again == tree, f"formatting changed what the text says:\n{text}\n--- became\n{formatted}"
    before, after = (sorted(c.text for c in t.comments) for t in (tree, again))
    assert before == after, f"formatting lost or changed comments: {before} became {after}"
    assert format_file(again) == formatted, f"formatting twice differs from formatting once:\n{formatted}"


def check_never_raises(text: str) -> Resolution:
    """Any text yields diagnostics or an algorithm; every diagnostic has a known code and a position within the text."""
    resolution = resolve_text(text)
    errors = resolution.diagnostics.errors
    assert (resolution.algorithm is None) == bool(errors), "an algorithm comes without errors, and errors without one"
    for diagnostic in resolution.diagnostics:
        _check_diagnostic(diagnostic, resolution.sources)
    render_text(resolution.diagnostics, resolution.sources)
    return resolution


def _check_diagnostic(diagnostic: Diagnostic, sources: Mapping[str, str]) -> None:
    assert diagnostic.code in CODES, f"unknown code {diagnostic.code}"
    assert diagnostic.message and "\n" not in diagnostic.message, f"bad message {diagnostic.message!r}"
    span = diagnostic.span
    if span is None:
        return
    assert span.file in sources, f"{diagnostic.code} points into {span.file}, which was not read"
    lines = sources[span.file].split("\n")
    start, end = (span.line, span.column), (span.end_line, span.end_column)
    assert start <= end, f"{diagnostic.code} ends at {end} before it starts at {start}"
    for line, column in (start, end):
        inside = 1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1
        assert inside, f"{diagnostic.code} points to {line}:{column}, outside of the text"


def check_valid(text: str) -> Algorithm:
    """The spec has no errors; returns its algorithm."""
    resolution = check_never_raises(text)
    assert resolution.algorithm is not None, render_text(resolution.diagnostics.errors, resolution.sources) + "\n" + text
    return resolution.algorithm


def resolve_text(text: str, sets: Sequence[str] = ()) -> Resolution:
    """The resolution of a spec given as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.flowrl"
        path.write_text(text, encoding="utf-8", newline="")
        return resolve(str(path), sets=sets)
