"""The data sets of a suite as this machine has them: what identifies each, or why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from flowrl_dsl.datasets import DataError, identify

if TYPE_CHECKING:
    from flowrl_dsl.spec.suites.suite import Source
    from flowrl_dsl.suites.jobs import Question
    from flowrl_dsl.suites.results import Result

_HINT = "flowrl-dsl collect RUN --steps N --out {name} makes one, minari download {name} fetches a published one"
_PATH_HINT = "copy it there, or correct the path in the suite"


@dataclass(frozen=True)
class DataSet:
    """A data set of jobs: ``name`` as tables show it, ``source`` as ``train --data`` reads it.

    ``own_name`` is that of its file, with which ``for task`` blocks are compared.  ``sha256`` is its digest as runs record
    it; where it cannot be read here it is empty, ``missing`` has the reason, and ``cure`` what makes it.  ``size`` are
    bytes; ``reference`` are the returns of a random and an expert policy, if it has them.
    """

    name: str
    source: str
    own_name: str
    sha256: str = ""
    size: int = 0
    reference: tuple[float, float] | None = None
    missing: str = ""
    cure: str = ""

    @property
    def key(self) -> str:
        """What stands for it in a question: its digest, or, where it is not here, its name."""
        return self.sha256 or f"not here: {self.name}"


@lru_cache
def data_set(source: Source, made_by: str) -> DataSet:
    """The data set that a suite names; ``made_by`` is what makes it, in the words of the suite."""
    is_path = source.name != source.source
    place = os.path.abspath(source.source) if is_path else source.source
    try:
        found = identify(place)
    except DataError as error:
        first = error.diagnostics[0]
        cure = (
            f"data sets are made by: {made_by}" if made_by else (_PATH_HINT if is_path else _HINT.format(name=source.name))
        )
        return DataSet(source.name, place, source.name, missing=f"{first.code} {first.message}", cure=cure)
    return DataSet(source.name, place, found.name, found.sha256, found.size, found.reference)


def digests_by_name(counted: Mapping[Question, Result]) -> dict[str, str]:
    """The digest that each name of a data set has in a store, of several the one recorded first."""
    found: dict[str, str] = {}
    for result in counted.values():
        if result.data_name:
            found.setdefault(result.data_name, result.question.data)
    return found
