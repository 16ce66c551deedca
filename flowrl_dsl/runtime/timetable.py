"""The phases of a run by their updates, for records and the display."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


class Timetable:
    """Phases by name, each with its first update, counted from 0; empty for an algorithm without phases."""

    def __init__(self, phases: Sequence[tuple[str, int]] = ()):
        self._names = [name for name, _ in phases]
        self._starts = [start for _, start in phases]

    def recorded(self, updates: int) -> dict[str, int]:
        """The number of the phase, from 1, of the last of so many updates, as an entry of a record."""
        return {"phase": max(bisect_right(self._starts, updates - 1), 1)} if self._names else {}

    def named(self, updates: int) -> str:
        """The phase of the next update after so many: ``values (1 of 2)``; empty without phases."""
        return self.title(max(bisect_right(self._starts, updates), 1)) if self._names else ""

    def title(self, number: int) -> str:
        """The name of a phase, and its number among all: ``values (1 of 2)``."""
        return f"{self._names[number - 1]} ({number} of {len(self._names)})"

    def begun(self, before: int, after: int) -> list[tuple[int, int]]:
        """Number and first update of each phase that begins in the updates from ``before`` to ``after`` (exclusive)."""
        return [(number, start) for number, start in enumerate(self._starts, start=1) if before <= start < after]
