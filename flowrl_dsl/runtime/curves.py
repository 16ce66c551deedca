"""Learning curves as numbers: the evaluations of several runs, grouped by spec, settings and task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowrl_dsl.runtime.aggregate import bootstrap_interval, interquartile_mean
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder


@dataclass(frozen=True)
class Curve:
    """Return over steps: the inter-quartile mean over seeds and a band around it.

    The band is the 95 % bootstrap interval over seeds; of a single seed, one standard deviation over its episodes.
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
    begins: tuple[int, ...] = ()
    """The steps at which phases begin, apart from the first."""


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of one run: mean and standard deviation of the return over the episodes, by environment step."""

    task: str
    spec: str
    sets: tuple[str, ...]
    returns: dict[int, tuple[float, float]]
    kind: str = ""
    """Equal for runs that differ in nothing but the seed."""
    seed: int | None = None
    begins: tuple[int, ...] = ()


def read_curves(paths: Sequence[Path]) -> list[Curve]:
    """The curves of the runs in some folders, as :func:`curves_of`.  Raises FRL0431 when a run has no evaluation."""
    return curves_of([read_evaluations(path) for path in paths])


def curves_of(runs: Sequence[Evaluations]) -> list[Curve]:
    """One curve for each spec (with its ``--set``) and task, in order of first occurrence; its runs differ in their seed.

    Of runs that do not even differ in their seed the first counts.  Raises FRL0431 if the runs of a group share no step.
    """
    groups: dict[tuple, list[Evaluations]] = {}
    for run in runs:
        group = groups.setdefault((run.task, run.spec, run.sets, run.kind), [])
        if run.seed is None or all(run.seed != other.seed for other in group):
            group.append(run)
    return [_curve(group) for group in groups.values()]


def read_evaluations(path: Path) -> Evaluations:
    """The evaluations so far of the run in a folder.  Raises FRL0431 if there are none."""
    folder = RunFolder(path)
    records = folder.records()
    found = [record for record in records if record["kind"] == "eval"]
    try:
        evaluations = {int(r["step"]): (float(r["return_mean"]), float(r["return_std"])) for r in found}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError("FRL0411", f"an evaluation in {path / 'metrics.jsonl'} is not one of `train`: {error}") from error
    if not evaluations:
        raise RunError("FRL0431", f"{path} has no evaluation yet")
    begins = tuple(int(record["step"]) for record in records if record["kind"] == "phase")[1:]
    task, spec, seed = map(folder.said, ("task", "spec", "seed"))
    return Evaluations(task, spec, tuple(folder.settings.get("sets", ())), evaluations, folder.kind, seed, begins)


def _curve(runs: Sequence[Evaluations]) -> Curve:
    steps = sorted(set.intersection(*(set(run.returns) for run in runs)))
    if not steps:
        raise RunError("FRL0431", f"the runs of {runs[0].spec} on {runs[0].task} were never evaluated at the same step")
    values = np.array([[run.returns[step] for step in steps] for run in runs])
    means, spreads = values[..., 0], values[..., 1]
    center = interquartile_mean(means.T)
    if len(runs) == 1:
        low, high = center - spreads[0], center + spreads[0]
    else:
        intervals = [bootstrap_interval(column[:, None]) for column in means.T]
        low, high = np.array(intervals).T
    one = runs[0]
    return Curve(one.task, one.spec, one.sets, one.kind, len(runs), np.array(steps), center, low, high, one.begins)
