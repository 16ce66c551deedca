"""Figures of a suite: performance profiles, and scores over steps and over seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.runtime.figures import COLORS, DASHES, save
from flowrl_dsl.suites import statistics
from flowrl_dsl.suites.scores import Measured, TaskRuns, final_scores, with_reference

PANEL = len(COLORS)
"""Curves of one panel; specs beyond them get panels of their own."""
_POINTS = 60
_FORMATS = (".png", ".svg")
Draw = Callable[[Any, Sequence[TaskRuns], dict[str, Any]], None]


def draw_all(measured: Measured, folder: Path, formats: Sequence[str] = _FORMATS) -> list[Path]:
    """Draw every figure in these formats, suffixes of its files; returns the files."""
    scored = {label: own for label, tasks in measured.items() if (own := with_reference(tasks))}
    longest = max((float(one.seconds[:, -1].max()) for own in scored.values() for one in own), default=0.0)
    figures: dict[str, tuple[str, str, Draw]] = {
        "profiles": ("normalised score of the final policy", "share of runs with more", _profile),
        "steps": ("share of the steps", "normalised score", _over_steps),
        "seconds": ("seconds of training", "normalised score", _over_seconds(longest)),
    }
    paths: list[Path] = []
    for name, (x, y, draw) in figures.items() if scored else ():
        for suffix in formats:
            paths.append(folder / f"{name}{suffix}")
            save(partial(_figure, scored, x, y, draw), paths[-1])
    return paths


def _figure(measured: Measured, x: str, y: str, draw: Draw) -> Any:
    from matplotlib.figure import Figure

    labels = list(measured)
    chunks = [labels[first : first + PANEL] for first in range(0, len(labels), PANEL)]
    columns = min(len(chunks), 2)
    rows = -(-len(chunks) // columns)
    figure = Figure(figsize=(0.4 + 5.2 * columns, 0.4 + 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for panel in panels.flat[len(chunks) :]:
        panel.set_axis_off()
    for panel, chunk in zip(panels.flat, chunks, strict=False):
        for number, label in enumerate(chunk):
            style = {"color": COLORS[number], "linestyle": DASHES[number % len(DASHES)], "label": label}
            draw(panel, measured[label], style)
        _finish(panel, x, y)
    return figure


def _finish(panel: Any, x: str, y: str) -> None:
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)


def _profile(panel: Any, tasks: Sequence[TaskRuns], style: dict[str, Any]) -> None:
    scores = final_scores(tasks)
    top = max(1.1, *(float(one.max()) for one in scores))
    thresholds = np.linspace(min(0.0, *(float(one.min()) for one in scores)), top, _POINTS * 2)
    low, high = statistics.profile_band(scores, thresholds)
    center = statistics.performance_profile(scores, thresholds)
    _curve(panel, statistics.Band(thresholds, center, low, high), style, tasks)


def _over_steps(panel: Any, tasks: Sequence[TaskRuns], style: dict[str, Any]) -> None:
    grid = np.linspace(0, 1, _POINTS)
    _curve(panel, statistics.band(grid, [one.at_shares(grid) for one in tasks]), style, tasks)


def _over_seconds(longest: float) -> Draw:
    """From a second to the end of the slowest run, on a logarithmic axis; the curve of a spec ends with its own."""

    def draw(panel: Any, tasks: Sequence[TaskRuns], style: dict[str, Any]) -> None:
        end = max(float(one.seconds[:, -1].max()) for one in tasks)
        grid = np.geomspace(1, max(longest, 2.0), _POINTS * 2)
        grid = np.append(grid[grid < end], max(end, 1.0))
        panel.set_xscale("log")
        _curve(panel, statistics.band(grid, [one.at_seconds(grid) for one in tasks]), style, tasks)

    return draw


def _curve(panel: Any, band: statistics.Band, style: dict[str, Any], tasks: Sequence[TaskRuns]) -> None:
    """A curve, with its band where every task has runs to draw from."""
    panel.plot(band.grid, band.center, linewidth=1.6, **style)
    if all(one.count > 1 for one in tasks):
        panel.fill_between(band.grid, band.low, band.high, color=style["color"], alpha=0.15, linewidth=0)
