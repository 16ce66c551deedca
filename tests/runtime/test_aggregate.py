"""Statistics over seeds against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrl_dsl.runtime.aggregate import bootstrap_interval, interquartile_mean


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_the_middle_half_is_averaged(values: list[float]) -> None:
    left = sorted(values)
    for _ in range(len(values) // 4):
        left.remove(min(left))
        left.remove(max(left))
    assert interquartile_mean(np.array(values)) == pytest.approx(sum(left) / len(left), abs=1e-9)


def test_the_interval_is_the_percentiles_of_means_redrawn_within_each_task() -> None:
    scores = np.random.default_rng(1).normal([0, 10, 20], size=(5, 3))
    rows = np.random.default_rng(0).integers(0, 5, (200, 5, 3))
    means = []
    for sample in rows:
        drawn = [scores[sample[i, task], task] for i in range(5) for task in range(3)]
        means.append(float(interquartile_mean(np.array(drawn))))
    expected = np.percentile(means, [2.5, 97.5])
    assert bootstrap_interval(scores, samples=200) == pytest.approx(tuple(expected))


def test_one_seed_has_no_spread_and_equal_arguments_give_equal_intervals() -> None:
    assert bootstrap_interval(np.array([[4.0]])) == (4.0, 4.0)
    scores = np.arange(8.0)[:, None]
    assert bootstrap_interval(scores) == bootstrap_interval(scores)
