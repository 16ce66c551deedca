"""Contracts of data: regimes, sources of batches, and the sampling of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import STEP, Field, Record
from flowrl_dsl.registry import Component, find

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.components.context import Context


class Regime(Component):
    """The data of updates: the stored record of a step, and the source of batches."""

    family: ClassVar[str] = "regime"
    turn: ClassVar[str] = "off_policy"
    """The alternation of acting and updates: a turn of the runtime, by name."""
    acts: ClassVar[bool] = True
    """Whether training steps environments from its first step on."""
    keeps: ClassVar[str] = "ring"
    """The storage from which batches are drawn: a source, by name."""
    ignores: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Options of the section ``train`` that have no effect, each with the reason."""

    def batch(self, algorithm: Algorithm, envs: int) -> int:
        """The number of transitions of an update."""
        train: Any = algorithm.sections["train"]
        size: int = train.batch
        return size

    def capacity(self, algorithm: Algorithm, envs: int) -> int:
        """The number of steps that the source keeps."""
        train: Any = algorithm.sections["train"]
        size: int = train.replay
        return size

    def updates(self, algorithm: Algorithm) -> int:
        """The number of updates of a whole run."""
        train: Any = algorithm.sections["train"]
        many: int = max(train.steps - (train.warmup if self.acts else 0), 0) * train.updates
        return many

    def settings(self, algorithm: Algorithm) -> dict[str, int]:
        """Settings of a run that it decides in place of the section ``train``."""
        return {}

    def collects(self, algorithm: Algorithm) -> bool:
        """Whether training steps environments at all: from its start, or in a phase that is counted in their steps."""
        return self.acts or any(phase.steps is not None for phase in algorithm.phases)

    def taken(self, algorithm: Algorithm) -> str:
        """The turn of an algorithm, by name."""
        return "offline_to_online" if self.collects(algorithm) and not self.acts else self.turn

    def stored(self, algorithm: Algorithm) -> Record:
        """The record of a step: the fields of the world and those requested by sections."""
        sections: Any = algorithm.sections
        fields: dict[str, Field] = dict(STEP)
        for section in sections.values():
            fields |= section.record(algorithm)
        return fields

    def fields(self, algorithm: Algorithm) -> Record:
        """The record of a batch: what the source makes of the stored record, and what sections derive from a rollout."""
        sections: Any = algorithm.sections
        drawn = self.source(algorithm, envs=1).batch(self.stored(algorithm))
        return {**drawn, **{name: field for section in sections.values() for name, field in section.derived().items()}}

    def source(self, algorithm: Algorithm, envs: int, data: bool = False) -> Source:
        """The source of batches with ``envs`` parallel environments.

        ``data``: the run has a data set, beside which it keeps what it collects, if it collects.
        """
        sections: Any = algorithm.sections
        both = data and self.collects(algorithm)
        kind: Any = find("source", "data_and_replay" if both else self.keeps)
        sampling = sections["train"].sampling
        if (sampling.feedback and not feedback_of(algorithm)) or (sampling.needs_data and not both):
            uniform: Any = find("sampling", "uniform")
            sampling = uniform()  # no feedback is ever reported, or there is one kind of rows
        window = max(section.window for section in sections.values())
        following = any(section.follows_actions for section in sections.values())
        ahead = max(section.looks_ahead for section in sections.values())
        return kind.of(sampling, window, envs, following, ahead, chunk_of(algorithm) > 1)


def chunk_of(algorithm: Algorithm) -> int:
    """The number of successive actions that policies choose at once."""
    act: Any = algorithm.sections["act"]
    length: int = act.window
    return length


def feedback_of(algorithm: Algorithm) -> Record:
    """The feedback to the source after an update: errors of a trained critic, if its sampling uses them."""
    sections: Any = algorithm.sections
    critic = sections.get("critic")
    return sections["train"].sampling.feedback if critic is not None and critic.trains else {}


class Source(Component):
    """Stores steps on the device and draws batches of them.

    ``storage`` is a dictionary of arrays: each stored field as [capacity, ...], and the numbers ``size`` of stored
    rows and ``total`` of rows ever added.  ``memory`` is the source's own state, updated by feedback and part of the
    learner's; None for a source without one.  All methods are pure functions of arrays, compiled into ``Program.update``.
    """

    family: ClassVar[str] = "source"
    keeps_data: ClassVar[bool] = False
    """Whether its storage has an entry ``data``: the storage of a data set, to which nothing is added."""

    @classmethod
    @abstractmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int, following: bool, ahead: int, chunked: bool) -> Source:
        """The source for a sampling, returns of ``horizon`` steps, and ``envs`` parallel environments.

        Where it is ``following``, a batch also contains the action of the next step (``a_next_seen``, ``next_seen``).
        With ``ahead`` of n it contains the rewards of the n steps from each row on (``rewards_ahead``, ``count_ahead``,
        ``d_ahead``), fewer at the end of an episode and at the newest row.  Where it is ``chunked``, ``a`` are the actions
        of all ``horizon`` steps side by side, and windows that are shorter are not drawn.
        """

    def batch(self, stored: Record) -> Record:
        """The record of a batch, given that of a step."""
        return {name: field for name, field in stored.items() if name != "end"}

    @abstractmethod
    def insert(self, storage: Any, rows: Any, count: Any) -> Any:
        """The storage with the first ``count`` of ``rows`` (a dictionary of arrays [n, ...]) added."""

    def memory(self, capacity: int) -> Any:
        """The initial memory."""
        return None

    @abstractmethod
    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """The memory at this update, and the places [count] of the rows of its batch."""

    @abstractmethod
    def gather(self, storage: Any, places: Any) -> dict[str, Any]:
        """The batch at the given rows."""

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        """The memory after an update, the ``step``-th, that reported ``feedback`` [count] of the places.

        ``feedback["reported"]`` is 1 where the stages that report ran in this update, else 0.
        """
        return memory


class Sampling(Component):
    """Sampling of the rows of a batch from the storage of a source; the arguments are those of :class:`Source`."""

    family: ClassVar[str] = "sampling"
    feedback: ClassVar[Record] = {}
    """The feedback it uses per transition after an update: fields without the leading axis."""
    needs_data: ClassVar[bool] = False
    """Whether it draws from the rows of a data set and from those collected in different ways."""
    in_order: ClassVar[bool] = False
    """Whether it needs the rows in the order in which they were added, all in one ring."""

    def report(self, ctx: Context, q: Value, y: Value) -> dict[str, Value]:
        """Its feedback [batch], from the values [ensemble, batch] and targets [batch] of the transitions."""
        return {}

    def memory(self, capacity: int) -> Any:
        """The initial memory; None for a sampling without one."""
        return None

    @abstractmethod
    def draw(self, memory: Any, storage: Any, key: Any, count: int) -> tuple[Any, Any]:
        """The memory at this update, and the places [count] of the rows of its batch."""

    def learn(self, memory: Any, places: Any, feedback: Any, step: Any) -> Any:
        """The memory after an update."""
        return memory
