"""Text that names a file.  Only here is a file system asked about what a user wrote, and no text makes it raise.

No file system holds every text: a zero byte, a lone surrogate or too many letters are errors of their own kinds to it.
Such a name is one of a file that does not exist, or cannot be read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, did_you_mean, quoted
from flowrl_dsl.reading import read_any

SUFFIX = ".flowrl"

MOST_BYTES = 1_000_000
"""Length of the longest text that is read; shipped specs have two thousand bytes."""


def read_source(path: str | Path) -> tuple[str | None, list[Diagnostic]]:
    """The text of a file (``-``: of standard input), or None and the reason (FRL0101 to FRL0104) why there is none."""
    found = Diagnostics()
    name = str(path)
    shown, place = quoted(name), Span(name, 1, 1, 1, 1)
    try:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if name == "-" else read_any(path, MOST_BYTES)
    except FileNotFoundError:
        near = did_you_mean(os.path.basename(name), specs_in(os.path.dirname(name))[:12])
        found.error("FRL0101", f"file not found: {shown}", place, near or _EXAMPLE)
    except IsADirectoryError:
        near = did_you_mean("any", specs_in(name)[:12])
        found.error("FRL0102", f"{shown} is a folder, not a file", place, near or _EXAMPLE)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        found.error("FRL0103", f"cannot read {shown}: {reason}", place, "check its name and its permissions")
    else:
        if len(data) <= MOST_BYTES:
            return _decode(data, name, found), found.found
        message = f"cannot read {shown}: it is longer than {MOST_BYTES} bytes"
        found.error("FRL0103", message, place, "a spec has a few thousand bytes: check the name")
    return None, found.found


_EXAMPLE = "write the path of a spec, or the name of a shipped one (flowrl-dsl list specs)"


def _decode(data: bytes, name: str, found: Diagnostics) -> str | None:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"the file is not UTF-8: byte 0x{data[problem.start]:02x} at offset {problem.start}"
        span = Span(name, line, column, line, column)
        found.error("FRL0104", message, span, "save it with the encoding UTF-8")
        return None


def is_file(name: str) -> bool:
    """Whether there is a file of that name."""
    return os.path.isfile(name)  # False for what no file system holds, where other questions raise


def same_file(one: str, other: str) -> bool:
    """Whether two names are those of one file, through links too."""
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):
        return one == other


def beside(path: str, name: str) -> str:
    """The file that ``name`` is, read from the folder of the file ``path``."""
    return os.path.join(os.path.dirname(path), name)


def specs_in(folder: str) -> list[str]:
    """The names of the specs in a folder, in order; none where there is no such folder."""
    try:
        return sorted(entry for entry in os.listdir(folder or ".") if entry.endswith(SUFFIX))
    except (OSError, ValueError):
        return []
