"""Places in source files, coded diagnostics, and how they are shown to a person or a program.

Every user mistake becomes a :class:`Diagnostic`: a stable code (``FRL0212``), a place, a cause and a hint.  Rooms
collect diagnostics in a :class:`Diagnostics` bag, so that all errors of a file are reported at once, and raise
:class:`DiagnosticError` only where nothing further can be said.
"""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace


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

    def cut(self, text: str) -> str:
        """The part of the file's text that it is."""
        lines = text.split("\n")[self.line - 1 : self.end_line]
        if not lines:
            return ""
        lines[-1] = lines[-1][: self.end_column - 1]
        lines[0] = lines[0][self.column - 1 :]
        return "\n".join(lines)

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


def error(code: str, message: str, span: Span | None, *notes: str) -> Diagnostic:
    """What makes a spec invalid; empty notes are left out."""
    return Diagnostic(code, message, span, tuple(note for note in notes if note))


def warning(code: str, message: str, span: Span | None, *notes: str) -> Diagnostic:
    """A finding about a valid spec; empty notes are left out."""
    return Diagnostic(code, message, span, tuple(note for note in notes if note), severity="warning")


class Proposal(str):
    """A note that proposes a text: ``instead`` in the place of ``written``, which stands where the diagnostic points.

    Where ``written`` is empty, ``instead`` is missing at the diagnostic's place.  Editors offer it as a quick fix.
    """

    written: str
    instead: str

    def __new__(cls, note: str, written: str, instead: str) -> Proposal:
        proposal = super().__new__(cls, note)
        proposal.written, proposal.instead = str(written), instead
        return proposal

    def replacing(self, there: str) -> str | None:
        """The text in the place of what stands there, quoted or not; None where the proposal is about something else."""
        if there == self.written:
            return self.instead
        return f'"{self.instead}"' if there == f'"{self.written}"' else None


class DiagnosticError(Exception):
    """Carries the diagnostics of a file that cannot be taken further; a traceback shows their places and cures as well.

    >>> try:
    ...     flowrl_dsl.load("no-such-spec")
    ... except flowrl_dsl.DiagnosticError as error:
    ...     print(error.diagnostics[0].code, error.diagnostics[0].message)
    FRL0101 file not found: "no-such-spec"
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))
        for one in self.diagnostics:
            for line in ([f"--> {one.span}"] if one.span is not None else []) + [f" = {note}" for note in one.notes]:
                self.add_note(f"  {line}")


@dataclass
class Diagnostics:
    """A bag that rooms add to; a code already reported at the same place is not repeated.

    A diagnostic without a note gets the cure of its code from the table, so that every one says what to do.
    With a ``limit`` the bag keeps only the first so many: nobody reads the thousandth error of a broken file.
    """

    found: list[Diagnostic] = field(default_factory=list)
    limit: int | None = None
    _known: set[Diagnostic] = field(default_factory=set)

    def error(self, code: str, message: str, span: Span | None, *notes: str) -> None:
        self._add(Diagnostic(code, message, span, tuple(n for n in notes if n)))

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        for diagnostic in diagnostics:
            self._add(diagnostic)

    def _add(self, diagnostic: Diagnostic) -> None:
        if not diagnostic.notes:
            diagnostic = replace(diagnostic, notes=cure_of(diagnostic.code))
        if not self.full and diagnostic not in self._known:
            self.found.append(diagnostic)
            self._known.add(diagnostic)

    @property
    def full(self) -> bool:
        return self.limit is not None and len(self.found) >= self.limit

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.found if d.severity == "warning"]

    def on_line(self, line: int) -> bool:
        """Whether one of the diagnostics, all of one file, starts on that line."""
        return any(d.span is not None and d.span.line == line for d in self.found)

    def raise_if_errors(self) -> None:
        if self.errors:
            raise DiagnosticError(self.errors)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.found)


def cure_of(code: str) -> tuple[str, ...]:
    """The cure of a code in the table as a note; none for a code of a plugin, which is not in the table."""
    from flowrl_dsl.codes import CODES  # large, and needed only after a mistake

    cure = CODES[code].cure if code in CODES else ""
    return (f"{cure[0].lower()}{cure[1:]}".removesuffix("."),) if cure else ()


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate a person most likely meant by ``name``, or None when nothing is close."""
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return close[0] if close else None


def suggestion(name: str, close: str) -> Proposal:
    """The hint that ``close`` was meant by ``name``."""
    return Proposal(f'did you mean "{close}"?', name, close)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A hint line: the nearest valid name first, else all of them."""
    names = sorted(set(candidates))
    close = nearest(name, names)
    if close is not None:
        return suggestion(name, close)
    return f"expected one of: {', '.join(names)}" if names else ""


_LONGEST = 80


def quoted(text: str) -> str:
    """A text from outside as a message names it: in quotes, cut, and without what a terminal would obey."""
    return f'"{_harmless(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")}"'


def _harmless(text: str) -> str:
    """The text with its unprintable characters, such as those that move a cursor or that no encoding has, as escapes."""
    return "".join(c if c.isprintable() or unicodedata.combining(c) else ascii(c)[1:-1] for c in text)


_TAB = 4
_WIDEST = 160
_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "frame": "\x1b[1;34m", "bold": "\x1b[1m"}
_PLAIN = "\x1b[0m"


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by file and place, those without a place first; equal places stay in the order found."""
    return sorted(diagnostics, key=lambda d: (d.span is not None, d.span or Span("", 0, 0, 0, 0)))


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """A JSON list, one object a diagnostic, in the order of :func:`in_order`."""
    return json.dumps([d.as_json() for d in in_order(diagnostics)], indent=2, ensure_ascii=False)


MOST_SHOWN = 100
"""Diagnostics that a reader is shown at once."""


def render_text(diagnostics: Iterable[Diagnostic], sources: Mapping[str, str], color: bool = False) -> str:
    """Each diagnostic with its source line underlined, a blank line between two, for a terminal or a log.

    ``sources`` maps file names, as spans give them, to texts; a diagnostic of another file is shown without its line.  Of
    more than :data:`MOST_SHOWN` the rest is counted.
    """
    lines = {file: text.split("\n") for file, text in sources.items()}
    paint = _paint if color else _leave
    found = in_order(diagnostics)
    shown = [_render(d, lines.get(d.span.file) if d.span else None, paint) for d in found[:MOST_SHOWN]]
    rest = len(found) - MOST_SHOWN
    return "\n\n".join([*shown, *([f"... and {rest} more"] if rest > 0 else [])])


def _render(diagnostic: Diagnostic, lines: list[str] | None, paint) -> str:
    span, severity = diagnostic.span, diagnostic.severity
    message = _harmless(diagnostic.message)
    out = [paint(severity, f"{severity}[{diagnostic.code}]") + paint("bold", f": {message}")]
    margin = " " * (len(str(span.line)) if span is not None else 2)
    if span is not None:
        out.append(f"{margin}{paint('frame', '-->')} {_harmless(str(span))}")
    if span is not None and lines is not None and span.line <= len(lines):
        text, underline = _underlined(lines[span.line - 1].removesuffix("\r"), span)
        bar = paint("frame", "|")
        out.append(f"{margin} {bar}")
        out.append(f"{paint('frame', str(span.line))} {bar} {text}".rstrip())
        out.append(f"{margin} {bar} {paint(severity, underline)}")
    out += [f"{margin} {paint('frame', '=')} {_harmless(note)}" for note in diagnostic.notes]
    return "\n".join(out)


def _underlined(line: str, span: Span) -> tuple[str, str]:
    """The line as shown, and the carets below it; of a span over several lines the part on its first line."""
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
    line, start, end = _window(line, start, end)
    shown = [_shown(char) for char in line]
    before = sum(_width(part) for part in shown[:start]) + max(start - len(line), 0)
    width = sum(_width(part) for part in shown[start:end])
    return "".join(shown), " " * before + "^" * max(width, 1)


def _window(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of an overlong line around ``start``, and the offsets in it."""
    if len(line) <= _WIDEST:
        return line, start, end
    first = max(start - _WIDEST // 2, 0)
    last = first + _WIDEST
    head, tail = "..." if first else "", "..." if last < len(line) else ""
    moved = len(head) - first
    return f"{head}{line[first:last]}{tail}", start + moved, min(end, last) + moved


def _shown(char: str) -> str:
    """A character as the terminal gets it: tabs expanded, nothing that moves the cursor or changes colours."""
    if char == "\t":
        return " " * _TAB
    return char if char.isprintable() or unicodedata.combining(char) else "\N{REPLACEMENT CHARACTER}"


def _width(text: str) -> int:
    """The terminal columns a text takes: none for combining marks, two for wide characters."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _paint(kind: str, text: str) -> str:
    return f"{_COLORS[kind]}{text}{_PLAIN}"


def _leave(kind: str, text: str) -> str:
    return text
