"""Shared by the scripts of this folder that are users of a suite: its jobs, and their results in a committed file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from records import OUTDATED

from flowrl_dsl.runtime.curves import Curve, Series, curves_of
from flowrl_dsl.suites.jobs import Job, Question
from flowrl_dsl.suites.results import Result, first_recorded
from flowrl_dsl.suites.scores import placed


class Study:
    """The jobs of the suite, and the results of a file: each job's own, or the latest one of an earlier form of its spec."""

    def __init__(self, jobs: Iterable[Job], results: Iterable[Result]):
        kept = list(results)
        self._found = first_recorded(kept)
        self.jobs = placed(list(jobs), self._found)
        self._of_any_form = {_without_form(one.spec, one.question): one for one in kept}

    def of(self, spec: str, place: str | None = None) -> list[Job]:
        """The jobs of a spec, at one place (a task, of a suite with data sets with one of them) or all."""
        return [job for job in self.jobs if job.spec == spec and place in (None, job.place)]

    def shown(self, job: Job) -> Result | None:
        """The result of a job, or the latest one of an earlier form; None if there is neither."""
        return self._found.get(job.question) or self._of_any_form.get(_without_form(job.spec, job.question))

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
        found = (self.shown(job) for job in self.jobs)
        drawn = curves_of([_evaluations(result) for result in found if result is not None])
        return {(curve.spec, curve.task): curve for curve in drawn}


def _without_form(spec: str, question: Question) -> tuple[str, Question]:
    return spec, replace(question, algorithm="")


def _evaluations(result: Result) -> Series:
    values = {one.step: (one.return_mean, one.return_std or 0.0) for one in result.evaluations}
    return Series(result.place, result.spec, (), values)
