"""Standard streams that cannot be written: a full disk, a reader that has gone, an encoding that lacks a character."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from typing import Any


def escape_unwritable() -> None:
    """Characters that the encoding of a standard stream lacks are written as escapes (``\\xb1``) instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def guarded_output() -> Iterator[Guarded]:
    """Standard streams on which no work depends: what cannot be written is dropped, and the first error of output kept."""
    errors = Guarded(sys.stderr, lambda error: None)
    output = Guarded(sys.stdout, lambda error: print(f"standard output cannot be written: {error.strerror}", file=errors))
    with redirect_stdout(output), redirect_stderr(errors):
        yield output
        output.flush()
        errors.flush()


@contextmanager
def silenced(quiet: bool = True) -> Iterator[None]:
    """With ``quiet``, what is printed to standard output is dropped; errors are not."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere) if quiet else nullcontext():
        yield


class Guarded:
    """A text stream that never raises an error of the one behind it; the first is reported once."""

    def __init__(self, stream: Any, report: Callable[[OSError], None]):
        self._stream = stream
        self._report = report
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, work: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            work()
        except OSError as error:
            self.error = error
            _send_nowhere(self._stream)
            # the reader of a closed pipe (head, less) has seen enough
            if not isinstance(error, BrokenPipeError):
                self._report(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _send_nowhere(stream: Any) -> None:
    """What is still buffered would fail again when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
