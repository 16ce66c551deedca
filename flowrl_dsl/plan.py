"""The plan that ``flowrl-dsl compile`` prints: what a spec turned into, where each setting came from, what a step costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrl_dsl.algorithm import Algorithm, Origin, show_stage

_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


def human(value: float, unit: str = "") -> str:
    """``2.15 G``; three digits."""
    for prefix, size in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


@dataclass(frozen=True)
class Saving:
    """What one pass did to the step: nodes, and floating-point operations of the matrix products, before and after."""

    name: str
    nodes_before: int
    nodes_after: int
    flops_before: int
    flops_after: int


def plan(algorithm: Algorithm, program: Any, savings: Sequence[Saving], task: str | None) -> str:
    """The plan of a program; compiles its step to measure it."""
    sections = [
        _heading(algorithm, program, task),
        _axes(algorithm),
        "order of one update\n  " + show_stage(algorithm.order),
        _settings(algorithm),
        _networks(program),
        _passes(savings),
        _cost(program),
    ]
    return "\n\n".join(sections) + "\n"


def _heading(algorithm: Algorithm, program: Any, task: str | None) -> str:
    title = f' "{algorithm.title}"' if algorithm.title else ""
    paper = f"  {algorithm.paper}" if algorithm.paper else ""
    where = task or "no task named"
    sizes = f"{program.obs_size} observations, {program.action_size} actions"
    return f"algorithm {algorithm.name}{title}{paper}\n  {where}: {sizes}"


def _table(title: str, rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *lines])


def _axes(algorithm: Algorithm) -> str:
    policy: Any = algorithm.sections["policy"]
    act: Any = algorithm.sections.get("act")
    critic: Any = algorithm.sections.get("critic")
    mechanisms = " + ".join(block.mechanism.name for block in algorithm.improvements)
    rows = [("regime", algorithm.regime.name), ("backbone", policy.backbone.name)]
    rows.append(("sampler", policy.sampler.name if policy.sampler else "one step"))
    rows.append(("policy improvement", mechanisms))
    if critic is not None:
        rows.append(("critic", f"{critic.kind.name}, ensemble of {critic.ensemble}"))
    if act is not None:
        rows.append(("explore", _drawn(act.explore)))
        rows.append(("evaluate", _drawn(act.evaluate)))
    return _table("taxonomy", rows)


def _drawn(drawn: Any) -> str:
    return f"{drawn.value.name} from {drawn.source}"


def _settings(algorithm: Algorithm) -> str:
    rows = [(path, origin.text, _source(origin)) for path, origin in sorted(algorithm.origins.items())]
    return _table("settings, and where each came from", rows)


def _source(origin: Origin) -> str:
    """``qsm.flowrl:12`` for what a file says; else as it is: ``default``, ``--set``, ``task "Hopper-v5"``."""
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


def _passes(savings: Sequence[Saving]) -> str:
    rows = [(one.name, *_saved(one)) for one in savings]
    if len(savings) > 1:
        first, last = savings[0], savings[-1]
        whole = Saving("together", first.nodes_before, last.nodes_after, first.flops_before, last.flops_after)
        rows.append((whole.name, *_saved(whole)))
    return _table("passes over the step", rows or [("none",)])


def _saved(one: Saving) -> tuple[str, str, str]:
    """``74 -> 73 nodes``, ``28.3 Mflop -> 9.1 Mflop``, ``68% fewer``; a number that stayed is shown once."""
    nodes = _change(one.nodes_before, one.nodes_after, str) + " nodes"
    flops = _change(one.flops_before, one.flops_after, lambda number: human(number, "flop"))
    change = (one.flops_after - one.flops_before) / max(one.flops_before, 1)
    return nodes, flops, f"{abs(change):.1%} {'more' if change > 0 else 'fewer'}" if change else ""


def _change(before: int, after: int, shown: Callable[[int], str]) -> str:
    return shown(before) if before == after else f"{shown(before)} -> {shown(after)}"


def _cost(program: Any) -> str:
    return _table("one update", list(_measure(program)))


def _measure(program: Any) -> Iterator[tuple[str, str]]:
    import jax

    from flowrl_dsl.lowering.cost import count_bytes, host_callbacks, matrix_product_flops

    state, batch, hyper = program.examples()
    yield "matrix products", human(matrix_product_flops(program.jit_step, state, batch, hyper), "flop")
    start = time.perf_counter()
    executable = program.jit_step.lower(state, batch, hyper).compile()
    seconds = time.perf_counter() - start
    memory = executable.memory_analysis()
    yield "state", human(count_bytes(state), "B") + f", {human(memory.alias_size_in_bytes, 'B')} of it updated in place"
    yield "working memory", human(memory.temp_size_in_bytes, "B")
    yield "compiled in", f"{seconds:.1f} s on {jax.default_backend()}"
    callbacks = host_callbacks(jax.make_jaxpr(program.jit_step)(state, batch, hyper).jaxpr)
    modules = len(executable.runtime_executable().hlo_modules())
    yield "executables", f"{modules}, host callbacks {len(callbacks)}"
