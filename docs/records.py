"""Shared by the scripts of this folder: measurements, one per line of a committed file, and their tables."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

DOCS = Path(__file__).parent

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

    def add(self, record: Record) -> None:
        """Append a record at once, so that it survives an interruption of the study."""
        with self._lock, self.path.open("a") as out:
            self._all.append(record)
            out.write(json.dumps(record) + "\n")


def fill(page: str, mark: str, text: str) -> None:
    """Insert a text between its markers in a page of this folder."""
    path = DOCS / page
    before, _, rest = path.read_text().partition(f"<!-- {mark} -->")
    _, _, after = rest.partition(f"<!-- end of {mark} -->")
    path.write_text(f"{before}<!-- {mark} -->\n{text}\n<!-- end of {mark} -->{after}")


def table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
