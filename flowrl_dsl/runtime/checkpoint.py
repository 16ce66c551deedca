"""Checkpoints that survive a kill at any time and never execute code when read.

Layout below ``RUN/checkpoints``::

    step-000010000/   state.npz, rest.npz, rest.json, manifest.json
    replay/           rows-000000000-000010000.npy, ...

A checkpoint is written under another name, synced, and renamed: it exists completely or not at all.  Replay rows are
appended as segments, so a checkpoint of a full replay costs only the rows since the last one.  The manifest
contains the SHA-256 of every file; a checkpoint that does not match is skipped with a notice.

orbax is not used because its import takes a second; for trees of a few megabytes an ``.npz`` (never with pickle) is one
file that can be hashed, synced and renamed with the others.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import arrays, files, plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.schema import MOST_BYTES, Manifest, Segment, read_json

FORMAT = 2
READERS = {1: "0.1.0"}
"""The last version of flowrl-dsl that reads each older format."""
_KEEP = 2
_MOST_REST = 1 << 30
"""Bytes of the largest snapshot of environments that is read."""
_SLACK = 1 << 20
"""Bytes that names and headers may add to the arrays of a file."""


@dataclass(frozen=True)
class Expected:
    """What the program of a run can have saved, which bounds the memory that loading takes.

    ``state`` are the bytes of the learner's arrays, ``width`` is the length of a replay row, ``rows`` the most kept ones.
    """

    state: int = 1 << 34
    width: int | None = None
    rows: int = 1 << 34


ANY_SIZE = Expected()


@dataclass(frozen=True)
class Loaded:
    """A loaded checkpoint: the learner's arrays by name, the other plain values, and the newest rows of the replay."""

    step: int
    state: dict[str, np.ndarray]
    rest: Any
    total: int
    rows: np.ndarray


class Checkpoints:
    """The checkpoints of one run; at most one process writes them at a time (see :mod:`flowrl_dsl.runtime.logs`)."""

    def __init__(self, run: Path):
        self.folder = run / "checkpoints"
        self._replay = self.folder / "replay"
        self._segments: list[Segment] = []
        self.notices: list[str] = []

    def save(self, step: int, state: dict[str, np.ndarray], rest: Any, rows: np.ndarray, total: int, kept: int) -> None:
        """Write a checkpoint; ``rows`` are those since the last one, ``kept`` the rows that the replay holds.

        On return the checkpoint is durable; until then the previous one stays valid.
        """
        with files.disk(self.folder):
            self._replay.mkdir(parents=True, exist_ok=True)
            self._append(rows[-kept:] if kept else rows[:0], total)
            self._segments = [segment for segment in self._segments if segment.stop > total - kept]
            target = self.folder / f"step-{step:09d}"
            draft = self.folder / f"{files.DRAFT}{target.name}"
            if draft.exists():
                files.remove(draft)
            draft.mkdir()
            self._write(draft, step, state, rest, total, kept)
            # a checkpoint of this or a later step can only be a damaged one that loading skipped
            for stale in [folder for folder in self.steps() if _step_of(folder) >= step]:
                files.remove(stale)
            files.rename(draft, target)
            self.clean()

    def _append(self, rows: np.ndarray, total: int) -> None:
        if not len(rows):
            return
        start = total - len(rows)
        name = f"rows-{start:09d}-{total:09d}.npy"
        digest = files.replace(self._replay / name, arrays.npy(rows))
        self._segments.append(Segment(name=name, start=start, stop=total, digest=digest))

    def _write(self, draft: Path, step: int, state: dict[str, np.ndarray], rest: Any, total: int, kept: int) -> None:
        text, parts = plain.pack(rest)
        contents = {"state.npz": arrays.npz(state), "rest.npz": arrays.npz(parts), "rest.json": text.encode()}
        manifest = {
            "format": FORMAT,
            "step": step,
            "total": total,
            "kept": kept,
            "files": {name: files.write(draft / name, data) for name, data in contents.items()},
            "segments": [segment.model_dump() for segment in self._segments],
        }
        files.write(draft / "manifest.json", json.dumps(manifest, indent=1).encode())
        files.sync_folder(draft)

    def load(self, expected: Expected = ANY_SIZE) -> Loaded | None:
        """The newest intact checkpoint, or None; skipped ones are listed in ``notices``."""
        for folder in reversed(self.steps()):
            try:
                loaded, self._segments = self._read(folder, expected)
                return loaded
            except (OSError, Unreadable) as error:
                self.notices.append(f"{folder.name} is damaged and was skipped ({error})")
        return None

    def load_state(self, expected: Expected = ANY_SIZE) -> tuple[int, dict[str, np.ndarray]] | None:
        """As :meth:`load`, but only the step and the learner's arrays: not the replay, which is much larger."""
        for folder in reversed(self.steps()):
            try:
                return _step_of(folder), self._state(folder, _manifest(folder), expected)
            except (OSError, Unreadable) as error:
                self.notices.append(f"{folder.name} is damaged and was skipped ({error})")
        return None

    def steps(self) -> list[Path]:
        """The folders of finished checkpoints, oldest first."""
        return sorted(filter(_is_finished, self.folder.glob("step-*")), key=_step_of)

    def numbers(self) -> list[int]:
        """The steps of the finished checkpoints, in order."""
        return [_step_of(folder) for folder in self.steps()]

    def _read(self, folder: Path, expected: Expected) -> tuple[Loaded, list[Segment]]:
        manifest = _manifest(folder)
        if manifest.step != _step_of(folder) or (why := manifest.inconsistency()):
            raise Unreadable(why or f"its manifest is that of step {manifest.step}")
        if manifest.kept > expected.rows:
            raise Unreadable(f"it has {manifest.kept} replay rows, the replay holds {expected.rows}")
        state = self._state(folder, manifest, expected)
        parts = arrays.read_npz(_genuine(folder / "rest.npz", manifest.files.arrays, _MOST_REST))
        text = _genuine(folder / "rest.json", manifest.files.rest, MOST_BYTES)
        rows = [self._rows(segment, manifest.total - manifest.kept, expected.width) for segment in manifest.segments]
        joined = np.concatenate(rows) if rows else np.zeros((0, expected.width or 0), np.float32)
        return Loaded(manifest.step, state, plain.unpack(text, parts), manifest.total, joined), manifest.segments

    @staticmethod
    def _state(folder: Path, manifest: Manifest, expected: Expected) -> dict[str, np.ndarray]:
        return arrays.read_npz(_genuine(folder / "state.npz", manifest.files.state, 2 * expected.state + _SLACK))

    def _rows(self, segment: Segment, oldest: int, width: int | None) -> np.ndarray:
        """The rows of a segment from the number ``oldest`` on."""
        count = segment.stop - segment.start
        limit = 1 << 34 if width is None else 4 * width * count + _SLACK
        rows = arrays.read_npy(_genuine(self._replay / segment.name, segment.digest, limit))
        shape = (count, *rows.shape[1:2]) if width is None else (count, width)
        if rows.dtype != np.float32 or rows.shape != shape:
            raise Unreadable(f"{segment.name} has {rows.dtype} rows of shape {list(rows.shape)}")
        return rows[max(0, oldest - segment.start) :]

    def clean(self) -> None:
        """Remove all but the newest two checkpoints, unfinished drafts, and rows that no checkpoint needs."""
        with files.disk(self.folder):
            for folder in self.steps()[:-_KEEP]:
                files.remove(folder)
            for left_over in [*self.folder.glob(".*"), *self._replay.glob(".*")]:
                files.remove(left_over)
            needed = {segment.name for segment in self._segments}
            for folder in self.steps():
                needed |= _segment_names(folder)
            for path in self._replay.glob("rows-*.npy"):
                if path.name not in needed:
                    files.remove(path)


def _is_finished(folder: Path) -> bool:
    return re.fullmatch(r"step-\d{1,18}", folder.name) is not None


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint; raises FRL0418 for one of another format."""
    path = folder / "manifest.json"
    found = read_json(path, dict[str, Any]).get("format")
    if isinstance(found, int) and found != FORMAT:
        raise _other_format(folder, found)
    return read_json(path, Manifest)


def _other_format(folder: Path, found: int) -> RunError:
    message = f"{folder} has checkpoint format {found}; this version of flowrl-dsl reads format {FORMAT}"
    reader = READERS.get(found)
    cure = f"pip install 'flowrl-dsl=={reader}'" if reader else "use the version of flowrl-dsl in run.json"
    return RunError("FRL0418", message, f"resume it with a version that reads the format: {cure}")


def _segment_names(folder: Path) -> set[str]:
    try:
        return {segment.name for segment in read_json(folder / "manifest.json", Manifest).segments}
    except (OSError, Unreadable):
        # a damaged manifest can never be loaded, so it needs no rows
        return set()


def _genuine(path: Path, digest: str, limit: int) -> bytes:
    """The contents of a file of at most ``limit`` bytes with this digest."""
    try:
        data = read_regular(path, limit)
    except Unreadable as error:
        raise Unreadable(f"{path.name}: {error}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise Unreadable(f"{path.name} does not match its checksum")
    return data
