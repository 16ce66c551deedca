"""``bench act``: the latency of a policy, as in the training loop and in the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from flowrl_dsl import driver, runs
from flowrl_dsl.bench.kind import Asked, Kind, each_spec
from flowrl_dsl.bench.timing import geometric_mean, in_turns, ratio

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program

OBSERVATIONS = (1, 16, 256)
MODES = ("explore", "evaluate")


@dataclass(frozen=True)
class Row:
    """Median microseconds of one call of ``Program.act``, and none / all, for each number of ``observations``."""

    spec: str
    mode: str
    observations: tuple[int, ...]
    none_us: tuple[float, ...]
    all_us: tuple[float, ...]
    ratio: tuple[float, ...]


def measure(asked: Asked, repeat: int) -> Iterator[Row]:
    driver.task_sizes(asked.task)  # reported once where the task cannot be made
    # a dozen programs per spec, and compilation is not measured
    runs.prepare_jax()
    yield from each_spec(asked, lambda spec: _measure(spec, asked, repeat))


def _measure(spec: str, asked: Asked, repeat: int) -> Iterator[Row]:
    algorithm, _ = driver.resolve_or_raise(spec, asked.task, asked.sets)
    sizes = driver.task_sizes(asked.task, algorithm)
    programs = {"none": driver.build_program(algorithm, *sizes, ()), "all": driver.build_program(algorithm, *sizes, None)}
    state = programs["all"].init(0)
    for mode in MODES:
        samples = [_samples(programs, state, mode, count, repeat) for count in OBSERVATIONS]
        none, best = (tuple(1e6 * median(one[name]) for one in samples) for name in ("none", "all"))
        yield Row(spec, mode, OBSERVATIONS, none, best, tuple(ratio(one["none"], one["all"]) for one in samples))


def _samples(programs: dict[str, Program], state: Any, mode: str, count: int, repeat: int) -> dict[str, list[float]]:
    obs = np.random.default_rng(0).normal(size=(count, programs["all"].obs_size)).astype(np.float32)

    def acting(program: Program):
        # the actions must be on the host, as the environments need them
        return lambda: np.asarray(program.act(state, obs, 0, mode, program.hyper)["action"])

    calls = {name: acting(program) for name, program in programs.items()}
    for call in calls.values():
        call()
    return in_turns(calls, repeat)


def summary(rows: Sequence[Row]) -> dict[str, float]:
    return {"geometric mean of none / all": geometric_mean(ratio for row in rows for ratio in row.ratio)}


def _column(position: int):
    return lambda row: f"{row.none_us[position]:.0f} / {row.all_us[position]:.0f}"


COLUMNS = {"spec": lambda row: row.spec, "mode": lambda row: row.mode}
COLUMNS |= {f"{count} obs, none / all": _column(position) for position, count in enumerate(OBSERVATIONS)}

KIND = Kind("microseconds of one call of act, with no pass and with all", Row, COLUMNS, measure, 50, summary)
