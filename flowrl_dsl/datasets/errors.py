"""Errors of data sets as coded diagnostics (FRL045x)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError


class DataError(DiagnosticError):
    """A data set that cannot be read or written; contains one diagnostic."""

    def __init__(self, code: str, message: str, *notes: str):
        shown = tuple(_printable(note) for note in notes if note)
        super().__init__([Diagnostic(code, _printable(message), notes=shown)])

    @property
    def code(self) -> str:
        return self.diagnostics[0].code


def _printable(text: str) -> str:
    """Names in files can contain what moves the cursor of a terminal or changes its colours."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


@dataclass(frozen=True)
class Place:
    """A key of a file."""

    file: Path
    key: str

    def __str__(self) -> str:
        return f'{self.file}: "{self.key}"'

    def refuse(self, code: str, cause: str, *notes: str) -> NoReturn:
        raise DataError(code, f"{self} {cause}", *notes)


@contextmanager
def damaged(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Convert what a library raises while it reads a damaged file to FRL0453."""
    try:
        yield
    except kinds as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError("FRL0453", f"{path} cannot be read: {reason}", "copy or download the file again") from error


def library(name: str, purpose: str) -> Any:
    """The module of an optional package, imported; FRL0452 where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        hint = "pip install 'flowrl-dsl[data]'"
        raise DataError("FRL0452", f"{purpose} needs {name.partition('.')[0]}, which is not installed", hint) from error
