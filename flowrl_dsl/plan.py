"""The plan that ``flowrl-dsl compile`` prints, as text or JSON: components, settings with origins, cost of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class PhasePlan:
    """A phase: its updates are those from ``first`` on, to ``last`` where its length is known."""

    name: str
    order: str
    first: int
    last: int | None
    steps: int | None
    begin: str


@dataclass(frozen=True)
class Setting:
    """An option by its path, its text, and the place that sets it, such as ``qsm.flowrl:12`` or ``default``."""

    path: str
    value: str
    origin: str


@dataclass(frozen=True)
class Cost:
    """What one compiled update needs; sizes in bytes, operations of its matrix products before and after the passes."""

    flops_before: int
    flops: int
    state: int
    updated_in_place: int
    working_memory: int
    compile_seconds: float
    backend: str
    executables: int
    host_callbacks: int


@dataclass(frozen=True)
class Field:
    """A field of a transition of a rollout, stored as it is taken or derived from the rollout; ``size`` in bytes."""

    name: str
    shape: tuple[int, ...]
    size: int
    stored: bool


@dataclass(frozen=True)
class Plan:
    """What a spec compiles to, for a task or without one; ``phases`` and ``rollout`` are empty for specs without them."""

    name: str
    title: str
    paper: str
    task: str | None
    observations: int
    actions: int
    chunk: int
    taxonomy: dict[str, str]
    order: str
    phases: tuple[PhasePlan, ...]
    settings: tuple[Setting, ...]
    parameters: dict[str, int]
    passes: tuple[Applied, ...]
    update: Cost
    transitions: int
    rollout: tuple[Field, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def text(self) -> str:
        """For a terminal."""
        return "\n\n".join([*_shown(self)]) + "\n"


def plan(algorithm: Algorithm, program: Any, applied: Sequence[Applied], flops: tuple[int, int], task: str | None) -> Plan:
    """The plan of a program; compiles its step to measure it.

    ``flops`` are those of the matrix products of the step, before the passes and after them.
    """
    return Plan(
        name=algorithm.name,
        title=algorithm.title or "",
        paper=algorithm.paper or "",
        task=task,
        observations=program.obs_size,
        actions=program.action_size,
        chunk=program.chunk,
        taxonomy=_taxonomy(algorithm),
        order=show_stage(algorithm.order),
        phases=tuple(_phases(algorithm)),
        settings=tuple(Setting(path, of.text, _source(of)) for path, of in sorted(algorithm.origins.items())),
        parameters=_parameters(program),
        passes=tuple(applied),
        update=_cost(program, flops),
        transitions=program.data.capacity,
        rollout=_rollout(program),
    )


def _taxonomy(algorithm: Algorithm) -> dict[str, str]:
    policy: Any = algorithm.sections["policy"]
    act: Any = algorithm.sections.get("act")
    critic: Any = algorithm.sections.get("critic")
    found = {
        "regime": algorithm.regime.name,
        "backbone": policy.backbone.name,
        "sampler": policy.sampler.name if policy.sampler else "none",
        "policy improvement": " + ".join(block.mechanism.name for block in algorithm.improvements),
    }
    if critic is not None:
        found["critic"] = f"{critic.kind.name}, ensemble of {critic.ensemble}"
    if act is not None:
        found |= {"explore": _drawn(act.explore), "evaluate": _drawn(act.evaluate)}
    return found


def _drawn(drawn: Any) -> str:
    return f"{drawn.value.name} from {drawn.source}"


def _phases(algorithm: Algorithm) -> Iterator[PhasePlan]:
    for phase, start in zip(algorithm.phases, starts(algorithm.phases), strict=True):
        last = None if phase.updates is None else start + phase.updates - 1
        begin = show_stage(Begin(phase.begin)) if phase.begin else ""
        yield PhasePlan(phase.name, show_stage(phase.order), start, last, phase.steps, begin)


def _source(origin: Origin) -> str:
    """``qsm.flowrl:12`` for a setting from a file; otherwise the source: ``default``, ``--set``, ``task "Hopper-v5"``."""
    if origin.span is None or not origin.source.endswith(".flowrl"):
        return origin.source
    return f"{Path(origin.source).name}:{origin.span.line}"


def _parameters(program: Any) -> dict[str, int]:
    """Parameters of each network; of the groups of the state, those are networks that hold matrices."""
    from flowrl_dsl.lowering.cost import count_parameters

    state = program.examples()[0]
    groups = {name: tree for name, tree in state.items() if isinstance(tree, dict) and any(map(_is_network, tree.values()))}
    return {name: count_parameters(tree) for name, tree in groups.items()}


def _is_network(group: Any) -> bool:
    """Networks hold matrices; ranges and priorities do not."""
    import jax

    return isinstance(group, dict) and any(leaf.ndim > 1 for leaf in jax.tree.leaves(group))


def _cost(program: Any, flops: tuple[int, int]) -> Cost:
    import jax

    from flowrl_dsl.lowering.cost import count_bytes, host_callbacks

    state, batch, hyper = program.examples()
    start = time.perf_counter()
    executable = program.jit_step.lower(state, batch, hyper).compile()
    seconds = time.perf_counter() - start
    memory = executable.memory_analysis()
    return Cost(
        *flops,
        state=count_bytes(state),
        updated_in_place=memory.alias_size_in_bytes,
        working_memory=memory.temp_size_in_bytes,
        compile_seconds=seconds,
        backend=jax.default_backend(),
        executables=len(executable.runtime_executable().hlo_modules()),
        host_callbacks=len(host_callbacks(jax.make_jaxpr(program.jit_step)(state, batch, hyper).jaxpr)),
    )


def _rollout(program: Any) -> tuple[Field, ...]:
    """The fields of a transition, where batches are parts of a rollout."""
    if not program.data.updates:
        return ()
    stored = {name: field.shape(program.axis_sizes) for name, field in program.data.stored.items()}
    derived = {name: shape.shape[1:] for name, shape in program.batch_shapes().items() if name not in stored}
    return tuple(Field(name, (*shape,), _NUMBER * prod(shape), name in stored) for name, shape in (stored | derived).items())


def _shown(of: Plan) -> Iterator[str]:
    """The parts of the text, each a title with its rows."""
    title = f' "{of.title}"' if of.title else ""
    paper = f"  {of.paper}" if of.paper else ""
    sizes = f"{of.observations} observations, {of.actions} actions"
    sizes += f" in chunks of {of.chunk} steps" if of.chunk > 1 else ""
    yield f"algorithm {of.name}{title}{paper}\n  {of.task or 'no task'}: {sizes}"
    yield _table("taxonomy", [*of.taxonomy.items()])
    yield _order_table(of) if of.phases else f"order of one update\n  {of.order}"
    yield _table("settings with their origins", [(one.path, one.value, one.origin) for one in of.settings])
    numbers = [(name, f"{number:,}".rjust(12)) for name, number in of.parameters.items()]
    yield _table("parameters of each network", numbers)
    yield _pass_table(of.passes, (of.update.flops_before, of.update.flops))
    yield _cost_table(of.update)
    if of.rollout:
        rows = [(one.name, str([*one.shape]), f"{one.size:,} bytes", _how(one)) for one in of.rollout]
        total = ("all", "", f"{sum(one.size for one in of.rollout):,} bytes", "")
        yield _table(f"one of the {of.transitions:,} transitions of a rollout", [*rows, total])


def _how(field: Field) -> str:
    return "stored" if field.stored else "derived from the rollout"


def _table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join([title, *(f"  {line}" for line in aligned(rows))])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows of a table as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _order_table(of: Plan) -> str:
    rows = []
    for number, phase in enumerate(of.phases, start=1):
        last = " on" if phase.last is None else f" to {phase.last:,}"
        acting = "" if phase.steps is None else f", {phase.steps:,} environment steps"
        begin = f"begin {phase.begin}" if phase.begin else ""
        rows.append((f"{number} {phase.name}", f"updates {phase.first:,}{last}{acting}", phase.order, begin))
    return _table("order of one update, by phase", rows)


def _pass_table(applied: Sequence[Applied], flops: tuple[int, int]) -> str:
    """One line per pass, and one for the matrix products before and after all passes."""
    rows = [(a.name, _change(a.nodes_before, a.nodes_after, str) + " nodes", f"{a.changed} changed") for a in applied]
    before, after = flops
    share = f"{abs(after - before) / max(before, 1):.1%} {'more' if after > before else 'fewer'}" if after != before else ""
    rows.append(("total", _change(before, after, lambda number: human(number, "flop")), share))
    return _table("passes over the step", rows)


def _change(before: int, after: int, shown: Callable[[int], str]) -> str:
    """``74 -> 73``; an unchanged number is shown once."""
    return shown(before) if before == after else f"{shown(before)} -> {shown(after)}"


def _cost_table(cost: Cost) -> str:
    rows = [
        ("matrix products", human(cost.flops, "flop")),
        ("state", f"{human(cost.state, 'B')}, {human(cost.updated_in_place, 'B')} updated in place"),
        ("working memory", human(cost.working_memory, "B")),
        ("compiled in", f"{cost.compile_seconds:.1f} s on {cost.backend}"),
        ("executables", f"{cost.executables}, host callbacks {cost.host_callbacks}"),
    ]
    return _table("one update", rows)
