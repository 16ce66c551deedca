"""Data sets of commands: the summary and the picture of ``flowrl-dsl data``, and the table that a run learns from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from flowrl_dsl.components.data import chunk_of
from flowrl_dsl.datasets import DataError, Dataset, load, picture, summary
from flowrl_dsl.record import STEP, Layout, counted

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.runtime.table import Table


@dataclass(frozen=True)
class DataSet:
    """The data set of a run: what run.json records is its place, its name, its number of transitions and its digest.

    Of one that has just been read, ``longest`` is the number of steps of its longest episode, and ``rewarded`` whether it
    has rewards; None for one that a run has recorded.
    """

    source: str
    name: str
    rows: int
    sha256: str
    longest: int | None = None
    rewarded: bool | None = None

    @classmethod
    def of(cls, source: str, task: str) -> DataSet:
        """The data set at ``source``, checked against the task and summarised on standard output; raises ``DataError``."""
        found = load_for(source, task)
        print(summary.brief(summary.summarize(found)), flush=True)
        place = os.path.abspath(source) if os.path.exists(source) else source
        longest = int(np.diff([0, *np.flatnonzero(found.end) + 1, len(found)]).max())
        return cls(place, found.provenance.name, len(found), found.provenance.sha256, longest, found.rewarded)

    def recorded(self) -> dict[str, Any]:
        """What run.json records."""
        return {name: getattr(self, name) for name in ("source", "name", "rows", "sha256")}

    def suits(self, algorithm: Algorithm) -> None:
        """Raise FRL0459 unless an algorithm, as it is resolved for this data set, can learn from it.

        A critic needs rewards, and policies that choose several steps at once an episode of as many.
        """
        chunk, critic = chunk_of(algorithm), cast(Any, algorithm.sections.get("critic"))
        if self.longest is not None and self.longest < chunk:
            message = f"the episodes of {self.source} have at most {self.longest} steps, and a chunk has {chunk}"
            raise DataError("FRL0459", message, "--set act.chunk=1 learns from single steps")
        if self.rewarded is False and critic is not None and critic.trains:
            message = f"{self.source} has no rewards, and the critic learns from them"
            raise DataError("FRL0459", message, "an algorithm without a critic, such as bc, can imitate it")

    def table(self, task: str) -> Table:
        """Its contents; raises FRL0465 if they are not those that the run began with."""
        found = _table(self.source, task)
        if found.sha256 != self.sha256:
            message = f"the data set {self.source} has changed since the run began"
            raise DataError("FRL0465", message, f"its digest was {self.sha256}", "restore it, or start a new run")
        return found

    def check(self, layout: Layout | None) -> None:
        """FRL0456 where sections read entries that observations of the task usually lack, and so those of a data set."""
        if layout is not None and counted(layout.ranges(())) != layout.size:
            further = ", ".join(name for name, _ in layout.sizes if name not in layout.usual)
            message = f"{self.name}: observations have the usual entries alone, and the spec reads {further} as well"
            raise DataError("FRL0456", message, "leave out --data, or the options that name these entries")


def asked(algorithm: Algorithm, spec: str, task: str, source: str | None) -> DataSet | None:
    """The data set that is named, if any; raises FRL0464 where the algorithm needs one, FRL0466 where it can use none."""
    regime, sampling = cast(Any, algorithm.regime), cast(Any, algorithm.sections["train"]).sampling
    if source is None:
        if regime.acts and not sampling.needs_data:
            return None
        hint = f"flowrl-dsl train {spec} --data SOURCE, where SOURCE is a file, a folder or the id of a data set"
        raise DataError("FRL0464", f"{algorithm.name} learns from a data set, and none is named", hint)
    if regime.collects(algorithm):
        _refuse_both(algorithm, sampling)
    return DataSet.of(source, task)


def _refuse_both(algorithm: Algorithm, sampling: Any) -> None:
    """Raise FRL0466 where an algorithm cannot learn from a data set beside what it collects."""
    if sampling.in_order:
        hint = f"--set train.sampling=uniform, or leave out --data: {sampling.name} follows the order of one replay"
        raise DataError("FRL0466", f"sampling {sampling.name} cannot draw from a data set and a replay", hint)
    lacking = cast(Any, algorithm.regime).stored(algorithm).keys() - STEP.keys()
    if lacking:
        names = ", ".join(sorted(lacking))
        message = f"{algorithm.name} stores {names} with each step, which a data set lacks"
        raise DataError("FRL0466", message, "leave out --data")


@lru_cache(maxsize=1)
def _table(source: str, task: str) -> Table:
    """One table for all members of a population."""
    from flowrl_dsl.runtime.table import Table

    return Table.of(load_for(source, task))


def load_for(source: str | Path, task: str | None) -> Dataset:
    """A data set, checked against a task if one is given."""
    if task is None:
        return load(source)
    from flowrl_dsl.runtime.worlds import catalogue

    return load(source, catalogue.spaces(task))


def draw(data: Dataset, output: Path | None) -> Path:
    """Draw a data set to ``output``, or to NAME.png in the current folder, after its name; returns the file."""
    from flowrl_dsl.runtime.figures import save

    output = output or Path(f"{data.provenance.name.replace('/', '-')}.png")
    save(lambda: picture.figure(data), output)
    return output
