"""The statistics against slow readings of their definitions, in loops and with the standard library alone."""

from __future__ import annotations

import itertools
import math
import random
import statistics as plain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.suites import statistics

TASKS = [np.array([0.1, 0.5, 0.9, 0.2]), np.array([1.0, 1.2, 0.4, 0.4])]
OTHERS = [np.array([0.2, 0.2, 0.1, 0.2]), np.array([0.4, 1.3, 0.4, 0.0])]
numbers = st.floats(-10, 10).map(lambda value: round(value, 3))
runs = st.lists(numbers, min_size=1, max_size=7)


def middle_half(values: list[float]) -> float:
    ordered = sorted(values)
    cut = math.floor(len(ordered) / 4)
    return plain.mean(ordered[cut : len(ordered) - cut])


def drawn_means(tasks: list[list[float]], count: int) -> list[float]:
    """Bootstrap draws by the standard library's generator: runs with replacement within each task."""
    rng = random.Random(0)
    return [middle_half([rng.choice(task) for task in tasks for _ in task]) for _ in range(count)]


@given(st.lists(runs, min_size=1, max_size=4))
def test_aggregate_is_the_mean_of_the_middle_half_of_all_runs(tasks: list[list[float]]) -> None:
    found = statistics.aggregate([np.array(task) for task in tasks])
    assert found == pytest.approx(middle_half([value for task in tasks for value in task]))


def test_interval_is_that_of_an_independent_bootstrap() -> None:
    low, high = statistics.aggregate_interval(TASKS, samples=20_000)
    means = sorted(drawn_means([task.tolist() for task in TASKS], 20_000))
    assert low == pytest.approx(means[500], abs=0.02)
    assert high == pytest.approx(means[-500], abs=0.02)
    assert low < statistics.aggregate(TASKS) < high


def test_a_resample_draws_runs_of_its_task_alone() -> None:
    for task, drawn in zip(TASKS, statistics.resamples(TASKS, samples=200), strict=True):
        assert drawn.shape == (200, len(task)) and set(drawn.ravel()) == set(task)


@given(st.lists(runs, min_size=1, max_size=3), st.lists(numbers, min_size=1, max_size=5))
def test_performance_profile(tasks: list[list[float]], thresholds: list[float]) -> None:
    found = statistics.performance_profile([np.array(task) for task in tasks], np.array(thresholds))
    slow = [plain.mean(sum(value > limit for value in task) / len(task) for task in tasks) for limit in thresholds]
    assert found == pytest.approx(slow)


def test_profile_band_holds_the_profile() -> None:
    thresholds = np.linspace(0, 1.5, 7)
    low, high = statistics.profile_band(TASKS, thresholds, samples=500)
    center = statistics.performance_profile(TASKS, thresholds)
    assert (low <= center).all() and (center <= high).all() and (low < high).any()


@given(st.lists(st.tuples(runs, runs), min_size=1, max_size=3))
def test_probability_of_improvement(pairs: list[tuple[list[float], list[float]]]) -> None:
    left, right = ([np.array(pair[side]) for pair in pairs] for side in (0, 1))
    slow = plain.mean(
        plain.mean(1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(*pair)) for pair in pairs
    )
    assert statistics.probability_of_improvement(left, right) == pytest.approx(slow)
    assert statistics.probability_of_improvement(right, left) == pytest.approx(1 - slow)


def test_interval_of_the_probability_of_improvement() -> None:
    low, high = statistics.improvement_interval(TASKS, OTHERS, samples=4000)
    rng = random.Random(1)
    draws = sorted(
        statistics.probability_of_improvement(
            *([np.array([rng.choice(t) for _ in t]) for t in of] for of in (TASKS, OTHERS))
        )
        for _ in range(2000)
    )
    assert (low, high) == pytest.approx((draws[50], draws[-50]), abs=0.06)


@given(st.lists(st.tuples(st.integers(1, 50), numbers), min_size=2, max_size=8, unique_by=lambda point: point[0]))
def test_area_is_the_mean_of_the_interpolated_curve(points: list[tuple[int, float]]) -> None:
    steps, values = (np.array(part, float) for part in zip(*sorted(points), strict=True))
    middles = np.arange(steps[0], steps[-1]) + 0.5
    fine = plain.mean(np.interp(middles, steps, values).tolist())
    assert statistics.area(steps, values) == pytest.approx(fine, abs=1e-9)


def test_area_of_one_evaluation() -> None:
    assert statistics.area(np.array([5.0]), np.array([3.0])) == 3.0


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True), st.lists(st.integers(-1, 25), min_size=1))
def test_a_curve_holds_its_last_value(at: list[int], grid: list[int]) -> None:
    at = sorted(at)
    found = statistics.held(np.array(at), np.array([10.0 * step for step in at]), np.array(grid), -1.0)
    assert found.tolist() == [max((10.0 * step for step in at if step <= point), default=-1.0) for point in grid]


@settings(max_examples=30)
@given(st.lists(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=4), min_size=1, max_size=3))
def test_band_is_the_aggregate_at_each_point(tasks: list[list[list[float]]]) -> None:
    curves = [np.array(task) for task in tasks]
    band = statistics.band(np.arange(3.0), curves, samples=100)
    for k in range(3):
        column = [curve[:, k] for curve in curves]
        assert band.center[k] == pytest.approx(statistics.aggregate(column))
    assert (band.low <= band.high).all()


def test_normalised_scores() -> None:
    assert statistics.normalized(np.array([10.0, 60.0, 110.0]), 10.0, 110.0).tolist() == [0.0, 0.5, 1.0]
    assert statistics.normalized(np.array([-2.0]), -10.0, -2.0).tolist() == [1.0]
