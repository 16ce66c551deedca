"""The driver of a suite: what remains to be run, and what each ended run adds to the store.

Nothing is kept in the driver: a run that has ended has its outcome in its folder, and the store has it a moment later.  A
driver that is killed at any moment and started again finds both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowrl_dsl.reading import Unreadable
from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.claims import Lock
from flowrl_dsl.suites.attempts import CRASHED, DISK, Outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.executors.base import Executor
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.places import Home, Place
from flowrl_dsl.suites.results import FAILURES, FINISHED, Result, result_of
from flowrl_dsl.suites.scores import placed
from flowrl_dsl.suites.store import Store

LOCK = "suite.lock"
_SHOWN = 5
_LONGEST_SEEDS = 40
"""Letters of the seeds in the name of a population's folder."""


@dataclass
class Progress:
    """Lines on the terminal: how many runs have ended, and the time left at the pace so far; and those without a result."""

    total: int
    done: int = 0
    errors: list[tuple[Job, Outcome]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def line(self, job: Job, text: str) -> str:
        self.done += 1
        left = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        return f"{self.done}/{self.total} {job}: {text}; {duration(left)} left"


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.4 h``, ``2.1 days``."""
    for size, name in ((86400.0, "days"), (3600.0, "h")):
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


class Driver:
    """Runs the jobs of a suite and adds their results to a store; their files are at ``home``, by default in ``root``."""

    def __init__(self, root: Path, store: Store, home: Home | None = None):
        self.root, self.store, self.home = root, store, home or Home(root)

    def run(self, jobs: Sequence[Job], executor: Executor, population: bool = False) -> None:
        """Execute what the store does not have.  Raises FRL0502 where a disk is full, FRL0503 where runs could not end.

        A run that ends in values that are not finite is a result, and the suite goes on.  ``population``: runs that differ
        in their seeds alone are trained side by side, in one process with one program.
        """
        with files.disk(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        with Lock(self.root / LOCK):
            pending = self._pending(jobs)
            print(f"{len(jobs)} runs, of which {len(jobs) - len(pending)} are in {self.store.path}", flush=True)
            units = self._populations(pending) if population else {self._prepared(job): [job] for job in pending}
            progress = Progress(len(pending))
            executor.execute([*units], lambda folder, outcome: self._ended(units[folder], outcome, progress))
        self._raise(progress.errors)

    def _pending(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs without a result; those that ended while no driver watched are added to the store first."""
        known = self.store.counted()
        unknown = [job for job in jobs if job.question not in known]
        ended = {job: outcome for job in unknown if (outcome := self.home.outcome(job.folder)) is not None}
        found = [result_of(job, self.home.run(job.folder), o.status) for job, o in ended.items() if _is_result(o)]
        self.store.add(found)
        recorded = {result.question for result in found}
        return [job for job in unknown if job.question not in recorded]

    def folder(self, job: Job) -> Path:
        """The folder of a job, as a path that is the same on every machine that shares it."""
        return self.home.folder(job.folder)

    def _prepared(self, job: Job) -> Place:
        """The place of a job, ready for an attempt: an earlier one that did not end in a result is forgotten."""
        ask = job.question
        said = {"spec": job.path, "task": ask.task, "seed": ask.seed, "sets": job.sets}
        said |= {} if job.data is None else {"data": job.data.source, "sha256": job.data.sha256}
        return self.home.begin(job.folder, said)

    def _populations(self, jobs: Sequence[Job]) -> dict[Place, list[Job]]:
        """The places of populations, each with its members; a run without another one of its kind has its own place."""
        kinds: dict[object, list[Job]] = {}
        for job in jobs:
            kinds.setdefault((job.population, job.path, job.sets), []).append(job)
        return dict(self._population(members) for members in kinds.values())

    def _population(self, members: list[Job]) -> tuple[Place, list[Job]]:
        places = [self._prepared(job) for job in members]
        if len(members) == 1:
            return places[0], members
        seeds = "-".join(str(job.question.seed) for job in members)
        name = f"{members[0].population}-seeds{seeds if len(seeds) < _LONGEST_SEEDS else len(members)}"
        return self.home.begin_together(name, {f"seed{job.question.seed}": job.folder for job in members}), members

    def _ended(self, jobs: Sequence[Job], outcome: Outcome, progress: Progress) -> bool:
        """Record the runs of a folder that have ended; false where no other can be recorded either."""
        if len(jobs) == 1:
            return self._recorded(jobs[0], outcome, progress)
        # an error of the whole population is no result of any member
        rest = Outcome(CRASHED, f"{outcome.status} {outcome.message}") if _is_result(outcome) else outcome
        found = [self._recorded(job, self.home.outcome(job.folder) or rest, progress) for job in jobs]
        return all(found)

    def _recorded(self, job: Job, outcome: Outcome, progress: Progress) -> bool:
        if not _is_result(outcome):
            progress.errors.append((job, outcome))
            print(progress.line(job, f"not finished: {outcome.status} {outcome.message}".rstrip()), flush=True)
            return outcome.status != DISK
        result = result_of(job, self.home.run(job.folder), outcome.status)
        self.store.add([result])
        print(progress.line(job, _summary(result)), flush=True)
        return True

    def _raise(self, errors: Sequence[tuple[Job, Outcome]]) -> None:
        if any(outcome.status == DISK for _, outcome in errors):
            hint = "no result is lost: free some space, and give the command again to go on from the checkpoints"
            raise SuiteError("FRL0502", f"a run could not write its folder below {self.root}", hint)
        if errors:
            notes = [f"{job}: {o.status} {o.message}".rstrip() for job, o in errors[:_SHOWN]]
            more = len(errors) - _SHOWN
            notes += [f"and {more} more"] if more > 0 else []
            raise SuiteError("FRL0503", f"{len(errors)} runs did not end", *notes, f"logs are below {self.home.where}")


def _is_result(outcome: Outcome) -> bool:
    return outcome.status == FINISHED or outcome.status in FAILURES


def _summary(result: Result) -> str:
    if result.failed:
        return f"failed with {result.outcome}, which is recorded"
    return f"return {result.evaluations[-1].return_mean:.1f}" if result.evaluations else "without an evaluation"


@dataclass(frozen=True)
class State:
    """How far one run is: ``finished``, ``failed``, ``begun`` (with its last recorded step) or ``waiting``."""

    job: Job
    what: str
    step: int = 0

    def as_json(self) -> dict[str, Any]:
        """The run by spec, task and seed, its state, and its step where it has begun."""
        ask = self.job.question
        place = {"spec": self.job.label, "task": ask.task, "seed": ask.seed}
        place |= {} if self.job.data is None else {"data": self.job.data.name}
        return {**place, "state": self.what, "step": self.step, "steps": ask.steps}


def states(jobs: Sequence[Job], driver: Driver) -> list[State]:
    """How far every run of a suite is."""
    known = driver.store.counted()
    return [_state(job, known.get(job.question), driver.home) for job in placed(jobs, known)]


def status(jobs: Sequence[Job], driver: Driver) -> str:
    """How many runs are finished, failed, begun and waiting; those that have begun or failed one by one."""
    found = states(jobs, driver)
    counts = {what: sum(state.what == what for state in found) for what in ("finished", "failed", "begun", "waiting")}
    lines = [f"{len(found)} runs: {', '.join(f'{count} {what}' for what, count in counts.items())}"]
    lines += [f"failed: {state.job}" for state in found if state.what == "failed"]
    begun = (state for state in found if state.what == "begun")
    lines += [f"begun: {one.job}, step {one.step} of {one.job.question.steps}" for one in begun]
    return "\n".join(lines)


def _state(job: Job, result: Result | None, home: Home) -> State:
    if result is not None:
        return State(job, "failed" if result.failed else "finished", job.question.steps)
    run = home.begun(job.folder)
    return State(job, "waiting") if run is None else State(job, "begun", _step(run))


def _step(run: Path) -> int:
    """The step of the newest record."""
    from flowrl_dsl.diagnostics import DiagnosticError
    from flowrl_dsl.runtime.logs import RunFolder

    try:
        return max((int(record["step"]) for record in RunFolder(run).records()), default=0)
    except (DiagnosticError, Unreadable):
        return 0


def missing(jobs: Sequence[Job]) -> Mapping[str, str]:
    """What of a suite cannot run here, each with the reason: tasks that cannot be made, data sets that are not here, and
    algorithms for which the suite names none.
    """
    from flowrl_dsl.diagnostics import DiagnosticError
    from flowrl_dsl.runtime.worlds import catalogue

    found = {}
    for task in dict.fromkeys(job.question.task for job in jobs):
        try:
            catalogue.sizes(task)
        except DiagnosticError as error:
            found[task] = error.diagnostics[0].message
    for job in jobs:
        if job.data is not None and job.data.missing:
            found[job.data.name] = job.data.missing
        elif job.data is None and job.needs_data:
            found[job.label] = 'FRL0464 it learns from a data set, and the suite names none: data = "SOURCE"'
    return found


def cures(jobs: Sequence[Job]) -> list[str]:
    """What makes the data sets that are not here, each way once."""
    return list(dict.fromkeys(job.data.cure for job in jobs if job.data is not None and job.data.missing))


def possible(jobs: Sequence[Job], absent: Mapping[str, str]) -> list[Job]:
    """The jobs that can run here."""

    def parts(job: Job) -> set[str]:
        return {job.question.task, job.label} | ({job.data.name} if job.data is not None else set())

    return [job for job in jobs if not parts(job) & absent.keys()]


def check_runnable(jobs: Sequence[Job]) -> None:
    """Raise FRL0506 where a part of the suite cannot run here."""
    found = missing(jobs)
    if found:
        message = f"{len(found)} parts of the suite cannot run here"
        hint = "install or make what is missing, or choose others with --tasks, --specs and --data"
        raise SuiteError("FRL0506", message, *map(": ".join, found.items()), *cures(jobs), hint)
