"""The global generators of ``random`` and NumPy, seeded, and kept apart for each world.

Tasks should draw from generators of their own; many draw from these.  Each world has states of its own of them, which are
installed before its task runs, so that neither an evaluation nor another member of a population changes what it draws.
"""

from __future__ import annotations

import random
from typing import Any, ClassVar

import numpy as np

State = dict[str, Any]
"""``words`` and ``gauss`` of :mod:`random`, and ``numpy``, the state of NumPy's generator; plain values."""


class Generators:
    """The states of one world.  They are exchanged only where another world ran in between."""

    _installed: ClassVar[Generators | None] = None

    def __init__(self, seed: int):
        self._seeded = self._state = _state(random.Random(seed), np.random.RandomState(seed))

    def seed(self, seed: int) -> None:
        """Begin anew, as with a new world."""
        self._seeded = _state(random.Random(seed), np.random.RandomState(seed))
        self._replace(self._seeded)

    def install(self) -> None:
        """Make the global generators continue from the states of this world."""
        before = Generators._installed
        if before is self:
            return
        if before is not None:
            before._state = _global_state()
        Generators._installed = self
        _set_global_state(self._state)

    def snapshot(self) -> State | None:
        """The states; None if nothing has been drawn since they were seeded."""
        state = _global_state() if Generators._installed is self else self._state
        return None if _same(state, self._seeded) else state

    def restore(self, snapshot: State | None) -> None:
        """Continue from a snapshot of a world with the same seed; raises an error for one that generators refuse."""
        if snapshot is not None:
            _set_state(snapshot, random.Random(), np.random.RandomState())
        self._replace(self._seeded if snapshot is None else snapshot)

    def _replace(self, state: State) -> None:
        self._state = state
        if Generators._installed is self:
            _set_global_state(state)


def _state(generator: Any, numpy_generator: Any) -> State:
    """``generator`` is :mod:`random` or one of its class, ``numpy_generator`` ``numpy.random`` or a ``RandomState``."""
    _, words, gauss = generator.getstate()
    return {"words": np.array(words, np.uint32), "gauss": gauss, "numpy": numpy_generator.get_state(legacy=False)}


def _global_state() -> State:
    return _state(random, np.random)


def _set_global_state(state: State) -> None:
    _set_state(state, random, np.random)


def _set_state(state: State, generator: Any, numpy_generator: Any) -> None:
    generator.setstate((random.Random.VERSION, tuple(state["words"].tolist()), state["gauss"]))
    numpy_generator.set_state(state["numpy"])


def _same(one: State, two: State) -> bool:
    drawn, seeded = one["numpy"], two["numpy"]
    return (
        np.array_equal(one["words"], two["words"])
        and np.array_equal(drawn["state"]["key"], seeded["state"]["key"])
        and (drawn["state"]["pos"], drawn["has_gauss"]) == (seeded["state"]["pos"], seeded["has_gauss"])
        and one["gauss"] == two["gauss"]
    )
