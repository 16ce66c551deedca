"""The plan that ``flowrl-dsl compile`` prints: components, settings with their origins, and the cost of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrl_dsl.algorithm import Algorithm, Begin, Origin, show_stage, starts

if TYPE_CHECKING:
    from flowrl_dsl.passes import Applied

_NUMBER = 4
"""Bytes of a number in a rollout."""
_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


def human(value: float, unit: str = "") -> str:
    """``2.15 G``; three significant digits."""
    for prefix, size in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def plan(algorithm: Algorithm, program: Any, applied: Sequence[Applied], flops: tuple[int, int], task: str | None) -> str:
    """The plan of a program; compiles its step to measure it.

    ``flops`` are those of the matrix products of the step, before the passes and after them.
    """
    sections = [
        _heading(algorithm, program, task),
        _axes(algorithm),
        _order(algorithm),
        _settings(algorithm),
        _networks(program),
        _passes(applied, flops),
        _cost(program, flops[1]),
        *_rollout(program),
    ]
    return "\n\n".join(sections) + "\n"


def _heading(algorithm: Algorithm, program: Any, task: str | None) -> str:
    title = f' "{algorithm.title}"' if algorithm.title else ""
    paper = f"  {algorithm.paper}" if algorithm.paper else ""
    where = task or "no task"
    sizes = f"{program.obs_size} observations, {program.action_size} actions"
    sizes += f" in chunks of {program.chunk} steps" if program.chunk > 1 else ""
    return f"algorithm {algorithm.name}{title}{paper}\n  {where}: {sizes}"


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join([title, *(f"  {line}" for line in aligned(rows))])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows of a table as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _axes(algorithm: Algorithm) -> str:
    policy: Any = algorithm.sections["policy"]
    act: Any = algorithm.sections.get("act")
    critic: Any = algorithm.sections.get("critic")
    mechanisms = " + ".join(block.mechanism.name for block in algorithm.improvements)
    rows = [("regime", algorithm.regime.name), ("backbone", policy.backbone.name)]
    rows.append(("sampler", policy.sampler.name if policy.sampler else "none"))
    rows.append(("policy improvement", mechanisms))
    if critic is not None:
        rows.append(("critic", f"{critic.kind.name}, ensemble of {critic.ensemble}"))
    if act is not None:
        rows.append(("explore", _drawn(act.explore)))
        rows.append(("evaluate", _drawn(act.evaluate)))
    return _table("taxonomy", rows)


def _drawn(drawn: Any) -> str:
    return f"{drawn.value.name} from {drawn.source}"


def _order(algorithm: Algorithm) -> str:
    if not algorithm.phases:
        return "order of one update\n  " + show_stage(algorithm.order)
    rows = []
    for number, (phase, start) in enumerate(zip(algorithm.phases, starts(algorithm.phases), strict=True), start=1):
        last = " on" if phase.updates is None else f" to {start + phase.updates - 1:,}"
        acting = "" if phase.steps is None else f", {phase.steps:,} environment steps"
        begin = f"begin {show_stage(Begin(phase.begin))}" if phase.begin else ""
        rows.append((f"{number} {phase.name}", f"updates {start:,}{last}{acting}", show_stage(phase.order), begin))
    return _table("order of one update, by phase", rows)


def _settings(algorithm: Algorithm) -> str:
    rows = [(path, origin.text, _source(origin)) for path, origin in sorted(algorithm.origins.items())]
    return _table("settings with their origins", rows)


def _source(origin: Origin) -> str:
    """``qsm.flowrl:12`` for a setting from a file; otherwise the source: ``default``, ``--set``, ``task "Hopper-v5"``."""
    if origin.span is None or not origin.source.endswith(".flowrl"):
        return origin.source
    return f"{Path(origin.source).name}:{origin.span.line}"


def _networks(program: Any) -> str:
    from flowrl_dsl.lowering.cost import count_parameters

    state = program.examples()[0]
    networks = {
        name: tree for name, tree in state.items() if isinstance(tree, dict) and any(map(_is_network, tree.values()))
    }
    rows = [(name, f"{count_parameters(tree):,}") for name, tree in networks.items()]
    return _table("parameters of each network", [(name, number.rjust(12)) for name, number in rows])


def _is_network(group: Any) -> bool:
    """Networks hold matrices; ranges and priorities do not."""
    import jax

    return isinstance(group, dict) and any(leaf.ndim > 1 for leaf in jax.tree.leaves(group))


def _passes(applied: Sequence[Applied], flops: tuple[int, int]) -> str:
    """One line per pass, and one for the matrix products before and after all passes."""
    rows = [(a.name, _change(a.nodes_before, a.nodes_after, str) + " nodes", f"{a.changed} changed") for a in applied]
    before, after = flops
    share = f"{abs(after - before) / max(before, 1):.1%} {'more' if after > before else 'fewer'}" if after != before else ""
    rows.append(("total", _change(before, after, lambda number: human(number, "flop")), share))
    return _table("passes over the step", rows)


def _change(before: int, after: int, shown: Callable[[int], str]) -> str:
    """``74 -> 73``; an unchanged number is shown once."""
    return shown(before) if before == after else f"{shown(before)} -> {shown(after)}"


def _rollout(program: Any) -> list[str]:
    """The fields of a transition, where batches are parts of a rollout: stored as it is taken, or derived from it."""
    if not program.data.updates:
        return []
    stored = {name: field.shape(program.axis_sizes) for name, field in program.data.stored.items()}
    derived = {name: shape.shape[1:] for name, shape in program.batch_shapes().items() if name not in stored}
    rows = [(name, shape, "stored") for name, shape in stored.items()]
    rows += [(name, shape, "derived from the rollout") for name, shape in derived.items()]
    cells = [(name, str([*shape]), f"{_NUMBER * prod(shape):,} bytes", how) for name, shape, how in rows]
    total = ("all", "", f"{sum(_NUMBER * prod(shape) for _, shape, _ in rows):,} bytes", "")
    return [_table(f"one of the {program.data.capacity:,} transitions of a rollout", [*cells, total])]


def _cost(program: Any, flops: int) -> str:
    return _table("one update", [("matrix products", human(flops, "flop")), *_measure(program)])


def _measure(program: Any) -> Iterator[tuple[str, str]]:
    import jax

    from flowrl_dsl.lowering.cost import count_bytes, host_callbacks

    state, batch, hyper = program.examples()
    start = time.perf_counter()
    executable = program.jit_step.lower(state, batch, hyper).compile()
    seconds = time.perf_counter() - start
    memory = executable.memory_analysis()
    yield "state", human(count_bytes(state), "B") + f", {human(memory.alias_size_in_bytes, 'B')} updated in place"
    yield "working memory", human(memory.temp_size_in_bytes, "B")
    yield "compiled in", f"{seconds:.1f} s on {jax.default_backend()}"
    callbacks = host_callbacks(jax.make_jaxpr(program.jit_step)(state, batch, hyper).jaxpr)
    modules = len(executable.runtime_executable().hlo_modules())
    yield "executables", f"{modules}, host callbacks {len(callbacks)}"
