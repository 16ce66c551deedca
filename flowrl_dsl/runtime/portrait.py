"""Pictures of a policy: its samples and the critic's values at some states, and the way of samples from noise to action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowrl_dsl.runtime.figures import COLORS, PAGE

_VALUES = "Greys"
_WAY = "viridis"
_SAMPLES = COLORS[1]
_EDGE = 1.08
"""Half the width of a panel of actions, which lie in [-1, 1]."""
_WIDEST = 2.6
"""Half the width of a panel of noisy actions; what starts further out comes in from the edge."""


@dataclass(frozen=True)
class Portrait:
    """A policy at S states.

    ``samples`` [S, N, A]; ``paths`` [S, K + 1, M, A], from noise to action, K 0 where no sampler takes steps; ``grid`` [G],
    the places of ``values`` [S, G, G], or [S, G] where actions have one component, and ``best`` [S, A], the sample with the
    greatest value, at which other components are held; both None without a critic.  ``components`` are those drawn.
    """

    names: Sequence[str]
    samples: np.ndarray
    paths: np.ndarray
    grid: np.ndarray
    values: np.ndarray | None
    best: np.ndarray | None
    components: tuple[int, ...]


def figure(portrait: Portrait, title: str) -> Any:
    """A matplotlib figure: a column for each state."""
    from matplotlib.figure import Figure

    count, moving = len(portrait.names), portrait.paths.shape[1] > 1
    rows, plane = 2 if moving else 1, len(portrait.components) == 2
    side = min(PAGE / max(count, 2) - 0.25, 2.0) if plane else PAGE / max(count, 2)
    height = side + 0.45 if plane else 1.8
    drawn = Figure(figsize=((side + 0.12) * count + 0.8 if plane else PAGE, height * rows + 0.3), layout="constrained")
    drawn.suptitle(title, parse_math=False, fontsize=8)
    panels = drawn.subplots(rows, count, squeeze=False)
    shades = [(_plane if plane else _line)(panel, portrait, k) for k, panel in enumerate(panels[0])]
    ways = [(_ways if plane else _ways_of_one)(panel, portrait, k) for k, panel in enumerate(panels[1])] if moving else []
    for panel in panels[:, 1:].flat:
        panel.set_ylabel("")
    if plane and shades[0] is not None:
        _scale(drawn, shades[-1], panels[0], "Q", ("low", "high"))
    if ways:
        _scale(drawn, ways[-1], panels[1], "denoising", ("noise", "action"))
    return drawn


def _scale(drawn: Any, shade: Any, panels: Any, label: str, ends: tuple[str, str]) -> None:
    bar = drawn.colorbar(shade, ax=list(panels), aspect=18, shrink=0.8, pad=0.02)
    bar.set_ticks([0, 1], labels=ends)
    bar.ax.tick_params(length=0)
    bar.set_label(label, labelpad=-12)
    bar.outline.set_visible(False)


def _plane(panel: Any, portrait: Portrait, k: int) -> Any:
    """Samples in two components, over the values where there is a critic; returns the shading."""
    first, second = portrait.components
    shade, title = None, portrait.names[k]
    if portrait.values is not None:
        low, high = portrait.values[k].min(), portrait.values[k].max()
        # every state has a scale of its own: what matters is where the values are high, not how high they are
        scaled = (portrait.values[k] - low) / max(high - low, 1e-12)
        shade = panel.contourf(portrait.grid, portrait.grid, scaled.T, levels=np.linspace(0, 1, 13), cmap=_VALUES, vmax=1.4)
        title += f"\nQ from {low:.3g} to {high:.3g}"
    chosen = portrait.samples[k]
    panel.scatter(chosen[:, first], chosen[:, second], s=5, color=_SAMPLES, alpha=0.55, linewidths=0, zorder=3)
    if portrait.best is not None:
        place = portrait.best[k][[first, second]]
        panel.plot(*place, marker="*", markersize=8, color="black", markeredgecolor="white", zorder=4, clip_on=False)
    _square(panel, _EDGE, first, second)
    panel.set_title(title, parse_math=False, fontsize=7)
    return shade


def _square(panel: Any, edge: float, first: int, second: int) -> None:
    from matplotlib.patches import Rectangle

    panel.add_patch(Rectangle((-1, -1), 2, 2, fill=False, linewidth=0.7, edgecolor="0.3", zorder=2.5))
    panel.set_xlim(-edge, edge)
    panel.set_ylim(-edge, edge)
    panel.set_aspect("equal")
    panel.grid(False)
    panel.spines[:].set_visible(False)
    panel.set_xlabel(f"action {first}")
    panel.set_ylabel(f"action {second}")


def _line(panel: Any, portrait: Portrait, k: int) -> None:
    """A histogram of the samples of one component, and the values as a line."""
    first = portrait.components[0]
    panel.hist(portrait.samples[k][:, first], bins=np.linspace(-1, 1, 41), density=True, color=_SAMPLES, alpha=0.7)
    panel.set_xlim(-_EDGE, _EDGE)
    panel.set_title(portrait.names[k], parse_math=False, fontsize=7)
    panel.set_xlabel(f"action {first}")
    panel.set_ylabel("density of samples", color=_SAMPLES)
    if portrait.values is not None:
        beside = panel.twinx()
        beside.plot(portrait.grid, portrait.values[k], color=COLORS[0])
        beside.set_ylabel("Q", color=COLORS[0])
        beside.grid(False)
        beside.spines[["right"]].set_visible(True)


def _ways(panel: Any, portrait: Portrait, k: int) -> Any:
    """The ways of some samples in the plane, coloured by their progress."""
    first, second = portrait.components
    points = portrait.paths[k][..., [first, second]]
    parts = np.stack([points[:-1], points[1:]], axis=2).reshape(-1, 2, 2)
    panel.add_collection(lines := _colored(list(parts), np.repeat(np.arange(len(points) - 1), points.shape[1])))
    panel.scatter(*points[-1].T, s=7, color=_SAMPLES, zorder=3, linewidths=0)
    _square(panel, _WIDEST, first, second)
    return lines


def _ways_of_one(panel: Any, portrait: Portrait, k: int) -> Any:
    """The ways of some samples of one component, over the steps of the sampler."""
    points = portrait.paths[k][..., portrait.components[0]]
    steps = np.arange(len(points))
    parts = [np.column_stack([steps[i : i + 2], way[i : i + 2]]) for way in points.T for i in steps[:-1]]
    panel.add_collection(lines := _colored(parts, np.tile(steps[:-1], points.shape[1])))
    panel.set_xlim(0, len(points) - 1)
    panel.set_ylim(-_WIDEST, _WIDEST)
    panel.set_xlabel("step of the sampler")
    panel.set_ylabel(f"action {portrait.components[0]}")
    return lines


def _colored(parts: list[np.ndarray], steps: np.ndarray) -> Any:
    """Lines coloured by the step of the sampler that they belong to."""
    from matplotlib.collections import LineCollection

    lines = LineCollection(parts, cmap=_WAY, linewidths=0.6, alpha=0.8)
    lines.set_array(steps / max(1, steps.max()))
    lines.set_clim(0, 1)
    return lines
