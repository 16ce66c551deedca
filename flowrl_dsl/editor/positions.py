"""Places of spans and positions of the protocol, which counts lines and code units from 0.

A place counts characters, and only a line feed ends its line; in the protocol a carriage return does too, and a character
outside of the basic plane has two units of UTF-16.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from itertools import accumulate

from flowrl_dsl.diagnostics import Span

_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_LINE_FEEDS = re.compile(r"\n")
UNITS: dict[str, Callable[[str], int]] = {
    "utf-8": lambda char: len(char.encode("utf-8", "surrogatepass")),
    "utf-16": lambda char: 2 if ord(char) > 0xFFFF else 1,
    "utf-32": lambda char: 1,
}
"""The units of a character in the encodings in which a client may count."""


class Positions:
    """Converts between the two for one text."""

    def __init__(self, text: str, encoding: str = "utf-16"):
        self.text = text
        self._units = UNITS[encoding]

    @cached_property
    def _lines(self) -> list[int]:
        """Where the lines of the protocol begin."""
        return [0, *(end.end() for end in _LINE_ENDS.finditer(self.text))]

    @cached_property
    def _feeds(self) -> list[int]:
        """Where the lines of places begin."""
        return [0, *(end.end() for end in _LINE_FEEDS.finditer(self.text))]

    def place(self, line: int, character: int) -> tuple[int, int]:
        """The place of a position; one behind the end of a line, or of the text, is there, one in a character before it."""
        if line >= len(self._lines):
            return self._placed(len(self.text))
        start = self._lines[line]
        end = self._lines[line + 1] if line + 1 < len(self._lines) else len(self.text)
        inside = self.text[start:end].rstrip("\r\n")
        behind = [*accumulate(map(self._units, inside))]
        return self._placed(start + bisect_right(behind, character))

    def _placed(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._feeds, offset) - 1
        return line + 1, offset - self._feeds[line] + 1

    def position(self, line: int, column: int) -> tuple[int, int]:
        """The position of a place."""
        start = self._feeds[min(line, len(self._feeds)) - 1]
        offset = min(start + column - 1, len(self.text))
        number = bisect_right(self._lines, offset) - 1
        return number, sum(map(self._units, self.text[self._lines[number] : offset]))

    def ends(self, span: Span) -> tuple[tuple[int, int], tuple[int, int]]:
        """The positions of the two ends of a span."""
        return self.position(span.line, span.column), self.position(span.end_line, span.end_column)
