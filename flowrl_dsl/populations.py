"""Populations (``train --seeds``, ``train --sweep``, ``resume``): many runs with one compiled program."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from flowrl_dsl import resuming, runs
from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.spec.scope import SET_FILE

if TYPE_CHECKING:
    from flowrl_dsl.data import DataSet
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.logs import RunFolder

_SEEDS = 2**31
_FILES_OF_A_MEMBER, _OTHER_FILES = 4, 64
"""Open files of one run (its lock, two journals, TensorBoard), and of the process besides."""

Sweep = Sequence[str]
"""The assignments to one name, one per value: ``temperature=0.03``, ``temperature=0.1``."""
Members = dict[str, tuple["RunFolder", runs.PreparedRun]]
"""The folder and the run of each member, by name."""


@dataclass(frozen=True)
class _Member:
    """One run of a population; its program differs from those of the others only in input numbers."""

    name: str
    arguments: runs.TrainArguments
    prepared: runs.PreparedRun


def check(arguments: runs.TrainArguments, seeds: int, sweeps: Sequence[Sweep]) -> None:
    """Raises ``ValueError`` for arguments that exclude each other."""
    names = [sweep[0].partition("=")[0] for sweep in sweeps]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"--sweep {twice[0]} is given twice; write all its values in one comma-separated list")
    if arguments.seed + seeds > _SEEDS:
        raise ValueError(f"--seed {arguments.seed} --seeds {seeds} exceeds the largest seed, {_SEEDS - 1}")
    if arguments.replaced.get("devices"):
        raise ValueError("--devices splits a single run; the runs of a population share a device")
    if arguments.wandb is not None:
        raise ValueError("--wandb only logs a single run; use TensorBoard on the folder of a population")


def train(arguments: runs.TrainArguments, seeds: int, sweeps: Sequence[Sweep]) -> None:
    """Train one run per seed, starting at ``arguments.seed``, and combination of swept values."""
    from flowrl_dsl.runtime import logs

    _allow_open_files(seeds * prod(map(len, sweeps)))
    members = list(_members(arguments, seeds, sweeps))
    _check_alike(members)
    first = members[0].prepared
    base, names = Path("runs"), [*(one.name for one in members), "population.json"]
    with logs.new_population(base, first.algorithm.name, arguments.task, arguments.out, names) as parent:
        folders = {one.name: runs.new_folder(replace(one.arguments, out=parent / one.name), one.prepared) for one in members}
        logs.write_members(parent, list(folders))
    _run(parent, first.program, {one.name: (folders[one.name], one.prepared) for one in members})


def _members(arguments: runs.TrainArguments, seeds: int, sweeps: Sequence[Sweep]) -> Iterator[_Member]:
    data = None
    for values in product(*sweeps):
        base = replace(arguments, sets=(*arguments.sets, *values))
        prepared = _prepare(base, len(arguments.sets), values, data)
        data = prepared.data
        for seed in range(arguments.seed, arguments.seed + seeds):
            one = replace(base, seed=seed)
            settings = replace(prepared.settings, seed=seed)
            yield _Member("_".join([*values, f"seed{seed}"]), one, replace(prepared, settings=settings))


def _prepare(arguments: runs.TrainArguments, before: int, values: Sequence[str], data: DataSet | None) -> runs.PreparedRun:
    """As ``runs.prepare``; an error in a swept value is reported with its ``--sweep`` argument."""
    try:
        return runs.prepare(arguments, data)
    except DiagnosticError as error:
        found = [
            replace(one, span=None, notes=(f"in --sweep {values[one.span.line - before - 1]}", *one.notes))
            if one.span is not None and one.span.file == SET_FILE and one.span.line > before
            else one
            for one in error.diagnostics
        ]
        raise DiagnosticError(found) from error


def _check_alike(members: Sequence[_Member]) -> None:
    first = members[0]
    for other in members[1:]:
        if not _alike(first.prepared, other.prepared):
            here, there = (" ".join(member.arguments.sets) for member in (first, other))
            hint = "only inputs of the program can be swept; start one run per value with --set"
            raise RunError("FRL0417", f'"{there}" compiles to another program than "{here}"', hint)


def _alike(one: runs.PreparedRun, two: runs.PreparedRun) -> bool:
    """Whether the two differ in nothing but their seeds and input numbers."""
    same = two.program is one.program or one.program.differs_in_numbers_alone(two.program)
    return same and replace(two.settings, seed=one.settings.seed) == one.settings


def resume(parent: Path, steps: int | None = None, restart: bool = False) -> None:
    """Resume all members from their last checkpoints and train them to the end; the options are those of one run."""
    from flowrl_dsl.runtime import logs

    folders = [logs.RunFolder(path) for path in logs.members(parent)]
    _allow_open_files(len(folders))
    members = {folder.path.name: (folder, resuming.prepare(folder, steps, restart)) for folder in folders}
    (first, prepared), *others = members.values()
    for folder, other in others:
        if not _alike(prepared, other):
            hint = "if a `resume --steps` was stopped, repeat it; other members are resumed one by one"
            raise RunError("FRL0411", f"{folder.path} and {first.path} are not members of one population", hint)
    _run(parent, prepared.program, members)


def _allow_open_files(members: int) -> None:
    """Raise the number of files that this process may open to what a population needs; FRL0427 where it may not."""
    needed = members * _FILES_OF_A_MEMBER + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        hint = f"`ulimit -n {needed}` allows as many, if the system does; or train fewer at a time"
        raise RunError("FRL0427", f"{members} runs need about {needed} open files, this process may have {hard}", hint)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _run(parent: Path, program: Program, members: Members) -> None:
    from flowrl_dsl.runtime.logs import quoted

    print(f"population of {len(members)} runs: {parent}\nif interrupted: flowrl-dsl resume {quoted(parent)}", flush=True)

    def finish(folders: Sequence[RunFolder]) -> None:
        drawn = _finish(folders)
        if drawn and runs.draw_curve(drawn, parent / "curve.png"):
            print(f"learning curve: {parent / 'curve.png'}")

    try:
        failures = advance(program, members, finish)
    except (Interrupted, KeyboardInterrupt):
        print(f"interrupted; resume with: flowrl-dsl resume {quoted(parent)}", flush=True)
        raise
    if failures:
        raise DiagnosticError(
            [replace(one, message=f"{name}: {one.message}") for name, error in failures.items() for one in error.diagnostics]
        )


def together(members: Members) -> dict[str, RunError]:
    """Train runs that differ in their seeds alone, each in its own folder and from wherever it stands, to their ends.

    Returns the errors of members that ended in values that are not finite; the others have finished.  Raises FRL0411 for
    runs that are not alike, and what :func:`flowrl_dsl.runtime.population.Population.run` does.
    """
    _allow_open_files(len(members))
    (first, prepared), *others = members.values()
    for folder, other in others:
        if not _alike(prepared, other):
            raise RunError("FRL0411", f"{folder.path} and {first.path} are not members of one population")
    return advance(prepared.program, members, _finish)


def advance(program: Program, members: Members, finish: Callable[[Sequence[RunFolder]], object]) -> dict[str, RunError]:
    """Train members with one program, and ``finish`` their folders while they are locked; returns errors by member."""
    import jax

    from flowrl_dsl.runtime.population import Population, SharedDisplay
    from flowrl_dsl.runtime.progress import display

    (folder, prepared), *_ = members.values()
    shared = SharedDisplay(display(f"{folder.said('spec')} on {prepared.settings.task}", prepared.settings.steps))
    with ExitStack() as locks:
        trainings = {}
        for name, (folder, prepared) in members.items():
            locks.enter_context(folder.locked())
            folder.change(prepared.changes)
            trainings[name] = prepared.training(folder, shared.of(name), program)
        population = Population(trainings, shared, joined=jax.default_backend() != "cpu")
        failures = population.run()
        finish([folder for folder, _ in members.values()])
    runs.print_means([(f, r) for name, (f, _) in members.items() if (r := trainings[name].result) is not None])
    return failures


def _finish(folders: Sequence[RunFolder]) -> list[Path]:
    """Write the files derived from the metrics; a member that stopped early may have no evaluation to plot.

    Returns the folders with a curve.
    """
    for folder in folders:
        folder.write_csv()
    drawn = [folder.path for folder in folders if any(record["kind"] == "eval" for record in folder.records())]
    for path in drawn:
        runs.draw_curve([path], path / "curve.png")
    return drawn
