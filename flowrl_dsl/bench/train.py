"""``bench train``: a short training run, and the time of each part of its loop.

The device computes while the environment steps, so the time of a part is visible only if the loop waits for it.  The first
half of the learning steps therefore runs normally and yields the speed; in the second half the loop waits for every part,
which yields the shares.  The warm-up, the first learning steps (they compile), evaluations and checkpoints are not counted.
In a pure world the parts are inside one executable, and are measured by :mod:`flowrl_dsl.bench.iteration`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import numpy as np

from flowrl_dsl import driver, runs
from flowrl_dsl.bench.iteration import Timed, parts
from flowrl_dsl.bench.kind import DEFAULT_TASK, Asked, CannotMeasure, Kind, each_spec
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.progress import Speed
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.base import Stepped

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.lowering.program import Program

DEFAULTS = {"train.steps": "2000", "train.warmup": "500"}
PARTS = ("act", "environment", "replay", "update")
OVERHEAD = "overhead"
_COMPILING = 5
_ROLLOUTS = 5
"""The rollouts of a training that has them: one that compiles, and two in each half."""

T = TypeVar("T")
Run = TypeVar("Run", bound=Training)


@dataclass(frozen=True)
class Row:
    """``steps_per_second`` of the environments as trained; ``step_ms`` one turn of the loop when each part is waited for.

    ``shares`` of ``step_ms`` by part sum to 1; the time outside all parts is ``overhead``.  In a pure world ``step_ms`` is a
    step in one dispatch, and ``overhead`` what its parts, each an executable of its own, do not explain.
    """

    spec: str
    task: str
    steps_per_second: float
    step_ms: float
    shares: dict[str, float]


def measure(asked: Asked, repeat: int) -> Iterator[Row]:
    task = asked.task or DEFAULT_TASK
    catalogue.sizes(task)  # reported once where the task cannot be made
    runs.prepare_jax()
    yield from each_spec(asked, lambda spec: [_measure(spec, task, asked.sets, repeat)])


def _measure(spec: str, task: str, sets: Sequence[str], repeat: int) -> Row:
    algorithm, _ = driver.resolve_or_raise(spec, task, with_defaults(sets))
    regime: Any = algorithm.regime
    settings = Settings.of(algorithm.sections["train"], task, 0, episodes=1, **regime.settings(algorithm))
    if settings.rollout:
        settings = replace(settings, steps=_ROLLOUTS * settings.rollout * settings.envs)
    settings = replace(settings, evaluate_every=settings.steps, checkpoint_every=settings.steps)
    program = driver.build_program(algorithm, *driver.task_sizes(task, algorithm), capacity=settings.capacity)
    turn = turn_of(algorithm)
    if catalogue.make(task, 1, 0).pure is not None:
        return _in_pure_world(spec, task, [_run(Timed, spec, program, settings, turn) for _ in range(repeat)])
    watches = [_train(spec, program, settings, turn) for _ in range(repeat)]
    turns = sum(watch.free_turns for watch in watches)
    free = sum(watch.free_seconds for watch in watches)
    seconds = {part: sum(watch.seconds[part] for watch in watches) for part in PARTS}
    whole = sum(watch.watched_seconds for watch in watches)
    watched = sum(watch.watched_turns for watch in watches)
    return Row(spec, task, settings.envs * turns / free, 1e3 * whole / watched, shares(seconds, whole))


def _in_pure_world(spec: str, task: str, trainings: Sequence[Timed]) -> Row:
    """The row of trainings whose turns are single executables."""
    seconds = sum(one.seconds for one in trainings)
    if not seconds:
        raise CannotMeasure("train.steps is too short: only the first dispatch has updates, and it compiles")
    step, each = parts(trainings[-1])
    return Row(spec, task, sum(one.steps for one in trainings) / seconds, 1e3 * step, shares(each, step))


def with_defaults(sets: Sequence[str]) -> tuple[str, ...]:
    """A short training run, unless its length is set."""
    given = {one.partition("=")[0].strip() for one in sets}
    return (*(f"{name}={value}" for name, value in DEFAULTS.items() if name not in given), *sets)


def turn_of(algorithm: Algorithm) -> str:
    """The turn that is measured: that of the regime; without a data set, the off-policy one where it does not act."""
    regime: Any = algorithm.regime
    turn: str = regime.turn if regime.acts else "off_policy"
    return turn


def shares(seconds: dict[str, float], whole: float) -> dict[str, float]:
    """The share of each part, and of the time outside all parts; they sum to 1."""
    return {part: spent / whole for part, spent in seconds.items()} | {OVERHEAD: 1 - sum(seconds.values()) / whole}


def _train(spec: str, program: Program, settings: Settings, turn: str) -> Watch:
    watch = Watch(settings)
    _run(partial(WatchedTraining, watch), spec, program, settings, turn)
    return watch


def _run(kind: Callable[..., Run], spec: str, program: Program, settings: Settings, turn: str) -> Run:
    """A training of this kind, when it has ended."""
    with tempfile.TemporaryDirectory() as home:
        folder = RunFolder.create(Path(home), "bench", settings.task, settings.seed, {"spec": spec})
        training = kind(program, settings, folder, _Silent(), turn=turn)
        training.run()
    return training


class Watch:
    """Clocks of a training run: on its turns, and in the second half of the learning ones also on the parts of a turn.

    Where there are rollouts, both halves are whole rollouts with the updates after them.
    Raises :class:`CannotMeasure` for a training run that is too short.
    """

    def __init__(self, settings: Settings):
        if settings.rollout:  # the first one compiles; the turn of its updates is the first that has learned
            self._skipped, self._half = 1, 1 + (_ROLLOUTS - 1) // 2 * settings.rollout
        else:
            turns = (settings.steps - settings.first_update) // settings.envs
            if turns < _COMPILING + 2:
                needed = settings.first_update + (_COMPILING + 2) * settings.envs
                raise CannotMeasure(f"train.steps = {settings.steps} is too short: with this warm-up it takes {needed}")
            self._skipped, self._half = _COMPILING, _COMPILING + (turns - _COMPILING) // 2
        self._learned, self._watching = 0, False
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.free_turns, self.free_seconds = 0, 0.0
        self.watched_turns, self.watched_seconds = 0, 0.0

    def part(self, name: str, work: Callable[[], T]) -> T:
        """The result of a part of a turn; in the second half it is timed after waiting for the device."""
        if not self._watching:
            return work()
        began = time.perf_counter()
        result = jax.block_until_ready(work())
        self.seconds[name] += time.perf_counter() - began
        return result

    def turn(self, training: Training, advance: Callable[[], None]) -> None:
        """One turn of the training; at the start of a half, first wait for the device."""
        if self._learned in (self._skipped, self._half):
            self._count(lambda: jax.block_until_ready(training.state), 0)
        self._watching = self._learned >= self._half
        self._count(advance, 1)
        self._watching = False
        self._learned += training.updates > 0

    def _count(self, work: Callable[[], Any], turns: int) -> None:
        """Run it and add its time to the current half."""
        began = time.perf_counter()
        work()
        took = time.perf_counter() - began
        if self._watching:
            self.watched_turns, self.watched_seconds = self.watched_turns + turns, self.watched_seconds + took
        elif self._learned > self._skipped or (self._learned == self._skipped and turns):
            self.free_turns, self.free_seconds = self.free_turns + turns, self.free_seconds + took


class WatchedTraining(Training):
    """A training run with clocks: the same turns, with a clock on each part."""

    def __init__(self, watch: Watch, *training: Any, **options: Any):
        super().__init__(*training, **options)
        self._watch = watch

    def advance(self) -> None:
        self._watch.turn(self, super().advance)

    def act(self) -> dict[str, Any]:
        return self._watch.part("act", super().act)

    def remembered(self) -> dict[str, Any]:
        return self._watch.part("replay", super().remembered)

    def learn(self, replay: dict[str, Any], count: int) -> dict[str, Any]:
        return self._watch.part("update", partial(super().learn, replay, count))

    def stepped(self, actions: np.ndarray) -> Stepped:
        return self._watch.part("environment", partial(super().stepped, actions))

    def remember(self, acted: Mapping[str, np.ndarray], stepped: Stepped) -> None:
        self._watch.part("replay", partial(super().remember, acted, stepped))


class _Silent:
    """A display that shows nothing."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, step: int) -> None: ...

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None: ...

    def enter(self, phase: str, begins: int | None = None) -> None: ...

    def say(self, text: str) -> None: ...


def summary(rows: Sequence[Row]) -> dict[str, float]:
    return {f"mean share of {part}": sum(row.shares[part] for row in rows) / len(rows) for part in (*PARTS, OVERHEAD)}


def _share(part: str):
    return lambda row: f"{row.shares[part]:.0%}"


COLUMNS = {
    "spec": lambda row: row.spec,
    "steps/s": lambda row: f"{row.steps_per_second:,.0f}",
    "waited for, ms/step": lambda row: f"{row.step_ms:.3g}",
} | {part: _share(part) for part in (*PARTS, OVERHEAD)}

KIND = Kind("a short training, and the shares of its parts", Row, COLUMNS, measure, 1, summary)
