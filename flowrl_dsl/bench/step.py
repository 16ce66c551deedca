"""``bench step``: the update with all passes compared with the update without passes, in one process.

Needed floating-point operations are those of the matrix products of one update after all passes, counted in jax's
trace (``lowering.cost.matrix_product_flops``).  A stage that runs only every n-th update is counted in full: for such a
spec the share of the machine's speed is an upper bound.

The updates of a spec with phases are those of its last one: the update counter begins where that phase does.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from flowrl_dsl import driver
from flowrl_dsl.algorithm import starts
from flowrl_dsl.axes import MANY_ACTIONS
from flowrl_dsl.bench.kind import Asked, Fact, Kind, each_spec
from flowrl_dsl.bench.machine import empty_compilation_cache, matrix_product_speed
from flowrl_dsl.bench.timing import geometric_mean, in_turns, ratio, seconds
from flowrl_dsl.lowering.cost import matrix_product_flops
from flowrl_dsl.plan import human
from flowrl_dsl.runtime.replay import Replay

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.graph.nodes import Graph
    from flowrl_dsl.lowering.program import Program

_ROWS = 4096
_EPISODE = 100
_SAMPLE_SECONDS = 0.2
_MOST_UPDATES = 64


@dataclass(frozen=True)
class Row:
    """One spec.  ``ratio`` is none / all, above 1 where the passes help; ``share`` of the measured matrix-product speed.

    ``same_program``: the backend compiles one program of both, so that the ratio differs from 1 by the error of its samples.
    ``cold_s`` compiles the update with all passes and fills an empty cache, as a user's first run does; ``warm_s`` compiles
    a second program from that cache, None if the backend has no cache.  Memory is the working memory in bytes of the
    compiled update, without its state.
    """

    spec: str
    many_actions: bool
    ratio: float
    none_ms: float
    all_ms: float
    flops: int
    share: float
    cold_s: float
    warm_s: float | None
    memory_none: int
    memory_all: int
    updates: int
    same_program: bool


def measure(asked: Asked, repeat: int) -> Iterator[Row | Fact]:
    driver.task_sizes(asked.task)  # reported once where the task cannot be made
    speed = matrix_product_speed()
    yield Fact("matrix products, flop/s", speed)
    yield from each_spec(asked, lambda spec: [_measure(spec, asked, repeat, speed)])


def _measure(spec: str, asked: Asked, repeat: int, speed: float) -> Row:
    algorithm, _ = driver.resolve_or_raise(spec, asked.task, asked.sets)
    sizes = driver.task_sizes(asked.task, algorithm)
    programs = {"none": _program(algorithm, sizes, ()), "all": _program(algorithm, sizes, None)}
    state, replay = in_last_phase(programs["all"].init(0), algorithm), synthetic_replay(programs["all"])
    last = of_last_phase(algorithm)
    with empty_compilation_cache() as folder:
        best, cold = _compile(programs["all"], state, replay)
        kept = any(folder.iterdir())
        warm = _compile(_program(algorithm, sizes, None), state, replay)[1] if kept else None
    compiled = {"none": _compile(programs["none"], state, replay)[0], "all": best}
    updaters = {name: Updater(compiled[name], state, replay, programs[name]) for name in compiled}
    # what is computed once for a rollout counts as it does in training: over all updates on it
    count = programs["all"].data.updates or _updates_in_a_sample(updaters.values())
    samples = in_turns({name: partial(updater.update, count) for name, updater in updaters.items()}, repeat)
    milliseconds = {name: 1e3 * median(found) / count for name, found in samples.items()}
    memory = {name: one.memory_analysis().temp_size_in_bytes for name, one in compiled.items()}
    alone = programs["all"] if last is algorithm else _program(last, sizes, None)
    flops = matrix_product_flops(alone.jit_step, *alone.examples())
    return Row(
        spec=spec,
        many_actions=many_actions(driver.build_graphs(last, *sizes, ()).graphs["step"]),
        ratio=ratio(samples["none"], samples["all"]),
        none_ms=milliseconds["none"],
        all_ms=milliseconds["all"],
        flops=flops,
        share=flops / (milliseconds["all"] / 1e3) / speed,
        cold_s=cold,
        warm_s=warm,
        memory_none=memory["none"],
        memory_all=memory["all"],
        updates=count,
        same_program=without_names(compiled["none"].as_text()) == without_names(best.as_text()),
    )


def without_names(program: str) -> str:
    """The text of a compiled program with its instructions numbered by their first occurrence, and without their sources."""
    numbers: dict[str, str] = {}
    bare = re.sub(r", metadata=\{[^}]*\}|^(File|Function|Stack)\w+\n(\d.*\n)*", "", program, flags=re.MULTILINE)
    return re.sub(r"%[\w.-]+", lambda name: numbers.setdefault(name.group(), f"%{len(numbers)}"), bare)


def in_last_phase(state: dict[str, Any], algorithm: Algorithm) -> dict[str, Any]:
    """A fresh state whose update counter is that of the first update of the last phase."""
    begins = starts(algorithm.phases)[-1] if algorithm.phases else 0
    return state | {"step": state["step"] + np.int32(begins)}


def of_last_phase(algorithm: Algorithm) -> Algorithm:
    """The algorithm whose every update has the order of the last phase; itself if it has no phases."""
    if not algorithm.phases:
        return algorithm
    return algorithm.model_copy(update={"order": algorithm.phases[-1].order, "phases": ()})


def many_actions(step: Graph) -> bool:
    """Whether an update draws or evaluates many actions per state of its batch: particles or reverse samples.

    Determined from the graph before any pass.  Draws for a few states, for an occasional entropy estimate, do not count.
    """
    return any(
        node.op in ("QValue", "Sample") and "batch" in node.type.axes and set(MANY_ACTIONS) & set(node.type.axes)
        for node in step.nodes.values()
    )


def synthetic_replay(program: Program) -> dict[str, Any]:
    """A replay on the device, full of random transitions in episodes of a hundred steps."""
    random, rows, replay = np.random.default_rng(0), program.data.capacity, Replay.of(program)
    obs = random.normal(size=(rows + 1, program.obs_size))
    end = (np.arange(rows) % _EPISODE == _EPISODE - 1).astype(np.float32)
    fields = {"s": obs[:-1], "r": random.normal(size=rows), "d": np.zeros(rows), "end": end, "s_next": obs[1:]}
    for name, field in program.data.stored.items():
        fields.setdefault(name, random.uniform(-1, 1, (rows, *field.shape(program.axis_sizes))))
    replay.add(**fields)
    return replay.view()


def _program(algorithm: Algorithm, sizes: tuple[Any, int], passes: Sequence[str] | None) -> Program:
    regime: Any = algorithm.regime
    return driver.build_program(algorithm, *sizes, passes, capacity=min(_ROWS, regime.capacity(algorithm, 1)))


def _compile(program: Program, state: Any, replay: Any) -> tuple[Any, float]:
    """The compiled update, and the seconds from its graph to it."""
    # jax caches traces of the previous program, whose garbage would be collected while this one is traced
    jax.clear_caches()
    gc.collect()
    found: list[Any] = []
    took = seconds(lambda: found.append(program.jit_update.lower(state, replay, np.int32(1), _hyper(program)).compile()))
    return found[0], took


def _hyper(program: Program) -> dict[str, np.float32]:
    return {name: np.float32(value) for name, value in program.hyper.items()}


class Updater:
    """A compiled update with its own state, carried from call to call."""

    def __init__(self, compiled: Any, state: Any, replay: Any, program: Program):
        # a copy: the state is donated
        self._state = jax.tree.map(lambda leaf: leaf.copy(), state)
        self._compiled, self._replay, self._hyper = compiled, replay, _hyper(program)

    def update(self, count: int) -> None:
        """``count`` updates in one dispatch; returns when the device has finished."""
        self._state, _ = jax.block_until_ready(self._compiled(self._state, self._replay, np.int32(count), self._hyper))


def _updates_in_a_sample(updaters: Any) -> int:
    """Even, because a stage may run every second update; enough for a sample to be long compared with its dispatch."""
    for updater in updaters:
        updater.update(2)
    one = min(seconds(partial(updater.update, 2)) for updater in updaters) / 2
    return min(_MOST_UPDATES, 2 * max(1, math.ceil(_SAMPLE_SECONDS / one / 2)))


def summary(rows: Sequence[Row]) -> dict[str, float]:
    means = {"geometric mean of none / all": geometric_mean(row.ratio for row in rows)}
    many = [row.ratio for row in rows if row.many_actions]
    if many:
        means["geometric mean of none / all, many actions for each state"] = geometric_mean(many)
    return means


COLUMNS = {
    "spec": lambda row: row.spec + (" *" if row.many_actions else ""),
    "none / all": lambda row: f"{row.ratio:.2f}" + (" =" if row.same_program else ""),
    "none, ms": lambda row: f"{row.none_ms:.3g}",
    "all, ms": lambda row: f"{row.all_ms:.3g}",
    "needed": lambda row: human(row.flops, "flop"),
    "of speed": lambda row: f"{100 * row.share:.2g}%",
    "compile cold, s": lambda row: f"{row.cold_s:.1f}",
    "warm, s": lambda row: "-" if row.warm_s is None else f"{row.warm_s:.1f}",
    "memory none": lambda row: human(row.memory_none, "B"),
    "memory all": lambda row: human(row.memory_all, "B"),
}

TITLE = "one update, with all passes and with none (* many actions for each state, = one compiled program)"
KIND = Kind(TITLE, Row, COLUMNS, measure, 10, summary)
