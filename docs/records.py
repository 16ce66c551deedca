"""Shared by the scripts of this folder: measurements, one per line of a committed file, and their tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Any

from flowrl_dsl.suites.jobs import fingerprint

__all__ = ["DOCS", "Record", "Records", "fill", "fingerprint", "table"]

DOCS = Path(__file__).parent
OUTDATED = "†"
"""Marks what was measured with an earlier form of the spec."""

Record = dict[str, Any]


class Records:
    """Measurements in a file, one JSON object per line: the settings (its key) and the results."""

    def __init__(self, name: str):
        self.path = DOCS / name
        self._lock = Lock()
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self._all: list[Record] = [json.loads(line) for line in lines]

    def find(self, key: Record) -> Record | None:
        """The latest record that contains the key, or None if it has not been measured."""
        return next((record for record in reversed(self._all) if key.items() <= record.items()), None)

    def shown(self, key: Record) -> Record | None:
        """The record of the key, or the latest one of the same settings and an earlier form of the spec."""
        settings = {name: value for name, value in key.items() if name != "algorithm"}
        return self.find(key) or self.find(settings)

    def mark(self, keys: Iterable[Record]) -> str:
        """The mark of a row with these records, if one of them is outdated."""
        shown = [(self.find(key), self.shown(key)) for key in keys]
        return f" {OUTDATED}" if any(now is None and earlier is not None for now, earlier in shown) else ""

    def add(self, record: Record) -> None:
        """Append a record at once, so that it survives an interruption of the study."""
        with self._lock, self.path.open("a") as out:
            self._all.append(record)
            out.write(json.dumps(record) + "\n")


def fill(page: str, mark: str, text: str) -> None:
    """Insert a text between its markers in a page of this folder.  Raises ValueError where the page lacks one of them."""
    path = DOCS / page
    before, begin, rest = path.read_text().partition(f"<!-- {mark} -->")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    if not (begin and end):
        raise ValueError(f"{page} has no place between <!-- {mark} --> and <!-- end of {mark} -->")
    path.write_text(f"{before}<!-- {mark} -->\n{text}\n<!-- end of {mark} -->{after}")


def table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
