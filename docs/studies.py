"""Shared by the scripts of this folder that are users of a suite: its jobs, and their results in a committed file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import median

from records import OUTDATED, table

from flowrl_dsl.runtime.curves import Curve, Series, curves_of
from flowrl_dsl.suites import exchange
from flowrl_dsl.suites.jobs import Job, Question
from flowrl_dsl.suites.results import Result, first_recorded
from flowrl_dsl.suites.scores import placed
from flowrl_dsl.suites.store import Store


def run_suite(
    suite: str,
    home: Path,
    records: Path,
    words: Iterable[str],
    env: dict[str, str] | None = None,
    borrowed: Iterable[Result] = (),
) -> None:
    """Run what the results of a file lack, in a store that begins with them; the file gets the new ones.

    ``words`` choose a part of the suite, and how many run at a time.  ``borrowed`` are results of another study, which are
    not run again and which the file does not get.
    """
    store = Store(home / "results.sqlite")
    own, others = recorded(records), list(borrowed)
    store.add([*own, *others])
    command = [sys.executable, "-m", "flowrl_dsl", "suite", "run", suite, "--out", str(home), *words]
    try:
        subprocess.run(command, env=env, check=False)
    finally:
        elsewhere = {one.question for one in others} - {one.question for one in own}
        exchange.write([one for one in store.results() if one.question not in elsewhere], records)


def recorded(records: Path) -> list[Result]:
    """The results of a file; none where the study has not begun."""
    return list(exchange.read(records)) if records.exists() else []


class Study:
    """The jobs of the suite, and the results of a file: each job's own, or the latest one of an earlier form of its spec."""

    def __init__(self, jobs: Iterable[Job], results: Iterable[Result]):
        kept = list(results)
        self._found = first_recorded(kept)
        self.jobs = placed(list(jobs), self._found)
        self._of_any_form = {_without_form(one.spec, one.sets, one.question): one for one in kept}

    @property
    def specs(self) -> list[str]:
        """The names of specs in tables, with the group where two groups train one."""
        return list(dict.fromkeys(job.label for job in self.jobs))

    @property
    def tasks(self) -> list[str]:
        return list(dict.fromkeys(job.question.task for job in self.jobs))

    @cached_property
    def complete(self) -> list[str]:
        """The tasks on which every job has a result.  The pages show these; records of others are there to be added to."""
        missing = {job.question.task for job in self.jobs if self.shown(job) is None}
        return [task for task in self.tasks if task not in missing]

    def of(self, spec: str, place: str | None = None) -> list[Job]:
        """The jobs of a spec, at one place (a task, of a suite with data sets with one of them) or all."""
        return [job for job in self.jobs if job.label == spec and place in (None, job.place)]

    def shown(self, job: Job) -> Result | None:
        """The result of a job, or the latest one of an earlier form; None if there is neither."""
        return self._found.get(job.question) or self._of_any_form.get(_without_form(job.spec, job.sets, job.question))

    def is_outdated(self, job: Job) -> bool:
        """Whether only an earlier form of the spec has a result."""
        return job.question not in self._found and self.shown(job) is not None

    def marked(self, spec: str, task: str | None = None) -> str:
        """The name of a spec, marked where some of its results, on one task or all, are of an earlier form."""
        jobs = (job for job in self.of(spec) if task in (None, job.question.task))
        return f"{spec} {OUTDATED}" if any(map(self.is_outdated, jobs)) else spec

    @cached_property
    def curves(self) -> dict[tuple[str, str], Curve]:
        """The learning curve of each spec at each place with a result."""
        found = ((job, self.shown(job)) for job in self.jobs)
        drawn = curves_of([_evaluations(job, result) for job, result in found if result is not None])
        return {(curve.spec, curve.task): curve for curve in drawn}

    def returns(self, specs: Iterable[str], tasks: Iterable[str]) -> str:
        """Final inter-quartile means with intervals, one row per spec and one column per task."""
        columns = list(tasks)
        return table(["spec", *columns], [[self.marked(spec), *(self.final(spec, t) for t in columns)] for spec in specs])

    def final(self, spec: str, task: str) -> str:
        """The final inter-quartile mean over seeds and its interval, or how many seeds there are yet."""
        curve = self.curves.get((spec, task))
        if curve is None:
            return "not run"
        if curve.seeds < len(self.of(spec, task)):
            return f"{curve.center[-1]:.1f} (seeds: {curve.seeds})"
        return f"{curve.center[-1]:.1f} [{curve.low[-1]:.1f}, {curve.high[-1]:.1f}]"

    def seconds(self, spec: str, task: str, step: int) -> float:
        """The median over runs of the seconds of training until the evaluation at a step."""
        found = [result for job in self.of(spec, task) if (result := self.shown(job))]
        return median(next(e.seconds or 0.0 for e in result.evaluations if e.step == step) for result in found)


def _without_form(spec: str, sets: tuple[str, ...], question: Question) -> tuple[str, tuple[str, ...], Question]:
    return spec, sets, replace(question, algorithm="")


def _evaluations(job: Job, result: Result) -> Series:
    values = {one.step: (one.return_mean, one.return_std or 0.0) for one in result.evaluations}
    return Series(result.place, job.label, (), values)
