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

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.runtime import files, plain
from flowrl_dsl.runtime.errors import RunError

FORMAT = 2
READERS = {1: "0.1.0"}
"""The last version of flowrl-dsl that reads each older format."""
_KEEP = 2


@dataclass(frozen=True)
class Segment:
    """Rows ``start`` to ``stop`` (exclusive, counted since the start of the run) in one file."""

    name: str
    start: int
    stop: int
    digest: str


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
            for stale in [folder for folder in self.steps() if folder.name >= target.name]:
                files.remove(stale)
            files.rename(draft, target)
            self.clean()

    def _append(self, rows: np.ndarray, total: int) -> None:
        if not len(rows):
            return
        start = total - len(rows)
        name = f"rows-{start:09d}-{total:09d}.npy"
        digest = files.replace(self._replay / name, _npy(rows))
        self._segments.append(Segment(name, start, total, digest))

    def _write(self, draft: Path, step: int, state: dict[str, np.ndarray], rest: Any, total: int, kept: int) -> None:
        text, arrays = plain.pack(rest)
        contents = {"state.npz": npz(state), "rest.npz": npz(arrays), "rest.json": text.encode()}
        manifest = {
            "format": FORMAT,
            "step": step,
            "total": total,
            "kept": kept,
            "files": {name: files.write(draft / name, data) for name, data in contents.items()},
            "segments": [asdict(segment) for segment in self._segments],
        }
        files.write(draft / "manifest.json", json.dumps(manifest, indent=1).encode())
        files.sync_folder(draft)

    def load(self) -> Loaded | None:
        """The newest intact checkpoint, or None; skipped ones are listed in ``notices``."""
        for folder in reversed(self.steps()):
            try:
                loaded, self._segments = self._read(folder)
                return loaded
            except (OSError, ValueError, KeyError, TypeError) as error:
                # the exceptions that reading a truncated or damaged file can raise
                reason = str(error).split("\n")[0]
                self.notices.append(f"{folder.name} is damaged and was skipped ({reason})")
        return None

    def steps(self) -> list[Path]:
        """The folders of finished checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def _read(self, folder: Path) -> tuple[Loaded, list[Segment]]:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise _other_format(folder, manifest["format"])
        for name, digest in manifest["files"].items():
            _check(folder / name, digest)
        segments = [Segment(**segment) for segment in manifest["segments"]]
        for segment in segments:
            _check(self._replay / segment.name, segment.digest)
        rest = plain.unpack((folder / "rest.json").read_text(encoding="utf-8"), read_arrays(folder / "rest.npz"))
        parts = [np.load(self._replay / segment.name, allow_pickle=False) for segment in segments]
        rows = np.concatenate(parts)[-manifest["kept"] :] if parts else np.zeros((0, 0), np.float32)
        state = read_arrays(folder / "state.npz")
        return Loaded(manifest["step"], state, rest, manifest["total"], rows), segments

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


def _other_format(folder: Path, found: int) -> RunError:
    message = f"{folder} has checkpoint format {found}; this version of flowrl-dsl reads format {FORMAT}"
    reader = READERS.get(found)
    cure = f"pip install 'flowrl-dsl=={reader}'" if reader else "use the version of flowrl-dsl in run.json"
    return RunError("FRL0418", message, f"resume it with a version that reads the format: {cure}")


def _segment_names(folder: Path) -> set[str]:
    try:
        return {
            segment["name"] for segment in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["segments"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        # a damaged manifest can never be loaded, so it needs no rows
        return set()


def _check(path: Path, digest: str) -> None:
    if files.digest_of(path) != digest:
        raise ValueError(f"{path.name} does not match its checksum")


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of an ``.npz`` of these arrays."""
    buffer = io.BytesIO()
    # without the prefix an array named "file" would be an argument of savez
    marked: dict[str, Any] = {f"_{name}": array for name, array in arrays.items()}
    np.savez(buffer, **marked)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; never unpickles."""
    with np.load(path, allow_pickle=False) as file:
        return {name[1:]: file[name] for name in file.files}
