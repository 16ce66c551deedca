"""The pipeline: text, tree, typed spec, update graphs, passes, program.  The only file that depends on every stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Diagnostics, did_you_mean
from flowrl_dsl.spec.load import Loader, located
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.suites.resolve import check_file, resolve_suite
from flowrl_dsl.spec.suites.suite import Suite

if TYPE_CHECKING:
    from flowrl_dsl.graph.nodes import Graph
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.passes import Applied
    from flowrl_dsl.plan import Plan
    from flowrl_dsl.record import Layout

DEFAULT_SIZES = (17, 6)
"""Observation and action sizes where no task is named: those of HalfCheetah."""


def check_files(paths: Iterable[str]) -> tuple[list[Diagnostic], dict[str, str]]:
    """All errors and warnings of all files, and the text of every file they point into."""
    found = Diagnostics()
    sources: dict[str, str] = {}
    for path in paths:
        resolution = check_file(path)
        found.extend(resolution.diagnostics)
        sources |= resolution.sources
    return found.found, sources


def resolve_or_raise(
    spec: str, task: str | None, sets: Sequence[str], data: str | None = None
) -> tuple[Algorithm, Resolution]:
    """The checked algorithm; raises ``DiagnosticError`` with every error otherwise."""
    resolution = resolve(spec, task=task, sets=sets, data=data)
    return algorithm_of(resolution), resolution


def holds_suite(path: str) -> bool:
    """Whether a file holds a suite; standard input, which can be read once, holds a spec."""
    file = None if path == "-" else Loader(Diagnostics()).file(located(path))
    return file is not None and file.suite is not None


def resolve_suite_or_raise(path: str) -> Suite:
    """The checked suite; raises ``DiagnosticError`` with every error otherwise."""
    resolution = resolve_suite(path)
    if resolution.suite is None:
        raise DiagnosticError(resolution.diagnostics.errors)
    return resolution.suite


def algorithm_of(resolution: Resolution) -> Algorithm:
    """The checked algorithm; raises ``DiagnosticError`` with every error otherwise."""
    resolution.diagnostics.raise_if_errors()
    if resolution.algorithm is None:
        raise DiagnosticError(resolution.diagnostics)
    return resolution.algorithm


@dataclass(frozen=True)
class Built:
    """Graphs after the passes, the defaults of the program's inputs, and what each pass did to the step."""

    graphs: dict[str, Graph]
    hyper: dict[str, float]
    applied: list[Applied]


def entries_named(algorithm: Algorithm) -> tuple[str, ...]:
    """The entries of dictionary observations that the sections of an algorithm name."""
    from flowrl_dsl.components.entries import named

    return tuple(named(algorithm))


def _observation(algorithm: Algorithm, observation: int | Layout) -> tuple[int, Layout | None]:
    """The size of an observation, and its entries where sections name some of them.

    Raises FRL0433 for an entry that the observation lacks, FRL0434 where it has no entries; without a task, the entries that
    sections name share its components.
    """
    from flowrl_dsl.components.entries import OPTION, named
    from flowrl_dsl.record import Layout
    from flowrl_dsl.runtime.errors import RunError

    found, task = named(algorithm), algorithm.task or "the task"
    if not found:
        return (observation.size if isinstance(observation, Layout) else observation), None
    place = algorithm.written(*(f"{owner}.{OPTION}" for owner in found.values()))
    if not isinstance(observation, Layout):
        if algorithm.task is None and observation >= len(found):
            return observation, Layout.split(tuple(found), observation)
        owner = next(iter(found.values()))
        message = f"{owner}.{OPTION} names an entry of the observation of {task}, which is one vector and no dictionary"
        raise RunError("FRL0434", message, f"leave it out: --set {owner}.{OPTION}=none", span=place)
    for name, owner in found.items():
        if name not in dict(observation.sizes):
            place = algorithm.written(f"{owner}.{OPTION}")
            hint = did_you_mean(name, observation.known)
            message = f'{task} has no entry "{name}" in its observations, which {owner}.{OPTION} names'
            raise RunError("FRL0433", message, f"its entries are {', '.join(observation.known)}", hint, span=place)
    return observation.size, observation


def build_graphs(
    algorithm: Algorithm,
    observation: int | Layout,
    action_size: int,
    passes: Sequence[str] | None = None,
    rows: int | None = None,
) -> Built:
    """The update graphs of an algorithm for a task of these sizes; ``observation`` is a size, or the entries that have one.

    ``passes`` None means all.  ``rows`` that are computed at once where a state has many actions; None for what suits
    processors.
    """
    from flowrl_dsl.components.data import chunk_of
    from flowrl_dsl.components.sizes import Sizes
    from flowrl_dsl.components.stages import held, program_graphs
    from flowrl_dsl.graph.verify import verify_together
    from flowrl_dsl.passes import ROWS, run_on_program

    regime: Any = algorithm.regime
    obs_size, layout = _observation(algorithm, observation)
    sizes = Sizes(obs_size, action_size * chunk_of(algorithm), layout=layout)
    graphs, hyper = program_graphs(algorithm, sizes, regime.fields(algorithm))
    graphs, applied = run_on_program(graphs, held(algorithm), passes, rows=ROWS if rows is None else rows)
    verify_together(graphs.values())
    return Built(graphs, hyper, applied)


def build_program(
    algorithm: Algorithm,
    observation: int | Layout,
    action_size: int,
    passes: Sequence[str] | None = None,
    rows: int | None = None,
    envs: int | None = None,
    capacity: int | None = None,
    data: bool = False,
) -> Program:
    """The program of an algorithm for a task of these sizes; the arguments up to ``rows`` as in :func:`build_graphs`.

    ``envs``, the environments stepped side by side, and ``capacity``, the steps that the source keeps, are the spec's where
    they are not given.  ``data``: batches are drawn from a data set, and from what training collects, if it does.
    """
    from flowrl_dsl.components.data import chunk_of
    from flowrl_dsl.lowering import lower
    from flowrl_dsl.lowering.program import Data

    built = build_graphs(algorithm, observation, action_size, passes, rows)
    obs_size, layout = _observation(algorithm, observation)
    train: Any = algorithm.sections["train"]
    regime: Any = algorithm.regime
    envs = train.envs if envs is None else envs
    source = regime.source(algorithm, envs, data)
    observe: Any = algorithm.sections["observe"]
    moments = observe.normalize is not None and observe.normalize.of_data
    kept = regime.capacity(algorithm, envs) if capacity is None else capacity
    updates = regime.settings(algorithm).get("updates", 0)
    of = Data(regime.stored(algorithm), source, kept, regime.batch(algorithm, envs), moments, updates)
    return lower(algorithm.name, built.graphs, built.hyper, of, (obs_size, action_size), chunk_of(algorithm), layout)


FOR_READING = ("cse", "dce")
"""The passes of a printed program: those after which it is shorter, and none that only makes it faster."""


def compile_report(spec: str, form: str, task: str | None, sets: Sequence[str], passes: Sequence[str] | None = None) -> str:
    """One of the forms that a spec takes on its way through the compiler with these passes, as text.

    ``passes`` None means all, and :data:`FOR_READING` where the form is Python.
    """
    algorithm, _ = resolve_or_raise(spec, task, sets)
    if form == "tree":
        from flowrl_dsl.syntax.parser import parse_file

        return _show_tree(parse_file(located(spec))[0])
    if form == "spec":
        from flowrl_dsl.spec.show import show

        return show(algorithm)
    sizes = task_sizes(task, algorithm)
    if form == "graph":
        from flowrl_dsl.graph.text import print_graph

        return "\n".join(print_graph(graph) for graph in build_graphs(algorithm, *sizes, passes).graphs.values())
    if form == "python":
        return _emit_python(algorithm, sizes, FOR_READING if passes is None else passes)
    program = build_program(algorithm, *sizes, passes)
    return program.step_jaxpr() if form == "jaxpr" else program.step_hlo()


def compile_plan(spec: str, task: str | None, sets: Sequence[str], passes: Sequence[str] | None = None) -> Plan:
    """What a spec compiles to with these passes; None means all."""
    from flowrl_dsl.lowering.cost import matrix_product_flops
    from flowrl_dsl.plan import plan

    algorithm, _ = resolve_or_raise(spec, task, sets)
    sizes = task_sizes(task, algorithm)
    program, straight = build_program(algorithm, *sizes, passes), build_program(algorithm, *sizes, ())
    before, after = (matrix_product_flops(p.jit_step, *p.examples()) for p in (straight, program))
    return plan(algorithm, program, build_graphs(algorithm, *sizes, passes).applied, (before, after), task)


def drawing(spec: str, task: str | None, sets: Sequence[str], passes: Sequence[str] | None = None) -> str:
    """The update of a spec by its stages as SVG: laid out by Graphviz where it is installed, else in columns.

    ``passes`` None means :data:`FOR_READING`.
    """
    from flowrl_dsl.graph.dot import laid_out
    from flowrl_dsl.graph.picture import picture
    from flowrl_dsl.graph.svg import svg

    algorithm, _ = resolve_or_raise(spec, task, sets)
    graphs = build_graphs(algorithm, *task_sizes(task, algorithm), FOR_READING if passes is None else passes).graphs
    found = picture(graphs["step"], f"{algorithm.name}: one update")
    return laid_out(found) or svg(found)


def task_sizes(task: str | None, algorithm: Algorithm | None = None) -> tuple[int | Layout, int]:
    """Components of an observation and of an action; :data:`DEFAULT_SIZES` where no task is named.

    Where sections of the algorithm name entries of dictionary observations, the entries with their sizes.
    """
    if task is None:
        return DEFAULT_SIZES
    from flowrl_dsl.runtime.worlds.catalogue import sizes

    return sizes(task, () if algorithm is None else entries_named(algorithm))


def _emit_python(algorithm: Algorithm, sizes: tuple[int | Layout, int], passes: Sequence[str]) -> str:
    from flowrl_dsl import __version__
    from flowrl_dsl.components.data import chunk_of
    from flowrl_dsl.lowering.emit import emit_python

    built = build_graphs(algorithm, *sizes, passes)
    title = f"{algorithm.title or algorithm.name} ({algorithm.paper})" if algorithm.paper else algorithm.title
    length = chunk_of(algorithm)
    many = f"; {length} of them are chosen at once, side by side" if length > 1 else ""
    about = f"Observations have {_observation(algorithm, sizes[0])[0]} components, actions {sizes[1]}{many}."
    return emit_python(title or algorithm.name, about, built.graphs, built.hyper, __version__)


def _show_tree(tree: object, depth: int = 0) -> str:
    """The syntax tree, one node a line, indented by depth."""
    from dataclasses import fields, is_dataclass

    pad = "  " * depth
    if is_dataclass(tree):
        plain, nested = [], []
        for field in fields(tree):
            value = getattr(tree, field.name)
            if field.name in ("span", "comments", "complete", "text"):
                continue
            if is_dataclass(value) or (isinstance(value, tuple) and value):
                nested.append(f"{pad}  {field.name}:\n{_show_tree(value, depth + 2)}")
            elif value not in (None, ()):
                plain.append(f"{field.name}={value!r}")
        return "\n".join([f"{pad}{type(tree).__name__} {' '.join(plain)}".rstrip(), *nested])
    if isinstance(tree, tuple):
        return "\n".join(_show_tree(item, depth) for item in tree)
    return f"{pad}{tree!r}"
