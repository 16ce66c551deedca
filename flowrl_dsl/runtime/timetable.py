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

    def begun(self, before: int, after: int) -> list[str]:
        """A line for each phase that begins in the updates from ``before`` to ``after`` (exclusive)."""
        total = len(self._names)
        places = zip(self._names, self._starts, strict=True)
        return [
            f'phase "{name}" ({number} of {total}) begins at update {start}'
            for number, (name, start) in enumerate(places, start=1)
            if before <= start < after
        ]
