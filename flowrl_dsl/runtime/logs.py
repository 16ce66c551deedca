"""The run folder: its name, its files, and the records appended during training.

``runs/SPEC/TASK/seedN`` (``seedN-2``, … if it exists; no run is ever overwritten)::

    run.json         the arguments, versions and device
    spec/            the spec and the files it extends, as written
    resolved.flowrl  the spec with all options
    begin.npz        the policy of an earlier run with which this one begins, where it has one
    metrics.jsonl    one record per line; bit for bit equal for equal runs, hence without timestamps
    metrics.csv      the same as a table
    timing.jsonl     wall-clock time and updates per second
    tensorboard/  checkpoints/  curve.png

A population is a folder of such folders, and ``population.json`` with their names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import claims, files
from flowrl_dsl.runtime.claims import Lock, quoted
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.schema import MOST_BYTES, M, PopulationJson, Record, RunJson, Timing, parse_json, read_json

Entry = dict[str, Any]
_POPULATION = "population.json"
_MOST_RECORDS, _LONGEST_RECORD = 1 << 30, 1 << 20
"""Bytes of the longest journal and of its longest line that are read."""


class RunFolder:
    """An existing run folder.  ``with folder.locked():`` prevents a second process from writing to it."""

    def __init__(self, path: Path):
        self.path = path
        self.settings: dict[str, Any] = _read_settings(path)

    @staticmethod
    def create(
        base: Path,
        spec: str,
        task: str,
        seed: int,
        settings: Mapping[str, Any],
        contents: Mapping[str, str | bytes] = MappingProxyType({}),
        out: Path | None = None,
    ) -> RunFolder:
        """Create a folder with the given files and ``run.json``: ``out`` itself, or the first free name below ``base``.

        ``run.json`` is written last: a folder that contains it is complete.
        """
        names = [*dict.fromkeys(Path(name).parts[0] for name in contents), "run.json"]
        home = base / spec / task.replace("/", "_")
        with claims.claimed(out, names) if out is not None else claims.first_free(home, f"seed{seed}", names) as path:
            for name, text in contents.items():
                _write(path, name, text)
            _write(path, "run.json", json.dumps(settings, indent=1) + "\n")
        return RunFolder(path)

    def write(self, name: str, text: str) -> None:
        """Write one file of the folder atomically."""
        _write(self.path, name, text)

    def change(self, values: Mapping[str, Any]) -> None:
        """Replace entries of run.json."""
        if values:
            self.settings |= values
            self.write("run.json", json.dumps(self.settings, indent=1) + "\n")

    def locked(self) -> Lock:
        """The lock of a folder that is about to be written to; raises FRL0411 for one with a link that leads out of it."""
        home = Path(os.path.realpath(self.path))
        for folder, inside, names in os.walk(home):
            for path in (Path(folder) / name for name in [*inside, *names]):
                if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(home):
                    raise RunError("FRL0411", f"{path} is a link that leads out of the run folder", "replace it by a copy")
            if "wandb" in inside:
                inside.remove("wandb")  # written by wandb alone, which links its logs
        return Lock(self.path / claims.LOCK)

    def records(self) -> list[Entry]:
        """All complete records of metrics.jsonl."""
        return [record.model_dump() for record in self._read("metrics.jsonl", Record)]

    def timing(self) -> dict[int, Timing]:
        """The clock and the speed by step, the last of those that a resumed run has reached twice."""
        return {entry.step: entry for entry in self._read("timing.jsonl", Timing)}

    def _read(self, name: str, kind: type[M]) -> list[M]:
        """The complete lines of a journal; none where there is no such file."""
        path = self.path / name
        try:
            return [parse_json(line, kind) for line in _lines(read_regular(path, _MOST_RECORDS))]
        except FileNotFoundError:
            return []
        except (OSError, Unreadable) as error:
            raise RunError("FRL0411", f"{path} is not one that `train` wrote: {error}") from error

    def said(self, name: str) -> Any:
        """One of the settings that every run has."""
        if name not in self.settings:
            raise RunError("FRL0411", f'{self.path / "run.json"} lacks "{name}"')
        return self.settings[name]

    def resolved(self) -> bytes:
        """The text of the resolved spec."""
        try:
            return read_regular(self.path / "resolved.flowrl", MOST_BYTES)
        except (OSError, Unreadable) as error:
            raise RunError("FRL0411", f"{self.path} is an incomplete run folder: {error}") from error

    @property
    def kind(self) -> str:
        """A digest of all that decides its results but the seed: the resolved spec, the settings of the training, and
        the policy with which it begins.

        How often a run is logged and saved decides nothing.
        """
        settings = {k: v for k, v in self.said("settings").items() if k not in ("seed", "checkpoint_every", "log_every")}
        begin = self.settings.get("begin", {}).get("sha256", "")
        return hashlib.sha256(self.resolved() + json.dumps(settings, sort_keys=True).encode() + begin.encode()).hexdigest()

    def write_csv(self) -> None:
        """Rewrite metrics.csv from metrics.jsonl, which keeps the two consistent."""
        records = self.records()
        columns = list(dict.fromkeys(name for record in records for name in record))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        self.write("metrics.csv", text.getvalue())


def new_population(base: Path, spec: str, task: str, out: Path | None, names: Sequence[str]) -> AbstractContextManager[Path]:
    """A folder claimed for members of these names: ``out`` itself, or the first free name below ``base``.

    It is complete after :func:`write_members`, in the body.
    """
    home = base / spec / task.replace("/", "_")
    return claims.claimed(out, names) if out is not None else claims.first_free(home, "population", names)


def write_members(path: Path, names: Sequence[str]) -> None:
    """Record the member folders; written after all of them, so a population with this file is complete."""
    _write(path, _POPULATION, json.dumps({"members": list(names)}, indent=1) + "\n")


def is_population(path: Path) -> bool:
    return (path / _POPULATION).exists()


def members(path: Path) -> list[Path]:
    """The run folders of a population."""
    try:
        return [path / name for name in read_json(path / _POPULATION, PopulationJson).members]
    except (OSError, Unreadable) as error:
        raise RunError("FRL0411", f"{path / _POPULATION} is not one that `train` wrote: {error}") from error


def expanded(paths: Sequence[Path]) -> list[Path]:
    """The run folders, with each population replaced by its members, and none of them twice."""
    found: dict[str, Path] = {}
    for path in paths:
        for run in members(path) if is_population(path) else [path]:
            found.setdefault(os.path.realpath(run), run)
    return list(found.values())


class Journal:
    """A file of JSON lines that can be truncated to its length at a checkpoint."""

    def __init__(self, path: Path):
        self._path = path
        with files.disk(path):
            self._file = files.open_to_append(path)

    def append(self, record: Entry) -> None:
        """Append one line and pass it to the operating system, after which a killed process cannot lose it."""
        with files.disk(self._path):
            rest = (json.dumps(_finite(record)) + "\n").encode()
            while rest:
                rest = rest[self._file.write(rest) :]

    def offset(self) -> int:
        """The current length, after a sync to the disk."""
        with files.disk(self._path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def cut(self, offset: int) -> None:
        """Truncate the file to ``offset``."""
        with files.disk(self._path):
            size = self._path.stat().st_size
            if size < offset:
                raise RunError("FRL0412", f"{self._path} is shorter than at the checkpoint")
            if offset and not self._ends_line(offset):
                raise RunError("FRL0412", f"{self._path} is not what it was at the checkpoint")
            self._file.truncate(offset)
            self._file.seek(0, os.SEEK_END)

    def _ends_line(self, offset: int) -> bool:
        with open(self._path, "rb") as file:
            file.seek(offset - 1)
            return file.read(1) == b"\n"

    def close(self) -> None:
        self._file.close()


def _finite(record: Entry) -> Entry:
    """JSON has no NaN: a metric of a stage that did not run is null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def _write(folder: Path, name: str, content: str | bytes) -> None:
    with files.disk(folder):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, content.encode() if isinstance(content, str) else content)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return read_json(path / "run.json", RunJson).model_dump(exclude_unset=True)
    except OSError as error:
        if claims.is_half_made(path):
            hint = f"the same command begins it again: flowrl-dsl train SPEC --out {quoted(path)}"
            raise RunError("FRL0411", f"`train` was stopped before {path} was complete", hint) from error
        if is_population(path):
            hint = f"name one of them, such as {quoted(members(path)[0])}"
            raise RunError("FRL0411", f"{path} is a population, a folder of runs", hint) from error
        raise RunError("FRL0411", f"{path} is not a run folder", "expected run.json, which `train` writes") from error
    except Unreadable as error:
        raise RunError("FRL0411", f"{path / 'run.json'} was changed since `train` wrote it: {error}") from error


def _lines(data: bytes) -> Iterator[bytes]:
    """The complete lines; the last one may still be being written."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if end - start > _LONGEST_RECORD:
            break
        yield data[start:end]
        start = end + 1
    if len(data) - start > _LONGEST_RECORD:
        raise Unreadable(f"a line is longer than {_LONGEST_RECORD} bytes")
