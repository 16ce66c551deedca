"""Claiming the folder of a new run: one process gets it, and a kill leaves it either complete or free again.

While the files that define a run are written, the folder contains a marker with their names.  A folder with a marker and
without ``run.json`` or ``population.json`` is half-made: the next ``train`` removes those files and begins again.
"""

from __future__ import annotations

import fcntl
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flowrl_dsl.reading import Unreadable
from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.schema import Name, read_json

LOCK = "lock"
_MARKER = f"{files.DRAFT}run"
_COMPLETE = ("run.json", "population.json")


def quoted(path: Path) -> str:
    """A path as it can be pasted into a shell."""
    return shlex.quote(str(path))


class Lock:
    """An advisory lock that the operating system releases when its process ends for any reason."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> Lock:
        with files.disk(self._path):
            self._file = files.open_to_append(self._path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise RunError("FRL0415", f"another process is training in {self._path.parent}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def claimed(path: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder for the files ``names`` of a new run, which are written in the body, the last one completing it.

    Raises FRL0414 for a folder that contains anything else, and FRL0415 while another process claims it.
    """
    with files.disk(path):
        path.mkdir(parents=True, exist_ok=True)
        _left_over(path)
    with Lock(path / LOCK), files.disk(path):
        # again: another process may have completed a run here before this one got the lock
        for name in _left_over(path):
            files.remove(path / name)
        files.replace(path / _MARKER, json.dumps(list(names)).encode())
        yield path
        files.remove(path / _MARKER)


@contextmanager
def first_free(parent: Path, name: str, names: Sequence[str]) -> Iterator[Path]:
    """As :func:`claimed`, for the first of ``parent/name``, ``parent/name-2``, ... that no other run has."""
    with ExitStack() as held:
        number = 1
        while True:
            path = parent / (name if number == 1 else f"{name}-{number}")
            number += 1
            try:
                held.enter_context(claimed(path, names))
            except RunError as error:
                if error.code not in ("FRL0414", "FRL0415") and not path.is_file():
                    raise
            else:
                break
        yield path


def is_half_made(path: Path) -> bool:
    """Whether `train` was stopped before the folder was complete."""
    return (path / _MARKER).exists() and not any((path / name).exists() for name in _COMPLETE)


def _left_over(path: Path) -> list[str]:
    """The files of a half-made run; raises FRL0414 if the folder contains anything else."""
    # drafts left by a killed process belong to no run
    found = {one.name for one in path.iterdir() if not one.name.startswith(files.DRAFT)} - {LOCK}
    if is_half_made(path):
        try:
            found -= set(ours := read_json(path / _MARKER, list[Name]))
        except (OSError, Unreadable):
            ours = []
        if not found:
            return [name for name in ours if (path / name).exists()]
    if found:
        hint = f"`flowrl-dsl resume {quoted(path)}` resumes a run; choose another --out for a new one"
        raise RunError("FRL0414", f"{path} is not empty", hint)
    return []
