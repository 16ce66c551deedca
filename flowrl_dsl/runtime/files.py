"""Atomic file changes: a reader sees a complete file or none, whenever the writer is killed.

Every change of the disk by a checkpoint calls :func:`announce` first, so a test can stop the program before each of them.
Disk errors become the diagnostic FRL0410.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowrl_dsl.runtime.errors import RunError

DRAFT = ".writing-"
"""Prefix of the name of an incomplete file."""


def announce(action: str, path: Path) -> None:
    """Called before each change of the disk; does nothing, tests replace it."""


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Convert an error of the operating system while writing below ``path`` to FRL0410."""
    try:
        yield
    except OSError as error:
        where = Path(error.filename if error.filename is not None else path)
        where = where.with_name(where.name.removeprefix(DRAFT)) if where.name else where
        raise RunError(
            "FRL0410",
            f"cannot write {where}: {error.strerror or error}",
            "free some space or choose another folder; `flowrl-dsl resume` continues an existing run",
        ) from error


def open_to_append(path: Path) -> io.FileIO:
    """A regular file opened at its end, without a buffer: one left over after a full disk would fail again at its close."""
    return open(path, "ab", buffering=0, opener=_own)


def _own(path: str, flags: int) -> int:
    """As ``os.open``, but neither through a link, which may lead out of the folder, nor waiting for the reader of a pipe."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return handle


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a file's own sync covers only its contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, data: bytes) -> str:
    """Write and sync one file that has no readers yet; returns the SHA-256 of its contents."""
    announce("create", path)
    with open(path, "wb", opener=_own) as file:
        half = len(data) // 2
        file.write(data[:half])
        announce("continue", path)
        file.write(data[half:])
        file.flush()
        announce("sync", path)
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def rename(source: Path, target: Path) -> None:
    """Rename within one folder, atomically and durably."""
    announce("rename", target)
    os.replace(source, target)
    announce("sync folder", target.parent)
    sync_folder(target.parent)


def replace(path: Path, data: bytes) -> str:
    """Replace the contents of ``path`` atomically; returns their SHA-256."""
    draft = path.with_name(DRAFT + path.name)
    digest = write(draft, data)
    rename(draft, path)
    return digest


def remove(path: Path) -> None:
    """Delete a file or a folder; a folder is renamed first, so an incomplete one is never read."""
    announce("remove", path)
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f".removing-{path.name}")
    if doomed != path and not path.name.startswith("."):
        os.replace(path, doomed)
        announce("remove contents", doomed)
    else:
        doomed = path
    shutil.rmtree(doomed)
