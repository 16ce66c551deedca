"""TensorBoard's event files, cut back to the checkpoint from which a run continues.

TensorBoard hides records that a killed run wrote after the checkpoint, but not every other reader of the files does.

A file is a sequence of records: the length of the data (8 bytes), its checksum (4), the data, and their checksum (4).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import files

_BEFORE, _AFTER = 12, 4
_MOST_BYTES = 1 << 30


def cut(folder: Path, step: int) -> None:
    """Remove the events after ``step``, and an incomplete one at the end of a file.  A file too long to be read stays."""
    for path in folder.glob("*.tfevents.*"):
        try:
            data = read_regular(path, _MOST_BYTES)
        except Unreadable:
            continue
        kept = b"".join(record for record, event in _records(data) if event.step <= step)
        if len(kept) < len(data):
            files.replace(path, kept)


def _records(data: bytes) -> Iterator[tuple[bytes, Any]]:
    """The complete records, each with its event, up to the first that is none."""
    from tensorboardX.proto.event_pb2 import Event

    start = 0
    while start + _BEFORE + _AFTER <= len(data):
        end = start + _BEFORE + int.from_bytes(data[start : start + 8], "little")
        if end + _AFTER > len(data):
            return
        try:
            event = Event.FromString(data[start + _BEFORE : end])
        except Exception:  # protobuf's DecodeError; protobuf is a dependency of tensorboardX, not of this package
            return
        yield data[start : end + _AFTER], event
        start = end + _AFTER
