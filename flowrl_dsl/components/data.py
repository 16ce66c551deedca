"""Contracts of what data comes from: regimes, the sources of batches, and how rows are drawn from them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import STEP, Field, Record
from flowrl_dsl.registry import Component, find

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.components.context import Context


class Regime(Component):
    """Where the data of updates comes from: what is stored of a step, and the source that batches are drawn from."""

    family: ClassVar[str] = "regime"
    turn: ClassVar[str] = "off_policy"
    """How acting and updates alternate: a turn of the runtime, by name."""
    keeps: ClassVar[str] = "ring"
    """What keeps the steps that batches are drawn from: a source, by name."""

    def stored(self, algorithm: Algorithm) -> Record:
        """The record of a step: that of the world, and the fields that sections ask for."""
        sections: Any = algorithm.sections
        fields: dict[str, Field] = dict(STEP)
        for section in sections.values():
            fields |= section.record()
        return fields

    def source(self, algorithm: Algorithm, envs: int) -> Source:
        """What batches are drawn from, where ``envs`` environments are stepped side by side."""
        sections: Any = algorithm.sections
        kind: Any = find("source", self.keeps)
        sampling = sections["train"].sampling
        if sampling.feedback and not feedback_of(algorithm):
            uniform: Any = find("sampling", "uniform")
            sampling = uniform()  # nothing will ever be reported
        return kind.of(sampling, max(section.window for section in sections.values()), envs)


def feedback_of(algorithm: Algorithm) -> Record:
    """What the source of the batches is told after an update: errors of a critic in training, where its sampling asks."""
    sections: Any = algorithm.sections
    critic = sections.get("critic")
    return sections["train"].sampling.feedback if critic is not None and critic.kind.trains else {}


class Source(Component):
    """Keeps steps on the device and draws batches of them.

    ``storage`` is a dictionary of arrays: each stored field as [capacity, ...], and the numbers ``size`` of rows that are
    there and ``total`` of rows ever added.  ``memory`` is what the source learns from updates, part of the learner's state;
    None for one that learns nothing.  All methods are pure functions of arrays, compiled into ``Program.update``.
    """

    family: ClassVar[str] = "source"

    @classmethod
    @abstractmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int) -> Source:
        """The source for a sampling, returns of ``horizon`` steps, and ``envs`` environments that fill it side by side."""

    def batch(self, stored: Record) -> Record:
        """The record of a batch, given that of a step."""
        return {name: field for name, field in stored.items() if name != "end"}

    @abstractmethod
    def insert(self, storage: Any, rows: Any, count: Any) -> Any:
        """The storage with the first ``count`` of ``rows`` (a dictionary of arrays [n, ...]) added."""

    def memory(self, capacity: int) -> Any:
        """What it has learned before the first update."""
        return None

    @abstractmethod
    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """The memory at this update, and the places [count] of the rows of its batch."""

    @abstractmethod
    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        """The batch of the given places."""

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        """The memory after an update, the ``step``-th, that reported ``feedback`` [count] of the places.

        ``feedback["reported"]`` is 1 where the stages that report ran in this update, else 0.
        """
        return memory


class Sampling(Component):
    """How the rows of a batch are drawn from the storage of a source; the arguments are those of :class:`Source`."""

    family: ClassVar[str] = "sampling"
    feedback: ClassVar[Record] = {}
    """What it is told of each transition of a batch after an update: fields without the leading axis."""

    def report(self, ctx: Context, q: Value, y: Value) -> dict[str, Value]:
        """Its feedback [batch], from the values [ensemble, batch] and targets [batch] of the transitions."""
        return {}

    def memory(self, capacity: int) -> Any:
        """What it has learned before the first update; None for one that learns nothing."""
        return None

    @abstractmethod
    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """The memory at this update, and the places [count] of the rows of its batch."""

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        """The memory after an update."""
        return memory
