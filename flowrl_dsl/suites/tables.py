"""Tables of a suite, as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flowrl_dsl.runtime.aggregate import interquartile_mean
from flowrl_dsl.suites import statistics
from flowrl_dsl.suites.scores import Measured, TaskRuns, area_scores, final_scores, with_reference
from flowrl_dsl.suites.statistics import Interval, Scores

ABSENT = "-"


@dataclass(frozen=True)
class Table:
    """Titles and rows of text; ``note`` explains the columns in one sentence."""

    name: str
    titles: list[str]
    rows: list[list[str]]
    note: str

    def as_json(self) -> dict[str, object]:
        """Each row by the titles of its columns."""
        rows = [dict(zip(self.titles, row, strict=True)) for row in self.rows]
        return {"name": self.name, "rows": rows, "note": self.note}


def tables_of(measured: Measured, baseline: str) -> list[Table]:
    """All tables of a suite; ``baseline`` is the label of the spec that the others are compared with."""
    return [summary(measured), by_task(measured), improvement(measured, baseline)]


def summary(measured: Measured) -> Table:
    """Scores over all tasks of each spec."""
    rows = [_summary_row(label, tasks) for label, tasks in measured.items()]
    titles = ["spec", "tasks", "runs", "failed", "final", "area", "updates/s"]
    note = (
        "Inter-quartile means of normalised scores over all runs, 0 for random actions and 1 for the reference, with 95 % "
        "stratified bootstrap intervals: of the final policy, and of the mean height of the learning curve. A failed run "
        "counts as random actions from its failure on. Specs compare where they have the same tasks; a task with a single "
        "run leaves no interval."
    )
    return Table("summary", titles, rows, note)


def _summary_row(label: str, tasks: Sequence[TaskRuns]) -> list[str]:
    ended, expected = sum(one.count for one in tasks), sum(one.expected for one in tasks)
    runs = str(ended) if ended == expected else f"{ended} of {expected}"
    counted = str(len(with_reference(tasks)))
    rates = [one.updates_per_second for one in tasks if np.isfinite(one.updates_per_second)]
    rate = f"{np.median(rates):.1f}" if rates else ABSENT
    failures = str(sum(one.failures for one in tasks))
    return [label, counted, runs, failures, _scored(final_scores(tasks)), _scored(area_scores(tasks)), rate]


def _scored(scores: Scores) -> str:
    if not scores:
        return ABSENT
    return _with_interval(statistics.aggregate(scores), scores, lambda: statistics.aggregate_interval(scores), 2)


def _with_interval(center: float, scores: Scores, interval: Callable[[], Interval], digits: int) -> str:
    """A number with its interval; without one where a task has a single run, of which nothing can be drawn."""
    if any(len(task) < 2 for task in scores):
        return f"{center:.{digits}f}"
    low, high = interval()
    return f"{center:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def by_task(measured: Measured) -> Table:
    """The return of the final policy on each task."""
    tasks = list(dict.fromkeys(one.task for own in measured.values() for one in own))
    rows = []
    for label, own in measured.items():
        found = {one.task: one for one in own}
        rows.append([label, *(_returned(found.get(task)) for task in tasks)])
    note = (
        "Returns of the final policy: inter-quartile means over seeds with 95 % bootstrap intervals; in parentheses the "
        "number of seeds where the suite has more."
    )
    return Table("tasks", ["spec", *tasks], rows, note)


def _returned(runs: TaskRuns | None) -> str:
    if runs is None:
        return ABSENT
    final = runs.returns[:, -1]
    seeds = f" ({runs.count} of {runs.expected})" if runs.count < runs.expected else ""
    center = float(interquartile_mean(final))
    return _with_interval(center, [final], lambda: statistics.aggregate_interval([final]), 1) + seeds


def improvement(measured: Measured, baseline: str) -> Table:
    """How probable it is that a run of a spec ends better than one of the baseline."""
    rows = [[label, *_improvement(tasks, measured[baseline])] for label, tasks in measured.items() if label != baseline]
    note = (
        f"Probability that the final policy of a run is better than that of a run of {baseline} on the same task, averaged "
        "over the tasks that both have, with 95 % stratified bootstrap intervals; 0.5 is a draw."
    )
    return Table("improvement", ["spec", "tasks", f"better than {baseline}"], rows, note)


def _improvement(tasks: Sequence[TaskRuns], others: Sequence[TaskRuns]) -> list[str]:
    mine, theirs = ({one.task: one.returns[:, -1] for one in of} for of in (tasks, others))
    shared = [task for task in mine if task in theirs]
    if not shared:
        return ["0", ABSENT]
    pair = [mine[task] for task in shared], [theirs[task] for task in shared]
    center = statistics.probability_of_improvement(*pair)
    text = _with_interval(center, [*pair[0], *pair[1]], lambda: statistics.improvement_interval(*pair), 2)
    return [str(len(shared)), text]


# ------------------------------------------------------------------------------------------------------------- forms


def markdown(table: Table) -> str:
    lines = [table.titles, ["---"] * len(table.titles), *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{table.note}\n"


def as_csv(table: Table) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.titles, *table.rows])
    return text.getvalue()


def latex(table: Table) -> str:
    """A ``tabular`` with the rules of booktabs."""
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (table.titles, *table.rows)]
    columns = "l" + "r" * (len(table.titles) - 1)
    head = [f"% {table.note}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*head, *lines[1:], r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "&%$#_{}" else char for char in text)


FORMS: dict[str, Callable[[Table], str]] = {"markdown": markdown, "csv": as_csv, "latex": latex}
SUFFIXES = {"markdown": ".md", "csv": ".csv", "latex": ".tex"}
