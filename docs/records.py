"""What the scripts of this folder share: measurements kept one to a line of a committed file, and their tables."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

DOCS = Path(__file__).parent

Record = dict[str, Any]


class Records:
    """Measurements in a file, one JSON object to a line: what was asked for (its key) and what came of it."""

    def __init__(self, name: str):
        self.path = DOCS / name
        self._lock = Lock()
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self._all: list[Record] = [json.loads(line) for line in lines]

    def find(self, key: Record) -> Record | None:
        """The latest record of what the key asks for, None where that has not been measured."""
        return next((record for record in reversed(self._all) if key.items() <= record.items()), None)

    def add(self, record: Record) -> None:
        """Keep a record, whatever becomes of the rest of the study."""
        with self._lock, self.path.open("a") as out:
            self._all.append(record)
            out.write(json.dumps(record) + "\n")


def fill(page: str, mark: str, text: str) -> None:
    """Put a text between its marks in a page of this folder."""
    path = DOCS / page
    before, _, rest = path.read_text().partition(f"<!-- {mark} -->")
    _, _, after = rest.partition(f"<!-- end of {mark} -->")
    path.write_text(f"{before}<!-- {mark} -->\n{text}\n<!-- end of {mark} -->{after}")


def table(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
