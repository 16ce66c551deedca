"""``bench env``: steps per second of a task through the package's environments, and through Gymnasium's own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from flowrl_dsl.bench.kind import DEFAULT_TASK, Asked, Kind, attempt
from flowrl_dsl.runtime.worlds import catalogue

COUNTS = (1, 8)
_SECONDS = 1.0
_ACTIONS = 64

Step = Callable[[int], Any]
"""Steps every copy with the k-th of the actions drawn in advance."""


@dataclass(frozen=True)
class Row:
    """``steps_per_second`` counts the steps of all copies: the median over samples of a second."""

    task: str
    layer: str
    environments: int
    steps_per_second: float


def measure(asked: Asked, repeat: int) -> Iterator[Row]:
    task = asked.task or DEFAULT_TASK
    # an unknown task fails once, here
    catalogue.sizes(task)
    layers = {"flowrl-dsl": _ours}
    if catalogue.kind_of(task).name == "gymnasium":
        layers |= {"gymnasium SyncVectorEnv": _sync, "gymnasium AsyncVectorEnv": _async}
    for count in COUNTS:
        for layer, opened in layers.items():
            name = f"{layer}, {count} copies"
            one = partial(_measure, task, layer, count, opened, repeat)
            yield from attempt(name, f"{task}: {name}", one)


def _measure(task: str, layer: str, count: int, opened: Callable, repeat: int) -> list[Row]:
    step, close = opened(task, count)
    try:
        step(0)
        return [Row(task, layer, count, count * median(_rate(step) for _ in range(repeat)))]
    finally:
        close()


def _rate(step: Step) -> float:
    """Calls of ``step`` in a second."""
    began, calls = time.perf_counter(), 0
    while (now := time.perf_counter()) - began < _SECONDS or not calls:
        step(calls % _ACTIONS)
        calls += 1
    return calls / (now - began)


def _ours(task: str, count: int) -> tuple[Step, Callable[[], None]]:
    copies = catalogue.make(task, count, 0)
    copies.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (_ACTIONS, count, copies.action_size)).astype(np.float32)
    return lambda k: copies.step(actions[k]), copies.close


def _sync(task: str, count: int) -> tuple[Step, Callable[[], None]]:
    copies = SyncVectorEnv(_makers(task, count), autoreset_mode=AutoresetMode.SAME_STEP)
    return _stepping(copies), copies.close


def _async(task: str, count: int) -> tuple[Step, Callable[[], None]]:
    # Ctrl-C reaches the workers too: they inherit that it is not for them, and print no tracebacks; the price is that
    # nobody hears it in the seconds in which they start
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # spawned processes: a fork of a process with threads, such as jax's, may hang
        copies = AsyncVectorEnv(_makers(task, count), context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    finally:
        signal.signal(signal.SIGINT, before)
    # after an interrupted step, waiting for the workers to end would block forever
    return _stepping(copies), partial(copies.close, terminate=True)


def _makers(task: str, count: int) -> list[Callable[[], gymnasium.Env]]:
    # without the checker, as in the package's own layer
    return [partial(gymnasium.make, task, disable_env_checker=True)] * count


def _stepping(copies: Any) -> Step:
    copies.reset(seed=0)
    copies.action_space.seed(0)
    actions = [copies.action_space.sample() for _ in range(_ACTIONS)]
    return lambda k: copies.step(actions[k])


COLUMNS = {
    "task": lambda row: row.task,
    "layer": lambda row: row.layer,
    "environments": lambda row: str(row.environments),
    "steps/s": lambda row: f"{row.steps_per_second:,.0f}",
}

KIND = Kind("steps per second of all environments together, random actions", Row, COLUMNS, measure, 3)
