"""The typed suite: a comparison of specs on tasks, with seeds, settings and budgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.overrides import Override
from flowrl_dsl.syntax import tree

LENGTHS = "train"
"""The section whose options a budget sets."""
PHASE_LENGTHS = ("updates", "steps")
"""The options of phases that a budget may set too."""


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
    """How long runs are trained and how often they are evaluated: settings of the section :data:`LENGTHS`.

    The lengths of phases that it sets take the place of those of groups.
    """

    name: str
    layers: tuple[Layer, ...]

    def lengths_of_phases(self) -> Iterator[Override]:
        """Its settings of phases."""
        return (override for layer in self.layers for override in layer.sets if override.path[0].id != LENGTHS)


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

    def lengths_of_phases(self, task: str, data: str | None) -> set[str]:
        """The paths of the phase lengths that its settings give; a length that they take back is none of them."""
        found: set[str] = set()
        for override in _settings(self.layers, task, data):
            if override.path[-1].id in PHASE_LENGTHS and len(override.path) == 2:
                taken_back = isinstance(override.value, tree.Name) and override.value.id == "none"
                (found.discard if taken_back else found.add)(override.dotted)
        return found

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
        chosen = _settings(group.layers, task, data)
        given = group.lengths_of_phases(task, data)
        budgeted = _settings(self.budgets[budget or group.budget].layers, task, data)
        return (*chosen, *(one for one in budgeted if one.path[0].id == LENGTHS or one.dotted in given))

    def variants(self, group: Group) -> Iterator[tuple[str, str | None]]:
        """One task and name of a data set for each different choice of the group's settings and budget that they make."""
        layers, seen = (*group.layers, *self.budgets[group.budget].layers), set()
        for task, source in group.places():
            data = None if source is None else source.name
            chosen = tuple(layer.holds(task, data) for layer in layers)
            if chosen not in seen:
                seen.add(chosen)
                yield task, data


def _settings(layers: Sequence[Layer], task: str, data: str | None) -> Iterator[Override]:
    """The settings that hold on a task and a data set, in their order."""
    return (override for layer in layers if layer.holds(task, data) for override in layer.sets)
