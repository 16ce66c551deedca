"""Clocks and the arithmetic of ratios.  Times are medians: a busy machine makes some samples longer, none shorter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, which itself waits for the device."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turns(calls: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """``repeat`` samples of each call in seconds, taken A, B, A, B, …, so a slowdown of the machine affects both."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            samples[name].append(seconds(call))
    return samples


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median ratio of adjacent samples; above 1 if ``fast`` is faster."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def geometric_mean(values: Iterable[float]) -> float:
    """The mean for ratios: that of r and 1 / r is 1.  Raises ``ValueError`` without values."""
    logarithms = [math.log(value) for value in values]
    if not logarithms:
        raise ValueError("no values for a mean")
    return math.exp(sum(logarithms) / len(logarithms))
