"""Contracts of what data comes from: regimes, the sources of batches, and how rows are drawn from them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import STEP, Field, Record
from flowrl_dsl.registry import Component

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.components.context import Context


class Regime(Component):
    """Where the data of updates comes from: what is stored of a step, and the source that batches are drawn from."""

    family: ClassVar[str] = "regime"
    turn: ClassVar[str] = "off_policy"
    """How acting and updates alternate: a turn of the runtime, by name."""

    def stored(self, algorithm: Algorithm) -> Record:
        """The record of a step: that of the world, and the fields that sections ask for."""
        sections: Any = algorithm.sections
        fields: dict[str, Field] = dict(STEP)
        for section in sections.values():
            fields |= section.record()
        return fields

    @abstractmethod
    def source(self, algorithm: Algorithm, envs: int) -> Source:
        """What batches are drawn from, where ``envs`` environments are stepped side by side."""


class Source(Component):
    """Keeps steps on the device and draws batches of them.

    ``storage`` is a dictionary of arrays: each stored field as [capacity, ...], and the numbers ``size`` of rows that are
    there and ``total`` of rows ever added.  ``memory`` is what the source learns from updates, part of the learner's state;
    None for one that learns nothing.  All methods are pure functions of arrays, compiled into ``Program.update``.
    """

    family: ClassVar[str] = "source"

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
