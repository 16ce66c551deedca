"""Fill docs/results.md and the table of docs/hybrids.md with the results of the suite `small`.

``python docs/make_results.py`` runs what ``docs/results.jsonl`` lacks, as ``flowrl-dsl suite run small`` with a store that
begins with these results, adds the new ones to the file, and writes tables and figures.  So a study can be spread over days
and machines.  As many runs execute at a time as there are cores, each on one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from statistics import median

from records import DOCS, OUTDATED, fill, table

from flowrl_dsl import driver
from flowrl_dsl.runtime.curves import Curve, Series, curves_of
from flowrl_dsl.runtime.plot import draw
from flowrl_dsl.suites import exchange
from flowrl_dsl.suites.jobs import Job, Question, jobs_of
from flowrl_dsl.suites.results import Result, first_recorded
from flowrl_dsl.suites.store import Store

SUITE = "small"
HOME = DOCS.parent / "runs" / "results"
RECORDS = DOCS / "results.jsonl"

MAIN = ("sac", "td3", "qsm", "diffusion_bptt", "dpmd", "qvpo", "qsm_dpmd")
"""One or two specs of each mechanism, on all tasks."""
SCORES = ("sdac", "idem", "rfm", "rfm_flow", "qsm_hl_gauss", "nclql")
MIRRORS = ("fpmd", "gempo_exp", "gempo_linear", "gempo_square")
GRADIENTS = ("dacer", "dime", "driftpo", "td7", "redq")
HYBRIDS = ("sdac_quantile", "edm_mirror", "flow_anchor", "drift_entropy", "dime_redq", "qsm_td7")
"""The hybrids except qsm_dpmd, which is in the first group."""
SPECS = (*MAIN, *SCORES, *MIRRORS, *GRADIENTS, *HYBRIDS)
TASKS = ("InvertedPendulum-v5", "Reacher-v5", "dm_control/cartpole-swingup", "HalfCheetah-v5")
SHARED = tuple(task for task in TASKS if task != "Reacher-v5")
"""Tasks of all published specs."""
OF_ALL = ("InvertedPendulum-v5", "dm_control/cartpole-swingup")
"""Tasks of all specs."""


class Study:
    """The jobs of the suite, and the results of a file: each job's own, or the latest one of an earlier form of its spec."""

    def __init__(self, jobs: Iterable[Job], results: Iterable[Result]):
        self.jobs = list(jobs)
        kept = list(results)
        self._found = first_recorded(kept)
        self._of_any_form = {_without_form(one.spec, one.question): one for one in kept}

    def of(self, spec: str, task: str | None = None) -> list[Job]:
        """The jobs of a spec, on one task or all."""
        return [job for job in self.jobs if job.spec == spec and task in (None, job.question.task)]

    def shown(self, job: Job) -> Result | None:
        """The result of a job, or the latest one of an earlier form; None if there is neither."""
        return self._found.get(job.question) or self._of_any_form.get(_without_form(job.spec, job.question))

    def is_outdated(self, job: Job) -> bool:
        """Whether only an earlier form of the spec has a result."""
        return job.question not in self._found and self.shown(job) is not None

    def marked(self, spec: str) -> str:
        """The name of a spec, marked where some of its results are of an earlier form."""
        return f"{spec} {OUTDATED}" if any(map(self.is_outdated, self.of(spec))) else spec

    @cached_property
    def curves(self) -> dict[tuple[str, str], Curve]:
        """The learning curve of each spec on each task with a result."""
        found = (self.shown(job) for job in self.jobs)
        drawn = curves_of([_evaluations(result) for result in found if result is not None])
        return {(curve.spec, curve.task): curve for curve in drawn}


def _without_form(spec: str, question: Question) -> tuple[str, Question]:
    return spec, replace(question, algorithm="")


def _evaluations(result: Result) -> Series:
    values = {one.step: (one.return_mean, one.return_std or 0.0) for one in result.evaluations}
    return Series(result.question.task, result.spec, (), values)


@cache
def study() -> Study:
    """The suite with the results of docs/results.jsonl."""
    return Study(jobs_of(driver.resolve_suite_or_raise(SUITE)), exchange.read(RECORDS))


# ------------------------------------------------------------------------------------------------------------ running


def run(words: Iterable[str]) -> None:
    """Run what the results lack; ``words`` choose a part of the suite, and how many run at a time."""
    store = Store(HOME / "results.sqlite")
    store.add(exchange.read(RECORDS))
    command = [sys.executable, "-m", "flowrl_dsl.cli", "suite", "run", SUITE, "--out", str(HOME), *words]
    try:
        subprocess.run(command, check=False)
    finally:
        exchange.write(store.results(), RECORDS)


# ------------------------------------------------------------------------------------------------------------ writing


def returns_of(of: Study, specs: Iterable[str], tasks: Iterable[str]) -> str:
    """Final inter-quartile means with intervals, one row per spec."""
    curves = of.curves
    rows = [[of.marked(spec), *(_final(of, curves, spec, task) for task in tasks)] for spec in specs]
    return table(["spec", *tasks], rows)


def _final(of: Study, curves: dict[tuple[str, str], Curve], spec: str, task: str) -> str:
    curve = curves.get((spec, task))
    if curve is None:
        return "not run"
    if curve.seeds < len(of.of(spec, task)):
        return f"{curve.center[-1]:.1f} (seeds: {curve.seeds})"
    return f"{curve.center[-1]:.1f} [{curve.low[-1]:.1f}, {curve.high[-1]:.1f}]"


def speed(of: Study, specs: Iterable[str], tasks: Iterable[str]) -> str:
    """Environment steps, and seconds of training, until a spec's mean first reaches a mark.

    The mark is the midpoint between the lowest mean at the first evaluation and the median over specs of the best mean.
    """
    curves = of.curves
    marks = dict(_marks(curves.values(), tasks))
    rows = [[of.marked(spec), *(_reached(of, curves.get((spec, task)), marks) for task in tasks)] for spec in specs]
    return table(["spec", *(f"{task} (at {marks.get(task, 0):.0f})" for task in tasks)], rows)


def _marks(curves: Iterable[Curve], tasks: Iterable[str]) -> Iterator[tuple[str, float]]:
    drawn = list(curves)
    for task in tasks:
        of_task = [curve for curve in drawn if curve.task == task]
        if of_task:
            low, high = min(curve.center[0] for curve in of_task), median(curve.center.max() for curve in of_task)
            yield task, (low + high) / 2


def _reached(of: Study, curve: Curve | None, marks: dict[str, float]) -> str:
    if curve is None:
        return "not run"
    there = curve.steps[curve.center >= marks[curve.task]]
    if not len(there):
        return "not reached"
    found = [result for job in of.of(curve.spec, curve.task) if (result := of.shown(job))]
    seconds = median(next(e.seconds or 0.0 for e in result.evaluations if e.step == there[0]) for result in found)
    return f"{there[0] / 1000:g} k, {seconds:.0f} s"


def write() -> None:
    """Write the tables of docs/results.md and docs/hybrids.md, and their figures."""
    of = study()
    for page, mark, group, tasks in (
        ("results.md", "main", MAIN, TASKS),
        ("results.md", "scores", SCORES, SHARED),
        ("results.md", "mirrors", MIRRORS, SHARED),
        ("results.md", "gradients", GRADIENTS, SHARED),
        ("hybrids.md", "returns", ("qsm_dpmd", *HYBRIDS), OF_ALL),
    ):
        drawn = [curve for (spec, _), curve in of.curves.items() if spec in group]
        if drawn:
            picture = f"{Path(page).stem}_{mark}.png"
            draw(drawn, DOCS / picture)
            fill(page, mark, f"{returns_of(of, group, tasks)}\n\n![learning curves]({picture})")
    fill("results.md", "speed", speed(of, [*MAIN, *SCORES, *MIRRORS, *GRADIENTS], SHARED))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the pages from the recorded runs")
    parser.add_argument("--jobs", help="how many run at a time")
    for name, choices in (("specs", SPECS), ("tasks", TASKS), ("seeds", None)):
        parser.add_argument(f"--{name}", nargs="+", choices=choices)
    asked = vars(parser.parse_args())
    if not asked.pop("only_write"):
        chosen = {name: [given] if isinstance(given, str) else given for name, given in asked.items() if given}
        run(word for name, given in chosen.items() for word in (f"--{name}", *given))
    write()


if __name__ == "__main__":
    main()
