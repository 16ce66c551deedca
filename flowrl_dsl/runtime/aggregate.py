"""Statistics over seeds: the inter-quartile mean and its stratified bootstrap interval (Agarwal et al., 2108.13264)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def interquartile_mean(scores: ArrayLike) -> np.ndarray:
    """Mean of the middle half of the values along the last axis.

    A quarter of the values, rounded down, is left out at each end: of three values none, of four the outer two.
    """
    ordered = np.sort(scores, axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def bootstrap_interval(scores: ArrayLike, level: float = 0.95, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the inter-quartile mean of ``scores`` [seed, task], all tasks pooled.

    Seeds are drawn with replacement within each task, so that every task keeps its weight.  The same arguments give
    the same interval.
    """
    scores = np.asarray(scores, np.float64)
    seeds, tasks = scores.shape
    rows = np.random.default_rng(seed).integers(0, seeds, (samples, seeds, tasks))
    drawn = scores[rows, np.arange(tasks)]
    means = interquartile_mean(drawn.reshape(samples, seeds * tasks))
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
