"""Diagnostics as an editor shows them, and the quick fixes that apply the texts which their notes propose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowrl_dsl.diagnostics import Diagnostic, Proposal, Span, in_order
from flowrl_dsl.editor.document import View

UNUSED = "FRL0225"
TOP = (1, 1, 1, 1)


@dataclass(frozen=True)
class Finding:
    """A diagnostic at a place of the text; ``elsewhere`` is its place in a spec that the text extends."""

    diagnostic: Diagnostic
    span: Span
    message: str
    elsewhere: Span | None = None

    @property
    def unused(self) -> bool:
        """Whether it is about a name that nothing uses."""
        return self.diagnostic.code == UNUSED


@dataclass(frozen=True)
class Fix:
    """``text`` in the place of what stands at ``span``."""

    title: str
    span: Span
    text: str
    finding: Finding


def findings(view: View) -> list[Finding]:
    """Everything that is wrong with a text or to be advised, each with its cure below the message."""
    return [_placed(diagnostic, view) for diagnostic in in_order(view.findings)]


def _placed(diagnostic: Diagnostic, view: View) -> Finding:
    message = "\n".join([diagnostic.message, *diagnostic.notes])
    span = diagnostic.span
    if span is not None and span.file == view.path:
        return Finding(diagnostic, span, message)
    base = view.document.base
    place = Span(view.path, *TOP) if base is None else view.document.span(base)
    return Finding(diagnostic, place, message if span is None else f"{span}: {message}", span)


def fixes(view: View, around: Span) -> list[Fix]:
    """The quick fixes of the findings that touch a stretch of the text."""
    return [fix for finding in findings(view) if _touches(finding.span, around) for fix in _fixes(finding, view)]


def _fixes(finding: Finding, view: View) -> Iterator[Fix]:
    if finding.diagnostic.span != finding.span:
        return
    there = view.document.written(finding.span)
    for note in finding.diagnostic.notes:
        text = note.replacing(there) if isinstance(note, Proposal) else None
        if text is not None:
            yield Fix(title(there, text), finding.span, text, finding)


def title(there: str, text: str) -> str:
    """What a fix does."""
    if not there:
        return f"insert {text.strip()}"
    return f"replace {there} by {text}" if text else f"remove {there}"


def _touches(one: Span, other: Span) -> bool:
    begins = (one.line, one.column) <= (other.end_line, other.end_column)
    return begins and (other.line, other.column) <= (one.end_line, one.end_column)
