"""The command ``flowrl-dsl runs``: the run folders below a folder, as a table, and their removal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.plan import aligned
from flowrl_dsl.runtime import claims, files
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder

STATES = ("running", "finished", "stopped", "damaged")
"""A process holds its lock; its last step is evaluated; it can be resumed; its files are not those that `train` wrote."""


@dataclass(frozen=True)
class Entry:
    """One run; the return is that of its newest evaluation, and what a damaged run lacks is None."""

    path: str
    state: str
    spec: str | None = None
    task: str | None = None
    seed: int | None = None
    step: int | None = None
    steps: int | None = None
    episode_return: float | None = None
    created: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry by the names of its columns."""
        return {COLUMNS.get(name, name): value for name, value in asdict(self).items()}


COLUMNS = {"episode_return": "return"}
SORTED_BY = tuple(COLUMNS.get(field.name, field.name) for field in fields(Entry))
"""The columns by which runs can be sorted."""


def found(folders: Iterable[Path]) -> list[Entry]:
    """The runs in these folders and below them, in the order of their paths; links are not followed."""
    paths = {path.parent: None for folder in folders for path in sorted(_run_files(folder))}
    return [_entry(path) for path in paths]


def _run_files(folder: Path) -> Iterator[Path]:
    if (folder / "run.json").is_file():
        yield folder / "run.json"
        return
    for inner in folder.iterdir() if folder.is_dir() else ():
        if inner.is_dir() and not inner.is_symlink():
            yield from _run_files(inner)


def _entry(path: Path) -> Entry:
    state = "running" if _is_locked(path) else "damaged"
    try:
        folder = RunFolder(path)
        records = folder.records()
        steps = int(folder.said("settings")["steps"])
        step = records[-1]["step"] if records else 0
        returns = [one["return_mean"] for one in records if one["kind"] == "eval"]
        if state != "running":
            state = "finished" if step >= steps else "stopped"
        place = folder.said("spec"), folder.said("task"), folder.said("seed")
        return Entry(str(path), state, *place, step, steps, returns[-1] if returns else None, folder.settings.get("created"))
    except (DiagnosticError, KeyError, TypeError, ValueError):
        return Entry(str(path), state)


def _is_locked(path: Path) -> bool:
    """Whether a process trains in the folder."""
    if not (path / claims.LOCK).exists():
        return False
    try:
        with claims.Lock(path / claims.LOCK):
            return False
    except RunError as error:
        return error.code == "FRL0415"


def chosen(entries: Iterable[Entry], filters: Sequence[tuple[str, str]], by: str) -> list[Entry]:
    """The entries with these texts in these columns, sorted by a column; numbers descend, and None comes last."""
    kept = [one for one in entries if all(wanted in str(one.as_json()[name]) for name, wanted in filters)]
    values = {one.path: one.as_json()[by] for one in kept}
    known = [one for one in kept if values[one.path] is not None]
    descending = any(isinstance(values[one.path], int | float) for one in known)
    known.sort(key=lambda one: values[one.path], reverse=descending)
    return known + [one for one in kept if values[one.path] is None]


def table(entries: Sequence[Entry]) -> str:
    """One line for each run."""
    head = ("run", "spec", "task", "seed", "step", "return", "state")
    return "\n".join(aligned([head, *(_row(one) for one in entries)]))


def _row(one: Entry) -> tuple[str, ...]:
    step = "-" if one.step is None else f"{one.step}/{one.steps}"
    shown = "-" if one.episode_return is None else f"{one.episode_return:.1f}"
    return one.path, one.spec or "-", one.task or "-", "-" if one.seed is None else str(one.seed), step, shown, one.state


def prune(entries: Iterable[Entry]) -> None:
    """Remove the folders of runs; raises FRL0492 for one that has begun to train, before it removes any."""
    paths = [Path(one.path) for one in entries]
    for path in paths:
        if _is_locked(path):
            raise RunError("FRL0492", f"a process trains in {path}: nothing was removed", "stop it, or choose other runs")
    for path in paths:
        with files.disk(path):
            shutil.rmtree(path)
