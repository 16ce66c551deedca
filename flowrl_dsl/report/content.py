"""What a report contains, read from run folders: facts of each run, and curves of every metric."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.report.settings import settings
from flowrl_dsl.runtime import figures
from flowrl_dsl.runtime.curves import AXES, RETURN, Curve, curves_of, metrics_of, seconds_of, series
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder, expanded
from flowrl_dsl.runtime.plot import labels_of

Entry = dict[str, Any]
_MOST_POINTS = 400
"""Points of a curve; of more, some are left out."""
_LONGEST_SPEC = 1 << 20


@dataclass(frozen=True)
class Evaluated:
    """One evaluation."""

    step: int
    mean: float
    spread: float
    least: float | None
    most: float | None
    episodes: int | None


@dataclass(frozen=True)
class Facts:
    """One run.  All texts are as in its folder, which may come from anyone."""

    path: str
    spec: str
    task: str
    seed: int
    label: str
    step: int
    steps: int | None
    created: str
    device: str
    python: str
    versions: dict[str, str]
    settings: dict[str, str]
    training: dict[str, str]
    written: str
    resolved: str
    command: str
    evaluations: list[Evaluated]
    seconds: float
    speed: float


@dataclass(frozen=True)
class Report:
    """``curves`` are as the script of the page reads them."""

    runs: list[Facts]
    curves: list[Entry]


def read(paths: Sequence[Path]) -> Report:
    """The report of some runs and populations.  Raises FRL0411 for a folder that is not one of a run."""
    folders = [RunFolder(path) for path in expanded(paths)]
    records = [folder.records() for folder in folders]
    curves = _curves(folders, records)
    labels = labels_of([curve for _, curve in curves])
    names = list(dict.fromkeys(labels.values()))
    facts = [_facts(folder, found, labels) for folder, found in zip(folders, records, strict=True)]
    drawn = [_drawn(over, curve, labels[_kind(curve)], names) for over, curve in curves]
    return Report(facts, drawn)


def _kind(curve: Curve) -> tuple[str, tuple[str, ...], str]:
    return curve.spec, curve.sets, curve.kind


def _curves(folders: list[RunFolder], records: list[list[Entry]]) -> list[tuple[dict[str, Curve], Curve]]:
    """Every metric's curves over steps, each with the same curve over every axis."""
    found = []
    metrics = dict.fromkeys(name for each in records for name in metrics_of(each))
    for metric in sorted(metrics, key=_rank):
        by_axis = {axis: _of_metric(folders, records, metric, axis) for axis in AXES}
        for number, curve in enumerate(by_axis["steps"]):
            found.append(({axis: by_axis[axis][number] for axis in AXES}, curve))
    return found


def _rank(metric: str) -> int:
    """The return first, then losses, and last what is about episodes."""
    if metric == RETURN or metric.endswith("_loss"):
        return int(metric != RETURN)
    return 3 if metric.startswith(("return", "length", "episodes")) else 2


def _of_metric(folders: list[RunFolder], records: list[list[Entry]], metric: str, axis: str) -> list[Curve]:
    known = (series(folder, each, metric, axis) for folder, each in zip(folders, records, strict=True))
    groups: dict[tuple, list] = {}
    for one in known:
        if one is not None:
            groups.setdefault((one.task, one.spec, one.sets, one.kind), []).append(one)
    curves: list[Curve] = []
    for group in groups.values():
        try:
            curves += curves_of(group)
        except RunError:  # seeds that have no step in common yet: each is in the tables, none has a curve
            continue
    return curves


def _drawn(over: dict[str, Curve], curve: Curve, label: str, names: list[str]) -> Entry:
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, min(len(curve.steps), _MOST_POINTS)).round().astype(int))
    number = names.index(label)
    return {
        "metric": curve.metric,
        "task": curve.task,
        "label": label,
        "color": number % len(figures.COLORS),
        "dash": number % len(figures.DASHES),
        "seeds": curve.seeds,
        "x": {axis: _numbers(one.places[kept]) for axis, one in over.items()},
        "begins": {axis: _numbers(one.begins) for axis, one in over.items()},
        **{name: _numbers(getattr(curve, attribute)[kept]) for name, attribute in _LINES.items()},
    }


_LINES = {"y": "center", "low": "low", "high": "high"}


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Six significant digits, which is more than a screen shows; JSON has no infinity."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def _facts(folder: RunFolder, records: list[Entry], labels: dict[tuple, str]) -> Facts:
    spec, task, seed, sets, given = map(folder.said, ("spec", "task", "seed", "sets", "given"))
    resolved = folder.resolved().decode(errors="replace")
    seconds, speed = _pace(folder, records)
    training = {name: _plain(value) for name, value in folder.said("settings").items()}
    steps = folder.said("settings").get("steps")
    written = _text(folder.path / "spec" / folder.said("main"))
    options = [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value is not None]
    command = ["flowrl-dsl", "train", str(folder.path / "spec" / folder.said("main")), "--task", task, "--seed", str(seed)]
    command += [word for text in sets for word in ("--set", text)]
    source = folder.settings.get("data")
    command += ["--data", source["source"]] if source else []
    return Facts(
        path=str(folder.path),
        spec=spec,
        task=task,
        seed=seed,
        label=labels.get((spec, tuple(sets), folder.kind), spec),
        step=max((record["step"] for record in records), default=0),
        steps=steps if isinstance(steps, int) else None,
        created=folder.settings.get("created", ""),
        device=folder.settings.get("device", ""),
        python=_plain(folder.settings.get("python", "")),
        versions=folder.settings.get("versions", {}),
        settings=settings(resolved),
        training=training,
        written=written,
        resolved=resolved,
        command=" ".join([shlex.join(command), *options]),
        evaluations=_evaluations(records),
        seconds=seconds,
        speed=speed,
    )


def _plain(value: Any) -> str:
    return str(value)[:200]


def _text(path: Path) -> str:
    """The spec as its author wrote it; empty where the copy is gone."""
    try:
        return read_regular(path, _LONGEST_SPEC).decode(errors="replace")
    except (OSError, Unreadable):
        return ""


def _evaluations(records: list[Entry]) -> list[Evaluated]:
    found = []
    for record in records:
        if record["kind"] == "eval" and record.get(RETURN) is not None:
            numbers = [record.get(name) for name in ("return_min", "return_max", "episodes")]
            spread = record.get("return_std")
            found.append(Evaluated(record["step"], record[RETURN], spread if spread is not None else 0.0, *numbers))
    return found


def _pace(folder: RunFolder, records: list[Entry]) -> tuple[float, float]:
    """Seconds of training, and the updates a second that they had in the middle of the run."""
    rates = [entry.updates_per_second for entry in folder.timing().values() if entry.updates_per_second > 0]
    return seconds_of(folder, records), float(np.median(rates)) if rates else 0.0
