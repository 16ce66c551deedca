"""From the store to scores: the curves of every run of a suite on common steps, with failed runs in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flowrl_dsl.suites.data_sets import digests_by_name
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Job, Question
from flowrl_dsl.suites.references import Reference, reference_of
from flowrl_dsl.suites.results import Result
from flowrl_dsl.suites.statistics import Scores, area, held, normalized


@dataclass(frozen=True)
class TaskRuns:
    """The runs of one spec on one task, of one data set where there are any: returns and seconds [N, P] at ``steps`` [P].

    A run that failed counts from its end on as one whose policy acts at random: nothing that it learned is left.
    """

    label: str
    task: str
    steps: np.ndarray
    returns: np.ndarray
    seconds: np.ndarray
    failures: int
    expected: int
    """The runs that the suite has, of which N have ended."""
    updates_per_second: float
    reference: Reference | None

    @property
    def count(self) -> int:
        return len(self.returns)

    @cached_property
    def scores(self) -> np.ndarray:
        """Normalised returns [N, P]; only for tasks with a reference."""
        assert self.reference is not None
        return normalized(self.returns, self.reference.random, self.reference.reference)

    @property
    def final(self) -> np.ndarray:
        """The scores [N] of the last evaluation, that of the final policy."""
        return self.scores[:, -1]

    @property
    def areas(self) -> np.ndarray:
        """The areas [N] under the curves of scores, each divided by its length: its mean height."""
        return np.array([area(self.steps, run) for run in self.scores])

    def at_shares(self, grid: np.ndarray) -> np.ndarray:
        """Scores [N, G] at these shares of the steps; 0, the score of random actions, before the first evaluation."""
        return np.stack([held(self.steps / self.steps[-1], run, grid, 0.0) for run in self.scores])

    def at_seconds(self, grid: np.ndarray) -> np.ndarray:
        """Scores [N, G] after these seconds of training; a run that has ended keeps its last one."""
        pairs = zip(self.seconds, self.scores, strict=True)
        return np.stack([held(seconds, run, grid, 0.0) for seconds, run in pairs])


Measured = dict[str, list[TaskRuns]]
"""By the label of the spec, its tasks."""


def measured(jobs: Sequence[Job], counted: Mapping[Question, Result]) -> Measured:
    """The runs of a suite that have ended.  Raises FRL0504 where there are none."""
    worst = _worst(counted)
    found: Measured = {}
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in placed(jobs, counted):
        groups.setdefault((job.label, job.place), []).append(job)
    for (label, _), own in groups.items():
        results = [counted[job.question] for job in own if job.question in counted]
        if results:
            lowest = worst.get(own[0].question.task, 0.0)
            found.setdefault(label, []).append(_task_runs(label, own, results, lowest))
    if not found:
        hint = "run it, import results, or name the store and the budget that it was run with"
        raise SuiteError("FRL0504", "the store has no result of this suite with this budget", hint)
    return found


def placed(jobs: Sequence[Job], counted: Mapping[Question, Result]) -> list[Job]:
    """The jobs, those whose data set is not on this machine with the digest that its name has in the store, if any."""
    known = digests_by_name(counted)

    def of(job: Job) -> Job:
        if job.data is None or job.data.sha256 or job.data.name not in known:
            return job
        return replace(job, question=replace(job.question, data=known[job.data.name]))

    return [of(job) for job in jobs]


def scale_of(job: Job) -> Reference | None:
    """The references of a job: those of its data set where that has any, otherwise those of its task."""
    if job.data is not None and job.data.reference is not None:
        return Reference(*job.data.reference, f"those of the data set {job.data.name}")
    return reference_of(job.question.task)


def _worst(counted: Mapping[Question, Result]) -> dict[str, float]:
    """The lowest return of each task, which a failed run gets where no random actions were measured."""
    lowest: dict[str, float] = {}
    for result in counted.values():
        for one in result.evaluations:
            lowest[result.question.task] = min(lowest.get(result.question.task, np.inf), one.return_mean)
    return lowest


def _task_runs(label: str, jobs: Sequence[Job], results: Sequence[Result], worst: float) -> TaskRuns:
    ask = jobs[0].question
    reference = scale_of(jobs[0])
    steps = np.arange(ask.evaluate_every, ask.steps + 1, ask.evaluate_every)
    if not len(steps) or steps[-1] < ask.steps:
        steps = np.append(steps, ask.steps)
    filler = worst if reference is None else reference.random
    curves = [_curve(result, steps, filler) for result in results]
    returns, seconds = (np.stack(part) for part in zip(*curves, strict=True))
    rates = [result.updates_per_second for result in results if result.updates_per_second]
    rate = float(np.median(rates)) if rates else np.nan
    failures = sum(result.failed for result in results)
    return TaskRuns(label, jobs[0].place, steps, returns, seconds, failures, len(jobs), rate, reference)


def _curve(result: Result, steps: np.ndarray, filler: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns and seconds [P] at the steps: the last evaluation so far, and of a failed run the filler behind its last."""
    at = np.array([one.step for one in result.evaluations])
    if not len(at):
        return np.full(len(steps), filler), np.zeros(len(steps))
    returns = held(at, np.array([one.return_mean for one in result.evaluations]), steps, filler)
    known = np.array([one.seconds or 0.0 for one in result.evaluations])
    pace = known[-1] / at[-1]
    seconds = np.where(steps > at[-1], steps * pace, held(at, known, steps, 0.0))
    return np.where((steps > at[-1]) & result.failed, filler, returns), seconds


def with_reference(tasks: Sequence[TaskRuns]) -> list[TaskRuns]:
    """The tasks that have reference scores, over which scores are aggregated."""
    return [one for one in tasks if one.reference is not None]


def final_scores(tasks: Sequence[TaskRuns]) -> Scores:
    return [one.final for one in with_reference(tasks)]


def area_scores(tasks: Sequence[TaskRuns]) -> Scores:
    return [one.areas for one in with_reference(tasks)]
