"""The ring on the device against a list in NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.runtime.replay import Replay

OBS, ACTION = 3, 2


def _transitions(count: int, start: int) -> list[np.ndarray]:
    base = np.arange(start, start + count, dtype=np.float32)[:, None]
    s = base + np.arange(OBS, dtype=np.float32) / 10
    return [s, -base.repeat(ACTION, 1), base[:, 0] * 2, (base[:, 0] % 4 == 1), (base[:, 0] % 2).astype(bool), s + 1]


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
    replay, total = Replay(capacity, OBS, ACTION), 0
    for count, look in adds:
        replay.add(*_transitions(count, total))
        total += count
        if look:
            _same(replay, total)
    _same(replay, total)


def test_a_long_warm_up_goes_in_by_chunks() -> None:
    for capacity in (700, 5000):
        replay = Replay(capacity, OBS, ACTION)
        for start in range(0, 2600, 4):
            replay.add(*_transitions(4, start))
        _same(replay, 2600)
        replay.add(*_transitions(1, 2600))
        _same(replay, 2601)


def test_fresh_rows_are_those_since_the_last_checkpoint_and_restore_gives_the_same_ring() -> None:
    replay = Replay(6, OBS, ACTION)
    replay.add(*_transitions(5, 0))
    first = replay.fresh()
    replay.saved()
    replay.add(*_transitions(4, 5))
    rows = np.concatenate([first, replay.fresh()])
    assert len(first) == 5 and len(replay.fresh()) == 4
    copy = Replay(6, OBS, ACTION)
    copy.restore(9, rows[-6:])
    _same(copy, 9)
    copy.add(*_transitions(1, 9))
    _same(copy, 10)


def test_inserting_does_not_copy_the_ring() -> None:
    replay = Replay(1000, OBS, ACTION)
    replay.add(*_transitions(1, 0))
    before = replay.view()["s"].unsafe_buffer_pointer()
    replay.add(*_transitions(1, 1))
    assert replay.view()["s"].unsafe_buffer_pointer() == before
