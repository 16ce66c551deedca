"""The run folder: its name, its files, and the records appended during training.

``runs/SPEC/TASK/seedN`` (``seedN-2``, … if it exists; no run is ever overwritten)::

    run.json         the arguments, versions and device
    spec/            the spec and the files it extends, as written
    resolved.flowrl  the spec with all options
    metrics.jsonl    one record per line; bit for bit equal for equal runs, hence without timestamps
    metrics.csv      the same as a table
    timing.jsonl     wall-clock time and updates per second
    tensorboard/  checkpoints/  curve.png

A population is a folder of such folders, and ``population.json`` with their names.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.settings import Settings

Entry = dict[str, Any]
_POPULATION = "population.json"


def quoted(path: Path) -> str:
    """A path as it can be pasted into a shell."""
    return shlex.quote(str(path))


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
        contents: Mapping[str, str] = MappingProxyType({}),
        out: Path | None = None,
    ) -> RunFolder:
        """Create a folder with the given files and ``run.json``: ``out`` itself, or the first free name below ``base``.

        ``run.json`` is written last: a folder that contains it is complete.
        """
        path = _claim(out) if out is not None else _first_free(base / spec / task.replace("/", "_"), f"seed{seed}")
        for name, text in contents.items():
            _write(path, name, text)
        _write(path, "run.json", json.dumps(settings, indent=1) + "\n")
        return RunFolder(path)

    def write(self, name: str, text: str) -> None:
        """Write one file of the folder atomically."""
        _write(self.path, name, text)

    def locked(self) -> Lock:
        return Lock(self.path / "lock")

    def records(self) -> list[Entry]:
        """All complete records of metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            records = [json.loads(line) for line in lines if line.endswith("\n")]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise RunError("FRL0411", f"{path} cannot be read: {error}") from error
        if not all(isinstance(record, dict) and "kind" in record for record in records):
            raise RunError("FRL0411", f"{path} contains a record that `train` did not write")
        return records

    def said(self, name: str) -> Any:
        """One of the settings that every run has."""
        if name not in self.settings:
            raise RunError("FRL0411", f'{self.path / "run.json"} lacks "{name}"')
        return self.settings[name]

    @property
    def kind(self) -> str:
        """A digest of all that decides its results but the seed: the resolved spec and the settings of the training.

        How often a run is logged and saved decides nothing.
        """
        settings = {k: v for k, v in self.said("settings").items() if k not in ("seed", "checkpoint_every", "log_every")}
        try:
            resolved = (self.path / "resolved.flowrl").read_bytes()
        except OSError as error:
            raise RunError("FRL0411", f"{self.path} is an incomplete run folder: {error}") from error
        return hashlib.sha256(resolved + json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def write_csv(self) -> None:
        """Rewrite metrics.csv from metrics.jsonl, which keeps the two consistent."""
        records = self.records()
        columns = list(dict.fromkeys(name for record in records for name in record))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        self.write("metrics.csv", text.getvalue())


def new_population(base: Path, spec: str, task: str, out: Path | None) -> Path:
    """An empty folder for the members of a population: ``out`` itself, or the first free name below ``base``."""
    return _claim(out) if out is not None else _first_free(base / spec / task.replace("/", "_"), "population")


def write_members(path: Path, names: Sequence[str]) -> None:
    """Record the member folders; written after all of them, so a population with this file is complete."""
    _write(path, _POPULATION, json.dumps({"members": list(names)}, indent=1) + "\n")


def is_population(path: Path) -> bool:
    return (path / _POPULATION).exists()


def members(path: Path) -> list[Path]:
    """The run folders of a population."""
    try:
        return [path / name for name in json.loads((path / _POPULATION).read_text(encoding="utf-8"))["members"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError("FRL0411", f"{path} is not a population folder: {error}") from error


def expanded(paths: Sequence[Path]) -> list[Path]:
    """The run folders, with each population replaced by its members, and none of them twice."""
    found: dict[Path, Path] = {}
    for path in paths:
        for run in members(path) if is_population(path) else [path]:
            found.setdefault(run.resolve(), run)
    return list(found.values())


class Lock:
    """An advisory lock that the operating system releases when its process ends for any reason."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> Lock:
        with files.disk(self._path):
            self._file = open(self._path, "a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise RunError("FRL0415", f"another process is training in {self._path.parent}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Journal:
    """A file of JSON lines that can be truncated to its length at a checkpoint."""

    def __init__(self, path: Path):
        self._path = path
        with files.disk(path):
            # without a buffer: one left over after a full disk would fail again when the file is closed
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115

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
            self._file.truncate(offset)
            self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._file.close()


def _finite(record: Entry) -> Entry:
    """JSON has no NaN: a metric of a stage that did not run is null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def _write(folder: Path, name: str, text: str) -> None:
    with files.disk(folder):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, text.encode())


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        said = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError("FRL0411", f"{path} is not a run folder", "expected run.json, which `train` writes") from error
    whole = isinstance(said, dict)
    wrong = [name for name, fits in _FITS.items() if whole and name in said and not fits(said[name])]
    if wrong or not whole:
        what = ", ".join(f'"{name}"' for name in wrong) or "as a whole"
        raise RunError("FRL0411", f"{path / 'run.json'} was changed since `train` wrote it: {what}")
    return said


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_given(value: object) -> bool:
    """Whether these are settings of the loop, each a count or None."""
    names = {field.name for field in fields(Settings)}
    return isinstance(value, dict) and all(
        name in names and (count is None or (isinstance(count, int) and count >= 1)) for name, count in value.items()
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    "spec": _is_text,
    "main": _is_text,
    "task": _is_text,
    "seed": lambda value: isinstance(value, int) and 0 <= value < 2**31,
    "sets": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "given": _is_given,
    "wandb": lambda value: value is None or _is_text(value),
}
"""Checks of the settings that later commands read from run.json, which users can edit."""


def _claim(path: Path) -> Path:
    with files.disk(path):
        path.mkdir(parents=True, exist_ok=True)
        # drafts left by a killed process belong to no run
        if any(not inside.name.startswith(files.DRAFT) for inside in path.iterdir()):
            hint = f"`flowrl-dsl resume {quoted(path)}` resumes a run; choose another --out for a new one"
            raise RunError("FRL0414", f"{path} is not empty", hint)
    return path


def _first_free(parent: Path, name: str) -> Path:
    with files.disk(parent):
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                # mkdir is atomic: it decides between two runs started at once
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
