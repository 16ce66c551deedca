"""Fill docs/comparisons.md: the suite `small` at equal steps and in equal time, and the cost of an update against returns.

``python docs/make_comparisons.py``, on a core that does nothing else, measures what ``docs/step_costs.jsonl`` lacks, the
speed of every spec on every task of the suite at the settings of the suite, on one thread, by ``flowrl-dsl bench train``;
and it writes tables and figures with the results of ``docs/results.jsonl``.  The seconds in those are not compared: they
were recorded on several machines, beside other runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import make_results
import numpy as np
from records import DOCS, Record, Records, fill, table
from studies import Study

from flowrl_dsl.bench.report import from_json
from flowrl_dsl.runtime.figures import COLORS, PAGE, save
from flowrl_dsl.suites import figures, statistics
from flowrl_dsl.suites.attempts import ONE_THREAD
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.scores import Measured, TaskRuns, final_scores, measured

COSTS = Records("step_costs.jsonl")
PAGE_NAME = "comparisons.md"
FIGURES = DOCS / "comparisons"
GROUPS = {
    "one or two of each mechanism": make_results.MAIN,
    "scores of densities": make_results.SCORES,
    "reweighted proposals": make_results.MIRRORS,
    "gradients of the critic": make_results.GRADIENTS,
    "hybrids": make_results.HYBRIDS,
}
"""The groups of docs/results.md, and the titles of their panels."""
NAME_HEIGHT, NAME_WIDTH = 0.025, 2
"""Scores that the name of a spec is high in the figure of costs, and the factor of costs that it is wide."""
WARMUP, MEASURED = 500, 500
"""Random steps, and steps with updates, of a training whose speed is measured."""


# ------------------------------------------------------------------------------------------------------------------- costs


def key_of(job: Job) -> Record:
    """What identifies the cost of a step."""
    return {"algorithm": job.question.algorithm, "task": job.question.task}


def measure(job: Job) -> Record | None:
    """The speed of a spec on a task; None where it could not be measured, with the reason on the terminal."""
    short = (*job.sets, f"train.warmup={WARMUP}", f"train.steps={WARMUP + MEASURED}")
    sets = [word for one in short for word in ("--set", one)]
    words = ["bench", "train", job.path, "--task", job.question.task, *sets, "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "flowrl_dsl", *words], env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True
    )
    report = from_json(made.stdout) if made.stdout else None
    if report is None or not report.rows:
        for failed in () if report is None else report.failed:
            print(f"{failed.what}: {failed.reason}", file=sys.stderr)
        return None
    row, updates = report.rows[0], job.updates / (job.question.steps - job.warmup)
    return {
        "spec": job.spec,
        "steps_per_second": round(row.steps_per_second, 2),
        "update_ms": round(row.step_ms * row.shares["update"] / updates, 3),
        "machine": report.machine,
    }


def measure_all(jobs: Iterable[Job]) -> None:
    """Measure what is not in docs/step_costs.jsonl; each result is kept at once."""
    for job in jobs:
        if COSTS.find(key_of(job)) is None:
            print(f"measuring {job.label} on {job.question.task}", file=sys.stderr)
            found = measure(job)
            if found is not None:
                COSTS.add(key_of(job) | found)


# -------------------------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Comparison:
    """The runs of the tasks on which every spec has results and a cost, by the label of the spec.

    ``seconds`` of the runs are those of the updates at the measured speed: the random steps before the first are for free.
    ``limits`` are the seconds of a task that the comparison in equal time gives each spec: the median over specs of what
    all steps take.
    """

    runs: Measured
    costs: dict[tuple[str, str], Record]
    limits: dict[str, float]

    @property
    def tasks(self) -> list[str]:
        return list(self.limits)

    def in_time(self, one: TaskRuns) -> np.ndarray:
        """Scores [N] of the last policy that was evaluated by the limit of its task; 0 before the first evaluation."""
        return one.at_seconds(np.array([self.limits[one.task]]))[:, 0]

    def returns_in_time(self, one: TaskRuns) -> np.ndarray:
        """The returns [N] of the same policies."""
        assert one.reference is not None
        low, high = one.reference.random, one.reference.reference
        return low + (high - low) * self.in_time(one)

    def ended(self, one: TaskRuns) -> bool:
        """Whether all steps of a spec took less than the limit."""
        return bool(one.seconds[0, -1] < self.limits[one.task])

    def update_ms(self, label: str) -> float:
        """Milliseconds of an update, the mean over tasks."""
        return fmean(self.costs[label, task]["update_ms"] for task in self.tasks)


def compared(of: Study) -> Comparison:
    """The comparison of what has been run and measured."""
    results = {job.question: result for job in of.jobs if (result := of.shown(job)) is not None}
    first = {(job.label, job.question.task): job for job in reversed(of.jobs)}
    costs = {place: cost for place, job in first.items() if (cost := COSTS.find(key_of(job))) is not None}
    whole = [task for task in of.complete if all((spec, task) in costs for spec in of.specs)]
    runs = {
        label: [_timed(one, costs[label, one.task], first[label, one.task]) for one in tasks if one.task in whole]
        for label, tasks in (measured(of.jobs, results).items() if whole else ())
    }
    ends = {task: [one.seconds[0, -1] for own in runs.values() for one in own if one.task == task] for task in whole}
    return Comparison(runs, costs, {task: median(seconds) for task, seconds in ends.items()})


def _timed(one: TaskRuns, cost: Record, job: Job) -> TaskRuns:
    """The runs with the seconds that their updates take at the measured speed."""
    seconds = np.maximum(one.steps - job.warmup, 0) / cost["steps_per_second"]
    return replace(one, seconds=np.broadcast_to(seconds, one.returns.shape))


# ----------------------------------------------------------------------------------------------------------------- writing


def _interval(scores: Sequence[np.ndarray]) -> str:
    low, high = statistics.aggregate_interval(scores)
    return f"{statistics.aggregate(scores):.2f} [{low:.2f}, {high:.2f}]"


def scores(of: Comparison) -> str:
    """Normalised scores of each spec at equal steps and in equal time, best in equal time first; the cost of its update."""
    rows = []
    for label, own in of.runs.items():
        timed = [of.in_time(one) for one in own]
        early = sum(map(of.ended, own))
        cells = [label, _interval(final_scores(own)), _interval(timed), f"{early} of {len(own)}"]
        rows.append((statistics.aggregate(timed), [*cells, f"{of.update_ms(label):.2f}"]))
    titles = ["spec", "equal steps", "equal time", "done before", "ms an update"]
    return table(titles, [row for _, row in sorted(rows, key=lambda one: -one[0])])


def in_time(of: Comparison) -> str:
    """Returns of the last policies that were evaluated by the limit of each task: inter-quartile means over seeds."""
    titles = ["spec", *(f"{task} ({seconds:.0f} s)" for task, seconds in of.limits.items())]
    rows = []
    for label, own in of.runs.items():
        cells = {one.task: f"{statistics.aggregate([of.returns_in_time(one)]):.1f}" for one in own}
        early = {one.task for one in own if of.ended(one)}
        rows.append([label, *(cells[task] + (" *" if task in early else "") for task in of.tasks)])
    return table(titles, rows)


def draw_costs(of: Comparison, output: Path) -> None:
    """The score at equal steps over the cost of an update: a panel for each group of docs/results.md, the others in grey."""
    save(partial(_costs, of), output)


def _costs(of: Comparison) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE, 4.4), layout="constrained")
    panels = figure.subplots(2, 3, squeeze=False, sharex=True, sharey=True)
    panels.flat[-1].set_axis_off()
    places = {label: (of.update_ms(label), statistics.aggregate(final_scores(own))) for label, own in of.runs.items()}
    for panel, (title, specs) in zip(panels.flat, GROUPS.items(), strict=False):
        panel.set_title(title)
        panel.set_xscale("log")
        shown = {label: place for label, place in places.items() if label in specs}
        for label, place in places.items():
            if label not in shown:
                panel.plot(*place, "o", color="0.85", markersize=2, zorder=1)
        for label, place in shown.items():
            _point(panel, place, statistics.aggregate_interval(final_scores(of.runs[label])))
            _name(panel, label, place, left=any(_meets(place, other) for other in shown.values()))
    figure.supxlabel("milliseconds of an update, on one thread", fontsize=8)
    figure.supylabel("normalised score at equal steps", fontsize=8)
    return figure


def _point(panel: Any, place: tuple[float, float], interval: tuple[float, float]) -> None:
    """A spec of the panel's group at its cost and score, with the interval of its score."""
    cost, center = place
    panel.plot([cost, cost], interval, color="0.7", linewidth=0.8, zorder=2)
    panel.plot([cost], [center], "o", color=COLORS[0], zorder=3)


def _meets(place: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a name on the right of a point would reach that of a dearer one."""
    return place[0] < other[0] < NAME_WIDTH * place[0] and abs(other[1] - place[1]) < NAME_HEIGHT


def _name(panel: Any, label: str, place: tuple[float, float], left: bool) -> None:
    """The name of a spec beside its point."""
    beside: dict[str, Any] = {"xytext": (-3, -5), "ha": "right"} if left else {"xytext": (3, 2)}
    panel.annotate(label, place, textcoords="offset points", fontsize=6, zorder=4, **beside)


def write() -> None:
    """Write the tables and figures of docs/comparisons.md."""
    of = compared(make_results.study())
    if not of.runs:
        return
    figures.draw_all(of.runs, FIGURES, (".png",))
    draw_costs(of, FIGURES / "costs.png")
    shown = {
        "scores": "\n\n".join(
            [scores(of), *(f"![scores over {by}]({FIGURES.name}/{by}.png)" for by in ("steps", "seconds"))]
        ),
        "profiles": f"![performance profiles]({FIGURES.name}/profiles.png)",
        "in_time": in_time(of),
        "costs": f"![score over the cost of an update]({FIGURES.name}/costs.png)",
    }
    for mark, text in shown.items():
        fill(PAGE_NAME, mark, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="measure nothing; write the page from the records")
    parser.add_argument("--specs", nargs="+", choices=make_results.SPECS)
    parser.add_argument("--tasks", nargs="+", choices=make_results.TASKS)
    asked = parser.parse_args()
    if not asked.only_write:
        once = [job for job in make_results.study().jobs if job.question.seed == 0]
        chosen = [job for job in once if asked.specs is None or job.spec in asked.specs]
        measure_all(job for job in chosen if asked.tasks is None or job.question.task in asked.tasks)
    write()


if __name__ == "__main__":
    main()
