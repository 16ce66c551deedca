"""Fill docs/results_on_policy.md with the results of the suites `on_policy` and `playground`, and of two ablations.

``python docs/make_on_policy_results.py`` runs what ``docs/results_on_policy.jsonl`` lacks, as ``flowrl-dsl suite run`` with
a store that begins with these results, adds the new ones to the file, and writes tables and figures.  The suite
`playground` and the ablations need the extra of that name; ``--suites on_policy`` runs the other one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
from records import DOCS, fill, table
from studies import Study, recorded, run_suite

from flowrl_dsl import driver
from flowrl_dsl.runtime.curves import Curve
from flowrl_dsl.runtime.plot import draw
from flowrl_dsl.suites.jobs import jobs_of

HOME = DOCS.parent / "runs" / "on_policy"
RECORDS = DOCS / "results_on_policy.jsonl"
BOTH = ("steps", "seconds")
SUITES = {"on_policy": BOTH, "playground": BOTH, "dppo_clip": ("steps",), "fpopp_sides": ("steps",)}
"""With the axes of their figures."""
HOST = "on_policy"
"""The suite whose environments are stepped on the host.  In a pure world the seeds are members of one compiled program."""


@cache
def study(suite: str) -> Study:
    """A suite with the results of docs/results_on_policy.jsonl."""
    return Study(jobs_of(driver.resolve_suite_or_raise(suite)), recorded(RECORDS))


def by_seconds(of: Study) -> Iterator[Curve]:
    """The curves over the seconds of training, the median of the runs at each evaluation."""
    for curve in of.curves.values():
        yield replace(curve, places=np.array([of.seconds(curve.spec, curve.task, step) for step in curve.steps]))


def costs(of: Study) -> str:
    """The seconds of training of a whole run, one row per spec and one column per task."""
    rows = [[of.marked(spec), *(_cost(of, spec, task) for task in of.tasks)] for spec in of.specs]
    return table(["seconds", *of.tasks], rows)


def _cost(of: Study, spec: str, task: str) -> str:
    curve = of.curves.get((spec, task))
    return "not run" if curve is None else f"{of.seconds(spec, task, curve.steps[-1]):.0f}"


def write(suite: str) -> None:
    """Write the tables and figures of a suite."""
    of = study(suite)
    shown = f"{of.returns(of.specs, of.tasks)}\n\n{costs(of)}"
    for axis in SUITES[suite] if of.curves else ():
        picture = f"results_{suite}_{axis}.png"
        draw(list(by_seconds(of) if axis == "seconds" else of.curves.values()), DOCS / picture, by=axis)
        shown += f"\n\n![learning curves by {axis}]({picture})"
    fill("results_on_policy.md", suite, shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the page from the recorded runs")
    parser.add_argument("--suites", nargs="+", default=list(SUITES), choices=list(SUITES))
    parser.add_argument("--jobs", help="how many runs, or populations, at a time")
    parser.add_argument("--specs", nargs="+")
    parser.add_argument("--tasks", nargs="+")
    asked = parser.parse_args()
    chosen = {"--jobs": [asked.jobs] if asked.jobs else [], "--specs": asked.specs, "--tasks": asked.tasks}
    words = [word for option, given in chosen.items() if given for word in (option, *given)]
    for suite in asked.suites:
        if not asked.only_write:
            run_suite(suite, HOME / suite, RECORDS, words if suite == HOST else ["--population", *words])
        write(suite)


if __name__ == "__main__":
    main()
