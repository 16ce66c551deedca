"""Places in source files, coded diagnostics, and how they are shown to a person or a program.

Every user mistake becomes a :class:`Diagnostic`: a stable code (``FRL0212``), a place, a cause and a hint.  Rooms
collect diagnostics in a :class:`Diagnostics` bag, so that all errors of a file are reported at once, and raise
:class:`DiagnosticError` only where nothing further can be said.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of one source file; lines and columns count from 1, the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of ``other``."""
        return Span(self.file, self.line, self.column, other.end_line, other.end_column)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.  ``notes`` are the ``=`` lines below the source line: expected, nearest valid name, who has it."""

    code: str
    message: str
    span: Span | None = None
    notes: tuple[str, ...] = ()
    severity: str = "error"

    def as_json(self) -> dict:
        place = None
        if self.span is not None:
            place = {
                "file": self.span.file,
                "line": self.span.line,
                "column": self.span.column,
                "end_line": self.span.end_line,
                "end_column": self.span.end_column,
            }
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "place": place,
            "notes": list(self.notes),
        }


class DiagnosticError(Exception):
    """Carries the diagnostics of a file that cannot be taken further."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))


@dataclass
class Diagnostics:
    """A bag that rooms add to; a code already reported at the same place is not repeated."""

    found: list[Diagnostic] = field(default_factory=list)

    def error(self, code: str, message: str, span: Span | None, *notes: str) -> None:
        self._add(Diagnostic(code, message, span, tuple(n for n in notes if n)))

    def warning(self, code: str, message: str, span: Span | None, *notes: str) -> None:
        self._add(Diagnostic(code, message, span, tuple(n for n in notes if n), severity="warning"))

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self._add(diagnostic)

    def _add(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity == "warning"]

    def raise_if_errors(self) -> None:
        if self.errors:
            raise DiagnosticError(self.errors)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.found)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate a person most likely meant by ``name``, or None when nothing is close."""
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A hint line: the nearest valid name first, else all of them."""
    names = sorted(set(candidates))
    close = nearest(name, names)
    if close is not None:
        return f'did you mean "{close}"?'
    return f"expected one of: {', '.join(names)}" if names else ""
