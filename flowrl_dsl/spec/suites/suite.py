"""The typed suite: a comparison of specs on tasks, with seeds, settings and budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from flowrl_dsl.spec.overrides import Override

LENGTHS = "train"
"""The section whose options a budget sets."""


@dataclass(frozen=True)
class Layer:
    """Settings in the form of ``--set``, which hold on the tasks of these patterns; on every task where there are none."""

    sets: tuple[Override, ...]
    tasks: tuple[str, ...] = ()

    def holds(self, task: str) -> bool:
        """Whether the settings hold on a task; one with arguments, ``NAME(frame_skip=2)``, is also one of its name."""
        names = (task, task.partition("(")[0])
        return not self.tasks or any(fnmatchcase(name, pattern) for pattern in self.tasks for name in names)


@dataclass(frozen=True)
class Budget:
    """How long runs are trained and how often they are evaluated: settings of the section :data:`LENGTHS`."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Source:
    """A data set: the name that tables give it, and its id or its path."""

    name: str
    source: str


@dataclass(frozen=True)
class DataLayer:
    """The data sets of the tasks of these patterns, of every task where there are none; it may have none of them."""

    sources: tuple[Source, ...]
    tasks: tuple[str, ...] = ()

    def holds(self, task: str) -> bool:
        """Whether these are the data sets of a task, by the rule of :class:`Layer`."""
        return Layer((), self.tasks).holds(task)


@dataclass(frozen=True)
class Group:
    """Specs that are trained on the same tasks with the same settings; ``specs`` are paths by name.

    ``made_by`` is what makes data sets that are not there, in words for the user.
    """

    name: str
    specs: dict[str, str]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: str
    layers: tuple[Layer, ...]
    data: tuple[DataLayer, ...] = ()
    made_by: str = ""

    def sources(self, task: str) -> tuple[Source, ...]:
        """The data sets of a task, by the last layer that holds on it."""
        return next((layer.sources for layer in reversed(self.data) if layer.holds(task)), ())

    def places(self) -> Iterator[tuple[str, Source | None]]:
        """Each task with each of its data sets; with None where it has none."""
        for task in self.tasks:
            for source in self.sources(task) or (None,):
                yield task, source


@dataclass(frozen=True)
class Suite:
    """A checked suite: its runs are those of its groups."""

    name: str
    title: str
    groups: tuple[Group, ...]
    budgets: dict[str, Budget]

    def overrides(self, group: Group, task: str, budget: str | None = None) -> tuple[Override, ...]:
        """The settings of a group on a task, those that win last: of the suite, of the group, of the budget.

        ``budget`` names one in place of the group's own.
        """
        layers = (*group.layers, *self.budgets[budget or group.budget].layers)
        return tuple(override for layer in layers if layer.holds(task) for override in layer.sets)

    def variants(self, group: Group) -> Iterator[str]:
        """One task for each different choice of the group's settings and budget that its tasks make."""
        layers = (*group.layers, *self.budgets[group.budget].layers)
        seen = set()
        for task in group.tasks:
            chosen = tuple(layer.holds(task) for layer in layers)
            if chosen not in seen:
                seen.add(chosen)
                yield task
