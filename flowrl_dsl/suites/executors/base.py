"""The interface of an executor, and the choice of one by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar

from flowrl_dsl.suites.attempts import Outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.places import Place

Report = Callable[[Place, Outcome], bool]
"""Called with the place of a run that has ended; false asks for the end of the suite."""


@dataclass(frozen=True)
class Resources:
    """What a run is given: processor cores, and accelerators or a share of one; ``at_once`` limits runs at a time."""

    cpus: float = 1.0
    gpus: float = 0.0
    at_once: int | None = None
    address: str | None = None
    """Of the cluster: an address of Ray, or a partition of Slurm."""
    home: Path = Path()
    """A folder for the logs of an executor itself, where the runs are at a URL."""


class Executor(ABC):
    """Executes runs whose places are prepared, and reachable from wherever it executes them."""

    reads: ClassVar[tuple[str, ...]] = ("cpus", "gpus", "address")
    """The resources that it can give, besides ``at_once``."""

    def __init__(self, resources: Resources):
        self.resources = resources

    @abstractmethod
    def execute(self, folders: Sequence[Place], report: Report) -> None:
        """Call :func:`~flowrl_dsl.suites.places.attempt` for each place, and ``report`` in this thread as each one ends.

        Returns after the last one.  Where ``report`` returns false, or an exception ends the loop, such as Ctrl-C, the runs
        in progress write their checkpoints first.  Raises FRL0505 where a library is missing.
        """


EXECUTORS = ("local", "ray", "slurm")


def executor(name: str, resources: Resources) -> Executor:
    """The executor of a file of this folder, which calls its class ``Here``; raises FRL0513 for resources that it lacks."""
    kind: type[Executor] = import_module(f"flowrl_dsl.suites.executors.{name}").Here
    for option in Executor.reads:
        if option not in kind.reads and getattr(resources, option) != getattr(Resources, option):
            raise SuiteError("FRL0513", f"--{option} has no effect with --on {name}", "--on ray and --on slurm read it")
    return kind(resources)
