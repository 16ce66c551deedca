"""Files below a URL of fsspec, each of which a reader sees whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from flowrl_dsl.suites.errors import SuiteError, missing_library

T = TypeVar("T")
DRAFT = ".writing"
"""Suffix of the name of an incomplete file."""
_TRIES = 3
_PAUSE = 1.0
"""Seconds before a second try; those before the third are ten times as many."""
_ABSENT = (FileNotFoundError, NotADirectoryError)


def is_url(text: str) -> bool:
    """Whether a text names a place by its protocol, such as ``s3://`` or ``dir::file:///``, and is no path."""
    return "://" in text or "::" in text


@dataclass(frozen=True)
class Remote:
    """A folder at a URL.  Every method raises FRL0505 where a library is missing and FRL0511 for other trouble."""

    url: str

    def below(self, name: str) -> Remote:
        """A folder in it."""
        return Remote(f"{self.url.rstrip('/')}/{name}")

    def read(self, name: str) -> bytes | None:
        """The contents of a file; None where there is none."""

        def work(system: Any, home: str) -> bytes | None:
            try:
                found: bytes = system.cat_file(f"{home}/{name}")
            except _ABSENT:
                return None
            return found

        return self._tried(work)

    def write(self, name: str, data: bytes) -> None:
        """Write a file that no reader looks for yet."""

        def work(system: Any, home: str) -> None:
            try:
                system.pipe_file(f"{home}/{name}", data)
            except _ABSENT:
                # of file systems with folders; object stores have none
                system.makedirs(f"{home}/{name}".rpartition("/")[0], exist_ok=True)
                system.pipe_file(f"{home}/{name}", data)

        self._tried(work)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file under another name, and move it to its place: a reader has the old contents or the new ones."""
        self.write(f"{name}{DRAFT}", data)
        self._tried(lambda system, home: system.mv(f"{home}/{name}{DRAFT}", f"{home}/{name}"))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

        def work(system: Any, home: str) -> None:
            try:
                system.rm_file(f"{home}/{name}")
            except _ABSENT:
                return

        self._tried(work)

    def _tried(self, work: Callable[[Any, str], T]) -> T:
        """The result of work with the file system and the path of the folder; trouble of a network may pass."""
        for attempt in range(_TRIES):
            try:
                return work(*_opened(self.url))
            except OSError as error:
                if isinstance(error, PermissionError) or attempt == _TRIES - 1:
                    raise self._error(error) from error
                time.sleep(_PAUSE * 10**attempt)
            except SuiteError:
                raise
            except Exception as error:  # a file system is of any library, and so are its errors
                raise self._error(error) from error
        raise AssertionError("the last try returns or raises")

    def _error(self, error: Exception) -> SuiteError:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "correct the URL, or make the place reachable; runs go on from what it holds"
        return SuiteError("FRL0511", f"cannot use {self.url}: {type(error).__name__}: {reason}", hint)


@lru_cache
def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise missing_library("fsspec", "remote") from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise SuiteError("FRL0505", f"a library for {url} is not installed: {error}", "pip install what it names") from error
    return system, str(path).rstrip("/")
