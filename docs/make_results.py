"""Fill docs/results.md and the table of docs/hybrids.md with the results of the suite `small`.

``python docs/make_results.py`` runs what ``docs/results.jsonl`` lacks, as ``flowrl-dsl suite run small`` with a store that
begins with these results, adds the new ones to the file, and writes tables and figures.  So a study can be spread over days
and machines; a task is shown when all of its runs are there.  As many populations of seeds execute at a time as there are
cores, each on one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from statistics import median

from records import DOCS, fill, table
from studies import Study, recorded, run_suite

from flowrl_dsl import driver
from flowrl_dsl.runtime.curves import Curve
from flowrl_dsl.runtime.plot import draw
from flowrl_dsl.suites.jobs import jobs_of

SUITE = "small"
HOME = DOCS.parent / "runs" / "results"
RECORDS = DOCS / "results.jsonl"

MAIN = ("sac", "td3", "qsm", "diffusion_bptt", "dpmd", "qvpo", "qsm_dpmd")
"""One or two specs of each mechanism."""
SCORES = ("sdac", "idem", "rfm", "rfm_flow", "qsm_hl_gauss", "nclql")
MIRRORS = ("fpmd", "gempo_exp", "gempo_linear", "gempo_square")
GRADIENTS = ("dacer", "dime", "driftpo", "td7", "redq")
HYBRIDS = ("sdac_quantile", "edm_mirror", "flow_anchor", "drift_entropy", "dime_redq", "qsm_td7")
"""The hybrids except qsm_dpmd, which is in the first group."""
SPECS = (*MAIN, *SCORES, *MIRRORS, *GRADIENTS, *HYBRIDS)
TASKS = (
    "InvertedPendulum-v5",
    "Reacher-v5",
    "Hopper-v5",
    "HalfCheetah-v5",
    "dm_control/cartpole-swingup",
    "dm_control/finger-spin",
)


@cache
def study() -> Study:
    """The suite with the results of docs/results.jsonl."""
    return Study(jobs_of(driver.resolve_suite_or_raise(SUITE)), recorded(RECORDS))


def speed(of: Study, specs: Iterable[str], tasks: Iterable[str]) -> str:
    """Environment steps until a spec's mean first reaches a mark.

    The mark is the midpoint between the lowest mean at the first evaluation and the median over specs of the best mean.
    """
    curves = of.curves
    marks = dict(_marks(curves.values(), tasks))
    rows = [[of.marked(spec), *(_reached(curves.get((spec, task)), marks) for task in tasks)] for spec in specs]
    return table(["spec", *(f"{task} (at {marks.get(task, 0):.0f})" for task in tasks)], rows)


def _marks(curves: Iterable[Curve], tasks: Iterable[str]) -> Iterator[tuple[str, float]]:
    drawn = list(curves)
    for task in tasks:
        of_task = [curve for curve in drawn if curve.task == task]
        if of_task:
            low, high = min(curve.center[0] for curve in of_task), median(curve.center.max() for curve in of_task)
            yield task, (low + high) / 2


def _reached(curve: Curve | None, marks: dict[str, float]) -> str:
    if curve is None:
        return "not run"
    there = curve.steps[curve.center >= marks[curve.task]]
    if not len(there):
        return "not reached"
    return f"{there[0] / 1000:g} k"


def write() -> None:
    """Write the tables of docs/results.md and docs/hybrids.md, and their figures."""
    of = study()
    for page, mark, group in (
        ("results.md", "main", MAIN),
        ("results.md", "scores", SCORES),
        ("results.md", "mirrors", MIRRORS),
        ("results.md", "gradients", GRADIENTS),
        ("hybrids.md", "returns", ("qsm_dpmd", *HYBRIDS)),
    ):
        drawn = [curve for (spec, task), curve in of.curves.items() if spec in group and task in of.complete]
        if drawn:
            picture = f"{Path(page).stem}_{mark}.png"
            draw(drawn, DOCS / picture)
            fill(page, mark, f"{of.returns(group, of.complete)}\n\n![learning curves]({picture})")
    fill("results.md", "speed", speed(of, [*MAIN, *SCORES, *MIRRORS, *GRADIENTS], of.complete))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the pages from the recorded runs")
    parser.add_argument("--jobs", help="how many populations run at a time")
    for name, choices in (("specs", SPECS), ("tasks", TASKS), ("seeds", None)):
        parser.add_argument(f"--{name}", nargs="+", choices=choices)
    asked = vars(parser.parse_args())
    if not asked.pop("only_write"):
        chosen = {name: [given] if isinstance(given, str) else given for name, given in asked.items() if given}
        words = (word for name, given in chosen.items() for word in (f"--{name}", *given))
        run_suite(SUITE, HOME, RECORDS, ("--population", *words))
    write()


if __name__ == "__main__":
    main()
