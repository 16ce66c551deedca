"""The ring on the device against a list in NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.lowering.program import Data
from flowrl_dsl.record import STEP
from flowrl_dsl.runtime.replay import Replay
from tests.helpers import component

OBS, ACTION = 3, 2


def _transitions(count: int, start: int) -> list[np.ndarray]:
    base = np.arange(start, start + count, dtype=np.float32)[:, None]
    s = base + np.arange(OBS, dtype=np.float32) / 10
    return [s, -base.repeat(ACTION, 1), base[:, 0] * 2, (base[:, 0] % 4 == 1), (base[:, 0] % 2).astype(bool), s + 1]


def _steps(count: int, start: int) -> dict[str, np.ndarray]:
    return dict(zip(STEP, _transitions(count, start), strict=True))


def _replay(capacity: int) -> Replay:
    ring = component("source", "ring", sampling=component("sampling", "uniform"))
    return Replay(Data(STEP, ring, capacity, batch=4), {"obs": OBS, "action": ACTION})


def _model(added: int, capacity: int) -> dict[str, np.ndarray]:
    """Row k of all ever added stands at k modulo the capacity, the newest wins, and the rest is zero."""
    names, parts = ("s", "a", "r", "d", "end", "s_next"), _transitions(added, 0)
    ring = {n: np.zeros((capacity, *part.shape[1:]), np.float32) for n, part in zip(names, parts, strict=True)}
    for k in range(added):
        for name, part in zip(names, parts, strict=True):
            ring[name][k % capacity] = part[k]
    return ring


def _same(replay: Replay, added: int) -> None:
    view = replay.view()
    assert int(view["size"]) == replay.size == min(added, replay.capacity)
    assert int(view["total"]) == added
    for name, expected in _model(added, replay.capacity).items():
        assert np.array_equal(np.asarray(view[name]), expected), name


@settings(max_examples=15, deadline=None)
@given(
    capacity=st.sampled_from([1, 3, 8]),
    adds=st.lists(st.tuples(st.sampled_from([1, 2, 5]), st.booleans()), min_size=1, max_size=8),
)
def test_the_ring_holds_the_newest_rows(capacity: int, adds: list[tuple[int, bool]]) -> None:
    replay, total = _replay(capacity), 0
    for count, look in adds:
        replay.add(**_steps(count, total))
        total += count
        if look:
            _same(replay, total)
    _same(replay, total)


def test_a_long_warm_up_goes_in_by_chunks() -> None:
    for capacity in (700, 5000):
        replay = _replay(capacity)
        for start in range(0, 2600, 4):
            replay.add(**_steps(4, start))
        _same(replay, 2600)
        replay.add(**_steps(1, 2600))
        _same(replay, 2601)


def test_fresh_rows_are_those_since_the_last_checkpoint_and_restore_gives_the_same_ring() -> None:
    replay = _replay(6)
    replay.add(**_steps(5, 0))
    first = replay.fresh()
    replay.saved()
    replay.add(**_steps(4, 5))
    rows = np.concatenate([first, replay.fresh()])
    assert len(first) == 5 and len(replay.fresh()) == 4
    copy = _replay(6)
    copy.restore(9, rows[-6:])
    _same(copy, 9)
    copy.add(**_steps(1, 9))
    _same(copy, 10)


def test_inserting_does_not_copy_the_ring() -> None:
    replay = _replay(1000)
    replay.add(**_steps(1, 0))
    before = replay.view()["s"].unsafe_buffer_pointer()
    replay.add(**_steps(1, 1))
    assert replay.view()["s"].unsafe_buffer_pointer() == before
