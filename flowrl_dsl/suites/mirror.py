"""Versions of a folder at a URL: what a reader fetches is one whole version, whenever the writer or its machine is lost.

::

    URL/index.json        the newest version: its files with their digests
    URL/objects/SHA256    contents, which are never changed

The contents that a version adds are written first, then the index is replaced, and then the contents that only the version
before had are removed.  So a reader has the version before or the new one, and nothing between.  A writer that finds a
version which is not the one it knows stops: another machine continues the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.claims import LOCK
from flowrl_dsl.runtime.schema import Digest, parse_json
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.remote import Remote

INDEX, OBJECTS = "index.json", "objects"
_FETCHING = ".fetching"
_TRIES = 3
_MOST_KNOWN = 1 << 16
"""Bytes of the longest file ``known``."""
_OTHER = "wandb"
"""Written by wandb alone, which links its logs."""


def is_below(name: str) -> str:
    """The path of a file below a folder, as it was given; raises ``ValueError`` for one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise ValueError("not a file below the folder")
    return name


class Index(BaseModel):
    """One version: a random name, and the SHA-256 of every file by its path."""

    model_config = ConfigDict(strict=True, frozen=True)

    version: str
    files: dict[Annotated[str, AfterValidator(is_below)], Digest]


@dataclass
class Mirror:
    """The versions at a URL of a folder of this machine; ``known`` is a file with the version that it is, or comes after."""

    remote: Remote
    folder: Path
    known: Path

    def push(self) -> None:
        """Make the folder the newest version.  No file of it may change meanwhile but by growing.

        Raises FRL0512 where another machine has made a version since this one fetched or pushed.
        """
        before = self._index()
        if before is not None and not self._knows(before):
            hint = "the other one goes on; where none does, give the command again"
            raise SuiteError("FRL0512", f"another process has continued the run at {self.remote.url}", hint)
        old = set(before.files.values()) if before is not None else set()
        added: dict[str, str] = {}
        for name, path in _files(self.folder):
            data = path.read_bytes()
            added[name] = digest = hashlib.sha256(data).hexdigest()
            if digest not in old:
                self.remote.write(f"{OBJECTS}/{digest}", data)
        index = Index(version=secrets.token_hex(8), files=added)
        # first, beside the version before: a process that is killed between the two knows whichever is there
        self._know(index.version, before.version if before is not None else "")
        self.remote.replace(INDEX, index.model_dump_json().encode())
        for digest in old - set(added.values()):
            self.remote.remove(f"{OBJECTS}/{digest}")

    def fetch(self) -> bool:
        """Replace the folder by the newest version, unless it is that one or comes after it; False where there is none."""
        index = self._index()
        if index is None or self._knows(index):
            return index is not None
        self.known.unlink(missing_ok=True)
        draft = self.folder.with_name(f"{_FETCHING}-{self.folder.name}")
        with files.disk(draft):
            for _ in range(_TRIES):
                shutil.rmtree(draft, ignore_errors=True)
                if lacking := self._download(index, draft, index.files):
                    index = self._index() or index  # replaced meanwhile
                    continue
                shutil.rmtree(self.folder, ignore_errors=True)
                draft.rename(self.folder)
                self._know(index.version)
                return True
        raise self._incomplete(lacking)

    def copy(self, without: str = "", only: Collection[str] = ()) -> bool:
        """Write the files of the newest version into the folder, those below ``without`` or not ``only`` left out.

        False where there is none.  The folder is for reading: it is not one that a run goes on in.
        """
        for _ in range(_TRIES):
            index = self._index()
            if index is None:
                return False
            wanted = {
                name: digest
                for name, digest in index.files.items()
                if (not only or name in only) and PurePosixPath(name).parts[0] != without
            }
            if not (lacking := self._download(index, self.folder, wanted)):
                return True
        raise self._incomplete(lacking)

    def _download(self, index: Index, folder: Path, wanted: Mapping[str, str] = MappingProxyType({})) -> str:
        """Write files of a version; returns the name of one whose contents are not there, or an empty text."""
        for name, digest in wanted.items():
            data = self.remote.read(f"{OBJECTS}/{digest}")
            if data is None or hashlib.sha256(data).hexdigest() != digest:
                return name
            path = folder / name
            with files.disk(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                files.replace(path, data)
        return ""

    def _incomplete(self, name: str) -> SuiteError:
        hint = "remove the folder there: the run begins again"
        return SuiteError("FRL0511", f"{self.remote.url} lacks the contents of {name}", hint)

    def _index(self) -> Index | None:
        data = self.remote.read(INDEX)
        try:
            return None if data is None else parse_json(data, Index)
        except Unreadable as error:
            hint = "remove the folder there: the run begins again"
            raise SuiteError("FRL0511", f"{self.remote.url}/{INDEX} is not one of a run: {error}", hint) from error

    def _knows(self, index: Index) -> bool:
        """Whether the folder is this version or comes after it."""
        try:
            return index.version in parse_json(read_regular(self.known, _MOST_KNOWN), list[str])
        except (OSError, Unreadable):
            return False

    def _know(self, *versions: str) -> None:
        with files.disk(self.known):
            self.known.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self.known, json.dumps(versions).encode())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a run by their paths in it, without its lock, drafts, and links."""
    for home, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith(".") and name != _OTHER)
        for name in sorted(names):
            path = Path(home) / name
            ours = name != LOCK and not name.startswith(files.DRAFT)
            if ours and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path
