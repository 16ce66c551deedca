"""Statistics over runs and tasks (Agarwal et al., "Deep RL at the edge of the statistical precipice", arXiv:2108.13264).

``Scores`` of one algorithm are a list over tasks of arrays over runs [N_task]; tasks may have different numbers of runs.
Everything is a function of its arguments: the bootstrap draws from a generator with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowrl_dsl.runtime.aggregate import interquartile_mean

Scores = Sequence[np.ndarray]
Interval = tuple[float, float]
SAMPLES, LEVEL = 2000, 0.95


def aggregate(scores: Scores) -> float:
    """The inter-quartile mean over the runs of all tasks together."""
    return float(interquartile_mean(np.concatenate(scores)))


def resamples(scores: Scores, samples: int = SAMPLES, seed: int = 0) -> list[np.ndarray]:
    """For each task, ``samples`` draws [samples, N_task] of its runs with replacement: the bootstrap, stratified by task."""
    random = np.random.default_rng(seed)
    return [task[random.integers(0, len(task), (samples, len(task)))] for task in scores]


def percentiles(values: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """The ends [2, ...] of the interval that holds the middle ``level`` of the values along the first axis."""
    tail = (1 - level) / 2
    return np.quantile(values, [tail, 1 - tail], axis=0)


def aggregate_interval(scores: Scores, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """The stratified bootstrap interval of :func:`aggregate`."""
    drawn = np.concatenate(resamples(scores, samples, seed), axis=-1)
    low, high = percentiles(interquartile_mean(drawn))
    return float(low), float(high)


def performance_profile(scores: Scores, thresholds: np.ndarray) -> np.ndarray:
    """The share [..., T] of runs that score above each threshold, averaged over tasks, for scores [..., N_task]."""
    return np.asarray(np.mean([(task[..., None] > thresholds).mean(axis=-2) for task in scores], axis=0))


def profile_band(scores: Scores, thresholds: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """The pointwise stratified bootstrap interval [2, T] of :func:`performance_profile`."""
    return percentiles(performance_profile(resamples(scores, samples, seed), thresholds))


def probability_of_improvement(scores: Scores, others: Scores) -> float:
    """P(X > Y) + P(X = Y) / 2 for a run X of one algorithm and Y of another on a task, averaged over the tasks."""
    return float(np.mean([_better(x, y) for x, y in zip(scores, others, strict=True)]))


def improvement_interval(scores: Scores, others: Scores, samples: int = SAMPLES, seed: int = 0) -> Interval:
    """The stratified bootstrap interval of :func:`probability_of_improvement`; both algorithms are resampled."""
    left, right = resamples(scores, samples, seed), resamples(others, samples, seed + 1)
    drawn = np.mean([_better(x, y) for x, y in zip(left, right, strict=True)], axis=0)
    low, high = percentiles(drawn)
    return float(low), float(high)


def _better(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Over all pairs of the last axes of x [..., N] and y [..., M]."""
    gap = x[..., :, None] - y[..., None, :]
    return np.asarray(((gap > 0) + 0.5 * (gap == 0)).mean(axis=(-2, -1)))


def area(steps: np.ndarray, values: np.ndarray) -> float:
    """The mean height of the piecewise linear curve through (steps [P], values [P]); of one point, its value."""
    if len(steps) == 1:
        return float(values[0])
    heights = (values[1:] + values[:-1]) / 2
    return float(np.sum(heights * np.diff(steps)) / (steps[-1] - steps[0]))


def held(at: np.ndarray, values: np.ndarray, grid: np.ndarray, before: float) -> np.ndarray:
    """A curve read on a grid: at each point its last value so far, and ``before`` where it has none yet."""
    last = np.searchsorted(at, grid, side="right") - 1
    return np.where(last >= 0, np.asarray(values, np.float64)[np.maximum(last, 0)], before)


@dataclass(frozen=True)
class Band:
    """A curve of inter-quartile means over a grid with the bootstrap interval around it; arrays [G]."""

    grid: np.ndarray
    center: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(grid: np.ndarray, curves: Sequence[np.ndarray], samples: int = SAMPLES, seed: int = 0) -> Band:
    """The inter-quartile mean over all runs at each point; ``curves`` is a list over tasks of [N_task, G].

    A draw of the bootstrap takes whole curves, so that the points of one band belong together.
    """
    random = np.random.default_rng(seed)
    rows = [random.integers(0, len(task), (samples, len(task))) for task in curves]
    ends = [_at_point([task[index, k] for task, index in zip(curves, rows, strict=True)]) for k in range(len(grid))]
    low, high = np.transpose(ends)
    center = interquartile_mean(np.concatenate(curves, axis=0).T)
    return Band(grid, center, low, high)


def _at_point(drawn: Sequence[np.ndarray]) -> np.ndarray:
    return percentiles(interquartile_mean(np.concatenate(drawn, axis=-1)))


def normalized(values: np.ndarray, random: float, reference: float) -> np.ndarray:
    """0 for the return of random actions, 1 for the reference: (return - random) / (reference - random)."""
    return (np.asarray(values, np.float64) - random) / (reference - random)
