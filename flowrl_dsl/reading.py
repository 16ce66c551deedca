"""Reading files that come from elsewhere: of bounded length, and without waiting for a writer that never comes.

Every spec and every file of a run is read here.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from contextlib import ExitStack
from pathlib import Path

PATIENCE = 10.0
"""Seconds that a pipe may be silent."""
_PORTION = 1 << 20
_WITHOUT_WAITING = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Unreadable(ValueError):
    """The contents of a file are not what was expected; the message is the reason, on one line."""


def read_regular(path: str | Path, limit: int) -> bytes:
    """The contents of a regular file of at most ``limit`` bytes.

    Raises ``OSError``, and :class:`Unreadable` for pipes, devices, folders and longer files.
    """
    with ExitStack() as opened:
        handle = _opened(path, opened)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable("it is not a regular file")
        if found.st_size > limit:
            raise Unreadable(f"it is longer than {limit} bytes")
        return _read(handle, limit)


def read_any(path: str | Path, limit: int) -> bytes:
    """The contents of a file or of a pipe, or their first ``limit + 1`` bytes: a device may never end.

    Raises ``OSError``, and :class:`Unreadable` for a pipe that nobody writes to.
    """
    with ExitStack() as opened:
        handle = _opened(path, opened)
        data = _read(handle, limit + 1)
        if not data and stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise Unreadable("it is a pipe without a writer")
        return data


def _opened(path: str | Path, opened: ExitStack) -> int:
    handle = os.open(path, os.O_RDONLY | _WITHOUT_WAITING)
    opened.callback(os.close, handle)
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return handle


def _read(handle: int, limit: int) -> bytes:
    parts: list[bytes] = []
    left, deadline = limit, time.monotonic() + PATIENCE
    while left:
        try:
            part = os.read(handle, min(left, _PORTION))
        except BlockingIOError:
            ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise Unreadable(f"nothing was written to it for {PATIENCE:.0f} seconds") from None
            continue
        if not part:
            break
        parts.append(part)
        left, deadline = left - len(part), time.monotonic() + PATIENCE
    return b"".join(parts)
