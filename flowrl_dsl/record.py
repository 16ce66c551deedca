"""Records: what is stored of a step in the world, and what a batch of an update holds, field by field with named axes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from flowrl_dsl.axes import Axes


@dataclass(frozen=True)
class Field:
    """One field of a record.

    ``axes`` are those of one row, without the leading axis of rows; ``by`` names what fills the field: ``world`` for what a
    step in the world gives, ``act`` for what a section computes beside the action (``Section.acted``), ``source`` for what
    the source derives when it draws a batch.  ``sizes`` gives the size of an axis that the task does not determine.
    The values of so many ``steps`` stand side by side along the last axis.
    """

    axes: Axes = ()
    by: str = "world"
    sizes: tuple[tuple[str, int], ...] = ()
    steps: int = 1

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape of one row, given the sizes of the task's axes."""
        known = {**sizes, **dict(self.sizes)}
        one = tuple(known[axis] for axis in self.axes)
        return one if self.steps == 1 else (*one[:-1], self.steps * one[-1])


Record = Mapping[str, Field]

STEP: Record = {
    "s": Field(("obs",)),
    "a": Field(("action",)),
    "r": Field(),
    "d": Field(),
    "end": Field(),
    "s_next": Field(("obs",)),
}
"""One step: observation, action in [-1, 1], reward, terminal (1 = true end), end of the episode (true or by a time limit),
next observation."""


DRAWN = "a_drawn"
"""The field of a section's record with the action as it was drawn, before it was clipped to [-1, 1]; acting fills it."""
CHAIN = "chain"
"""The field with the noisy actions from which the denoising steps of that action started; acting fills it."""


AUXILIARY = "a_auxiliary"
"""The field with the auxiliary variable that a policy draws with an action and that its log-density also reads."""


def filled_by_acting(record: Record) -> list[str]:
    """The fields that acting fills beside the action."""
    return [name for name, field in record.items() if field.by == "act"]


def width(record: Record, sizes: Mapping[str, int]) -> int:
    """Numbers in one row."""
    return sum(prod(field.shape(sizes)) for field in record.values())


def columns(rows: Any, record: Record, sizes: Mapping[str, int]) -> dict[str, Any]:
    """The fields [..., *shape] of rows [..., width] whose numbers stand side by side in the order of the record."""
    found, start = {}, 0
    for name, field in record.items():
        shape = field.shape(sizes)
        end = start + prod(shape)
        found[name] = rows[..., start:end].reshape(*rows.shape[:-1], *shape)
        start = end
    return found


@dataclass(frozen=True)
class Layout:
    """The entries of dictionary observations in the vector that a world makes of them: their sizes, in its order.

    ``usual`` are the entries read where a spec names none.  ``known`` are all that the task has, also those that the vector
    lacks because nothing reads them.
    """

    sizes: tuple[tuple[str, int], ...]
    usual: tuple[str, ...]
    known: tuple[str, ...]

    @staticmethod
    def of(sizes: Mapping[str, int], usual: Collection[str] = (), known: Collection[str] = ()) -> Layout:
        """The layout of entries of these sizes; all of them are usual, and known, unless others are given."""
        return Layout(tuple(sizes.items()), tuple(usual or sizes), tuple(known or sizes))

    @staticmethod
    def split(names: Collection[str], size: int) -> Layout:
        """A vector of so many components in nearly equal entries of these names, where no task says more."""
        share, more = divmod(size, len(names))
        return Layout.of({name: share + (number < more) for number, name in enumerate(names)})

    @property
    def size(self) -> int:
        """The number of components O of the vector."""
        return sum(size for _, size in self.sizes)

    def ranges(self, names: Collection[str]) -> tuple[tuple[int, int], ...]:
        """The components (start, end) of these entries, of the usual ones for none: in order, neighbours as one range."""
        found: list[tuple[int, int]] = []
        start = 0
        for name, size in self.sizes:
            if name in (names or self.usual):
                joined = found.pop()[0] if found and found[-1][1] == start else start
                found.append((joined, start + size))
            start += size
        return tuple(found)


def counted(ranges: Collection[tuple[int, int]]) -> int:
    """The number of components in these ranges."""
    return sum(end - start for start, end in ranges)
