"""Plots of learning curves, one panel per task."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.curves import Curve, read_curves
from flowrl_dsl.runtime.errors import RunError

# Okabe and Ito's palette, distinct for all common kinds of colour vision; dashes do the same in black and white
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
_FORMATS = (".png", ".pdf", ".svg")
_MANY = 3
"""Number of labels that fit inside a panel; with more, the legend is beside the panels."""


def plot(paths: Sequence[Path], output: Path) -> None:
    """Plot the evaluations of runs to ``output`` (png, pdf or svg, by suffix)."""
    draw(read_curves(paths), output)


def draw(curves: list[Curve], output: Path) -> None:
    """Plot the given curves, one panel per task."""
    save(lambda: _draw(curves), output)


def save(figure: Callable[[], Any], output: Path) -> None:
    """Write the matplotlib figure that ``figure`` makes to ``output``."""
    if output.suffix not in _FORMATS:
        raise RunError("FRL0432", f'cannot draw "{output.name}"', f"expected a name ending in {', '.join(_FORMATS)}")
    buffer = io.BytesIO()
    with _no_backend():
        # matplotlib takes half a second to import; a Figure of its own needs neither a display nor pyplot's global state
        from matplotlib import rc_context
    with rc_context({"font.size": 10, "svg.fonttype": "none"}):
        figure().savefig(buffer, format=output.suffix[1:], dpi=160)
    with files.disk(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        files.replace(output, buffer.getvalue())


@contextmanager
def _no_backend() -> Iterator[None]:
    """Without the backend that notebooks name in the environment, for which matplotlib refuses to be imported elsewhere."""
    named = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named


def _draw(curves: list[Curve]) -> Any:
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(curve.task for curve in curves))
    labels = _labels(curves)
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    beside = len(set(labels.values())) > _MANY
    figure = Figure(figsize=((3.2 if beside else 1.2) + 4.4 * columns, 0.6 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[len(tasks) :]:
        panel.set_axis_off()
    for panel, task in zip(panels.flat, tasks, strict=False):
        _panel(panel, task, [curve for curve in curves if curve.task == task], labels)
    if beside:
        figure.legend(*_entries(panels), loc="outside right upper", frameon=False, fontsize=9)
    else:
        for panel in panels.flat[: len(tasks)]:
            panel.legend(frameon=False, fontsize=9)
    return figure


def _entries(panels: Any) -> tuple[list, list]:
    """The unique legend handles of all panels, and their labels."""
    handles: dict[str, Any] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    return list(handles.values()), list(handles)


def _labels(curves: list[Curve]) -> dict[tuple, str]:
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


def _panel(panel: Any, task: str, curves: list[Curve], labels: dict[tuple, str]) -> None:
    _solved(panel, _threshold(task), curves)
    for curve in curves:
        label = labels[curve.spec, curve.sets, curve.kind]
        number = list(dict.fromkeys(labels.values())).index(label)
        color = COLORS[number % len(COLORS)]
        marker = "o" if len(curve.steps) <= 20 else None
        style = {"color": color, "linestyle": DASHES[number % len(DASHES)], "marker": marker, "markersize": 4}
        panel.plot(
            curve.steps,
            curve.center,
            linewidth=1.8,
            label=f"{label} ({curve.seeds} seeds)" if curve.seeds > 1 else label,
            **style,
        )
        for step in curve.begins:
            panel.axvline(step, color=color, linewidth=0.8, linestyle=(0, (1, 2)))
        panel.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
    panel.set_title(task)
    panel.set_xlabel("environment steps")
    panel.set_ylabel("return of an evaluation episode")
    panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(lambda value, _: _short(value))
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _solved(panel: Any, threshold: float | None, curves: list[Curve]) -> None:
    """Draw a line at the threshold, or a note at the top if such a high line would flatten the curves."""
    if threshold is None:
        return
    low, high = min(curve.low.min() for curve in curves), max(curve.high.max() for curve in curves)
    if threshold - high <= high - low:
        panel.axhline(threshold, color="0.45", linewidth=1, linestyle=(0, (4, 3)), label=f"solved ({threshold:g})")
    else:
        place = {"xy": (0.02, 0.97), "xycoords": "axes fraction", "va": "top", "color": "0.45", "fontsize": 9}
        panel.annotate(f"solved at {threshold:g}, above this plot", **place)


def _threshold(task: str) -> float | None:
    """The return at which the task counts as solved in Gymnasium; None for tasks of other worlds."""
    from flowrl_dsl.runtime.worlds.gymnasium import reward_threshold

    return reward_threshold(task)


def _short(value: float) -> str:
    """``0``, ``500``, ``15k``, ``1.5M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
