from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrl_dsl.components.schedules.cosine import cosine_schedule
from flowrl_dsl.components.schedules.linear import linear_schedule
from tests.helpers import batch, fresh, kept, program

KERNELS = {"linear": linear_schedule, "cosine": cosine_schedule}


@pytest.mark.parametrize("name", KERNELS)
def test_ends_and_middle(name):
    f = KERNELS[name]
    for step, expected in ((0, 3e-4), (100, 1.65e-4), (200, 3e-5), (201, 3e-5), (10**6, 3e-5)):
        assert float(f(np.int32(step), 3e-4, 3e-5, 200)) == pytest.approx(expected, rel=1e-4)


@given(st.floats(-10, 10), st.floats(-10, 10), st.integers(1, 50), st.integers(0, 60))
def test_schedules_stay_between_their_ends_and_move_one_way(start, end, over, step):
    for f in KERNELS.values():
        now, then = float(f(np.int32(step), start, end, over)), float(f(np.int32(step + 1), start, end, over))
        low, high = min(start, end), max(start, end)
        assert low - 1e-4 <= now <= high + 1e-4
        assert (then - now) * (end - start) >= -1e-3


def test_cosine_is_half_a_cosine():
    for step in range(11):
        expected = 0.2 + (1.0 - 0.2) * (1 + np.cos(np.pi * step / 10)) / 2
        assert float(cosine_schedule(np.int32(step), 1.0, 0.2, 10)) == pytest.approx(expected, rel=1e-5)


def test_a_scheduled_parameter_follows_the_update_counter_inside_the_step():
    p = program("hybrid")
    state, seen = fresh("hybrid"), []
    for _ in range(6):
        state, metrics, _ = p.step(state, batch(), p.hyper)
        seen.append(float(metrics["temperature"]))
    np.testing.assert_allclose(seen, [1.0, 0.775, 0.55, 0.325, 0.1, 0.1], rtol=1e-5)
    assert int(kept(state)["step"]) == 6
