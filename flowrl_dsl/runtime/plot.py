"""Plots of learning curves: a panel for each task and metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from flowrl_dsl.runtime import figures
from flowrl_dsl.runtime.curves import AXES, RETURN, Curve, read_curves

_MANY = 3
"""Number of labels that fit inside a panel; with more, the legend is below the panels."""
_HEIGHT = 2.1
"""Inches of a panel."""


def plot(paths: Sequence[Path], output: Path, metrics: Sequence[str] = (RETURN,), by: str = "steps") -> None:
    """Plot metrics of runs ``by`` steps, updates or seconds to ``output`` (png, pdf or svg, by suffix)."""
    figures.check(output)
    draw(read_curves(paths, metrics, by), output, by)


def draw(curves: list[Curve], output: Path, by: str = "steps") -> None:
    """Plot the given curves, one panel for each task and metric."""
    figures.save(lambda: _draw(curves, AXES[by]), output)


def _draw(curves: list[Curve], axis: str) -> Any:
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(curve.task for curve in curves))
    metrics = list(dict.fromkeys(curve.metric for curve in curves))
    drawn = [(metric, task) for metric in metrics for task in tasks]
    labels = labels_of(curves)
    # several metrics: a row each, so that panels of one task lie below one another
    columns = min(len(tasks), 3) if len(metrics) == 1 or len(tasks) > 3 else len(tasks) if len(tasks) > 1 else 2
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    names = list(dict.fromkeys(labels.values()))
    below = len(names) > _MANY
    width = figures.COLUMN if columns == 1 else figures.PAGE
    height = _HEIGHT * rows + (0.17 * (1 + -(-len(names) // 4)) if below else 0)
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(drawn) :]:
        panel.set_axis_off()
    for panel, (metric, task) in zip(panels.flat, drawn, strict=False):
        _panel(
            panel, metric, task, [curve for curve in curves if (curve.metric, curve.task) == (metric, task)], labels, axis
        )
    if below:
        figure.legend(*_entries(panels), loc="outside lower center", ncols=min(4, len(names)))
    else:
        for panel in panels.flat[: len(drawn)]:
            if panel.get_legend_handles_labels()[0]:
                panel.legend()
    return figure


def _entries(panels: Any) -> tuple[list, list]:
    """The unique legend handles of all panels, and their labels."""
    handles: dict[str, Any] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return list(handles.values()), list(handles)


def labels_of(curves: list[Curve]) -> dict[tuple, str]:
    """The label of each kind of curve: its spec, settings and digest."""
    tasks: dict[tuple, set[str]] = {}
    for curve in curves:
        tasks.setdefault((curve.spec, curve.sets, curve.kind), set()).add(curve.task)
    return {kind: _label(kind, tasks) for kind in tasks}


def _label(kind: tuple, tasks: dict[tuple, set[str]]) -> str:
    """The spec, the settings in which its kinds differ, and a number where kinds of one panel have the same settings."""
    spec, sets, _ = kind
    others = [set(other) for name, other, _ in tasks if name == spec]
    differing = [text for text in sets if not all(text in other for other in others)]
    label = shorten(" ".join([spec, *differing]), 60, placeholder=" ...")
    alike = [other for other in tasks if other[:2] == (spec, sets) and tasks[other] & tasks[kind]]
    return f"{label} #{alike.index(kind) + 1}" if len(alike) > 1 else label


def _panel(panel: Any, metric: str, task: str, curves: list[Curve], labels: dict[tuple, str], axis: str) -> None:
    if metric == RETURN and curves:
        _solved(panel, _threshold(task), curves)
    for curve in curves:
        label = labels[curve.spec, curve.sets, curve.kind]
        _line(panel, curve, label, list(dict.fromkeys(labels.values())).index(label))
    # the name of a task or of a metric is no formula
    panel.set_title(task, parse_math=False)
    panel.set_xlabel(axis)
    panel.set_ylabel("return of an evaluation" if metric == RETURN else metric.replace("_", " "), parse_math=False)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(lambda value, _: figures.short(value))


def _line(panel: Any, curve: Curve, label: str, number: int) -> None:
    color = figures.COLORS[number % len(figures.COLORS)]
    marker = "o" if len(curve.places) <= 20 else None
    style = {"color": color, "linestyle": figures.DASHES[number % len(figures.DASHES)], "marker": marker}
    shown = f"{label} ({curve.seeds} seeds)" if curve.seeds > 1 else label
    panel.plot(curve.places, curve.center, label=shown, **style)
    for place in curve.begins:
        panel.axvline(place, color=color, linewidth=0.6, linestyle=(0, (1, 2)))
    if np.any(curve.high > curve.low):
        panel.fill_between(curve.places, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)


def _solved(panel: Any, threshold: float | None, curves: list[Curve]) -> None:
    """Draw a line at the threshold, or a note at the top if such a high line would flatten the curves."""
    if threshold is None:
        return
    low, high = min(curve.low.min() for curve in curves), max(curve.high.max() for curve in curves)
    if threshold - high <= high - low:
        panel.axhline(threshold, color="0.45", linewidth=0.8, linestyle=(0, (4, 3)), label=f"solved ({threshold:g})")
    else:
        place = {"xy": (0.02, 0.97), "xycoords": "axes fraction", "va": "top", "color": "0.45", "fontsize": 7}
        panel.annotate(f"solved at {threshold:g}, above this plot", **place)


def _threshold(task: str) -> float | None:
    """The return at which the task counts as solved in Gymnasium; None for tasks of other worlds."""
    from flowrl_dsl.runtime.worlds.gymnasium import reward_threshold

    return reward_threshold(task)
