"""Learning curves as numbers: metrics of several runs, grouped by spec, settings and task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.runtime.aggregate import bootstrap_interval, interquartile_mean
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder

RETURN = "return_mean"
"""The metric of a learning curve: the mean return of an evaluation."""
_SPREADS = {RETURN: "return_std"}
_PLACES = ("kind", "step", "updates", "phase")
"""Entries of a record that are no metrics."""
AXES = {"steps": "environment steps", "updates": "updates", "seconds": "seconds of training"}
"""What a curve may be drawn over."""


@dataclass(frozen=True)
class Curve:
    """A metric over steps: the inter-quartile mean over seeds and a band around it.

    The band is the 95 % bootstrap interval over seeds; of a single seed, one standard deviation over the episodes of an
    evaluation, and no band (its bounds are the centre) for other metrics.  ``places`` are those of the steps on the axis.
    """

    task: str
    spec: str
    sets: tuple[str, ...]
    kind: str
    seeds: int
    steps: np.ndarray
    center: np.ndarray
    low: np.ndarray
    high: np.ndarray
    metric: str
    places: np.ndarray
    begins: tuple[float, ...] = ()
    """The places on the axis at which phases begin, apart from the first."""


@dataclass(frozen=True)
class Series:
    """One metric of one run: its value and a standard deviation (0 where there is none) by environment step.

    ``kind`` is equal for runs that differ in nothing but the seed; ``places`` are those of the steps on the axis, by default
    the steps.
    """

    task: str
    spec: str
    sets: tuple[str, ...]
    values: dict[int, tuple[float, float]]
    kind: str = ""
    seed: int | None = None
    metric: str = RETURN
    places: dict[int, float] = field(default_factory=dict)
    begins: tuple[float, ...] = ()


def read_curves(paths: Sequence[Path], metrics: Sequence[str] = (RETURN,), by: str = "steps") -> list[Curve]:
    """The curves of these metrics of the runs in some folders, as :func:`curves_of`.

    Raises FRL0431 when a run has no evaluation yet, FRL0483 for a metric that no run has.
    """
    folders = [(path, RunFolder(path)) for path in paths]
    read = [(path, folder, folder.records()) for path, folder in folders]
    wanted: list[Series] = []
    for metric in metrics:
        tried = [(path, series(folder, records, metric, by)) for path, folder, records in read]
        found = [one for _, one in tried if one is not None]
        if metric == RETURN and len(found) < len(tried):
            missing = next(path for path, one in tried if one is None)
            raise RunError("FRL0431", f"{missing} has no evaluation yet")
        if not found:
            known = sorted({name for _, _, records in read for name in metrics_of(records)})
            raise RunError("FRL0483", f'no run has a metric "{metric}"', did_you_mean(metric, known))
        wanted += found
    return curves_of(wanted)


def read_evaluations(path: Path) -> Series:
    """The returns of the evaluations so far of the run in a folder.  Raises FRL0431 if there are none."""
    folder = RunFolder(path)
    found = series(folder, folder.records(), RETURN, "steps")
    if found is None:
        raise RunError("FRL0431", f"{path} has no evaluation yet")
    return found


def curves_of(runs: Sequence[Series]) -> list[Curve]:
    """One curve for each metric, spec (with its ``--set``) and task, in order of first occurrence; its runs differ in their
    seed.

    Of runs that do not even differ in their seed the first counts.  Raises FRL0431 if the runs of a group share no step.
    """
    groups: dict[tuple, list[Series]] = {}
    for run in runs:
        group = groups.setdefault((run.metric, run.task, run.spec, run.sets, run.kind), [])
        if run.seed is None or all(run.seed != other.seed for other in group):
            group.append(run)
    return [_curve(group) for group in groups.values()]


def metrics_of(records: list[dict[str, Any]]) -> list[str]:
    """The metrics in the records, in order of first occurrence; those of which a run never had a value are none."""
    named = (name for record in records for name, value in record.items() if value is not None)
    return [name for name in dict.fromkeys(named) if name not in _PLACES]


def series(folder: RunFolder, records: list[dict[str, Any]], metric: str, by: str) -> Series | None:
    """A metric of a run so far; None where no record has it."""
    kept = [record for record in records if record.get(metric) is not None and metric not in _PLACES]
    if not kept:
        return None
    spread = _SPREADS.get(metric, "")
    try:
        values = {int(r["step"]): (float(r[metric]), float(r[spread]) if spread else 0.0) for r in kept}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            "FRL0411", f"an evaluation in {folder.path / 'metrics.jsonl'} is not one of `train`: {error}"
        ) from error
    task, spec, seed = map(folder.said, ("task", "spec", "seed"))
    place = _axis(folder, records, by)
    places = {step: place(step) for step in values}
    begins = tuple(place(record["step"]) for record in records if record["kind"] == "phase")[1:]
    return Series(task, spec, tuple(folder.settings.get("sets", ())), values, folder.kind, seed, metric, places, begins)


def _axis(folder: RunFolder, records: list[dict[str, Any]], by: str) -> Callable[[int], float]:
    """The place of a step on an axis, between those of the records where it has none of its own."""
    updates = {0: 0.0} | {r["step"]: float(r["updates"]) for r in records if r.get("updates") is not None}
    if by == "steps":
        return float
    known = updates if by == "updates" else _seconds(folder, updates)
    steps = sorted(known)
    return lambda step: float(np.interp(step, steps, [known[s] for s in steps]))


def seconds_of(folder: RunFolder, records: list[dict[str, Any]]) -> float:
    """Seconds of training so far, without evaluations and pauses."""
    return _axis(folder, records, "seconds")(max((record["step"] for record in records), default=0))


def _seconds(folder: RunFolder, updates: dict[int, float]) -> dict[int, float]:
    """Seconds of training by step, without evaluations and pauses: updates by their rate.

    Steps without an update, those of the warm-up, take what the clock has counted since the record before.
    """
    seconds, total = {0: 0.0}, 0.0
    before, clock = 0, None
    for step, entry in sorted(folder.timing().items()):
        made = updates.get(step, updates.get(before, 0.0)) - updates.get(before, 0.0)
        if made > 0 and entry.updates_per_second > 0:
            total += made / entry.updates_per_second
        elif clock is not None:
            total += max(0.0, entry.time - clock)
        seconds[step], before, clock = total, step, entry.time
    return seconds


def _curve(runs: Sequence[Series]) -> Curve:
    steps = sorted(set.intersection(*(set(run.values) for run in runs)))
    one = runs[0]
    if not steps:
        what = "evaluated" if one.metric == RETURN else f"recorded with {one.metric}"
        raise RunError("FRL0431", f"the runs of {one.spec} on {one.task} were never {what} at the same step")
    values = np.array([[run.values[step] for step in steps] for run in runs])
    means, spreads = values[..., 0], values[..., 1]
    center = interquartile_mean(means.T)
    if len(runs) == 1:
        low, high = center - spreads[0], center + spreads[0]
    else:
        intervals = [bootstrap_interval(column[:, None]) for column in means.T]
        low, high = np.array(intervals).T
    places = np.mean([[run.places.get(step, step) for step in steps] for run in runs], axis=0)
    drawn = (len(runs), np.array(steps), center, low, high, one.metric, places, one.begins)
    return Curve(one.task, one.spec, one.sets, one.kind, *drawn)
