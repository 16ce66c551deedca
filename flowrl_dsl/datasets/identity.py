"""What identifies a data set, without reading its steps into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowrl_dsl.datasets import d4rl, minari
from flowrl_dsl.datasets.base import Source
from flowrl_dsl.datasets.load import digest, locate
from flowrl_dsl.datasets.scores import Reference


@dataclass(frozen=True)
class Identity:
    """The name, the digest and the reference of a data set as :func:`~flowrl_dsl.datasets.load.load` finds them.

    ``size`` are the bytes of its files.
    """

    name: str
    sha256: str
    size: int
    reference: Reference | None


def identify(source: str | Path) -> Identity:
    """The identity of the data set at ``source``; raises ``DataError`` where there is none."""
    found = locate(source)
    name, reference = _described(found)
    return Identity(name or found.stem, digest(found), sum(path.stat().st_size for path in found.files), reference)


def _described(source: Source) -> tuple[str, Reference | None]:
    """Its own name, empty where it has none, and its reference returns."""
    if source.format == "minari":
        return minari.described(source)
    return "", d4rl.reference_of(source) if source.format == "d4rl" else None
