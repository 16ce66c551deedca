"""The typed suite: a comparison of specs on tasks, with seeds, settings and budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.overrides import Override

LENGTHS = "train"
"""The section whose options a budget sets."""


@dataclass(frozen=True)
class Layer:
    """Settings in the form of ``--set``, which hold on the tasks and the data sets of these patterns, or on all."""

    sets: tuple[Override, ...]
    tasks: tuple[str, ...] = ()

    def holds(self, task: str, data: str | None) -> bool:
        """Whether the settings hold for a task and the name of a data set, or None."""
        return not self.tasks or applies(self.tasks, task, data)


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
        """Whether these are the data sets of a task."""
        return not self.tasks or applies(self.tasks, task)


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

    def overrides(self, group: Group, task: str, data: str | None, budget: str | None = None) -> tuple[Override, ...]:
        """The settings of a group on a task and a data set, those that win last: of the suite, the group, the budget.

        ``data`` is the name that the suite gives the data set.  ``budget`` names one in place of the group's own.
        """
        layers = self._layers(group, budget)
        return tuple(override for layer in layers if layer.holds(task, data) for override in layer.sets)

    def variants(self, group: Group) -> Iterator[tuple[str, str | None]]:
        """One task and name of a data set for each different choice of the group's settings and budget that they make."""
        layers, seen = self._layers(group), set()
        for task, source in group.places():
            data = None if source is None else source.name
            chosen = tuple(layer.holds(task, data) for layer in layers)
            if chosen not in seen:
                seen.add(chosen)
                yield task, data

    def _layers(self, group: Group, budget: str | None = None) -> tuple[Layer, ...]:
        return (*group.layers, *self.budgets[budget or group.budget].layers)
