"""A picture of a data set: returns, lengths, and the marginals of its actions."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowrl_dsl.datasets.base import Dataset
from flowrl_dsl.datasets.summary import BINS, marginals

_COLOR = "#0072B2"
_MOST_TICKS = 12


def figure(data: Dataset) -> Any:
    """A matplotlib figure with three panels."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(12.6, 3.6), layout="constrained")
    returns, lengths, actions = drawn.subplots(1, 3)
    title = f"{data.provenance.name}: {len(data.episodes.returns):,} episodes, {len(data):,} transitions"
    # the name of a file is no formula
    drawn.suptitle(title, parse_math=False)
    if data.rewarded:
        _histogram(returns, data.episodes.returns, "return of an episode")
    else:
        returns.set_axis_off()
        returns.annotate("no rewards in the file", (0.5, 0.5), xycoords="axes fraction", ha="center")
    _histogram(lengths, data.episodes.lengths, "steps of an episode")
    _actions(drawn, actions, data)
    return drawn


def _histogram(panel: Any, values: np.ndarray, label: str) -> None:
    panel.hist(values, bins=min(50, max(10, len(values) // 10)), color=_COLOR)
    panel.axvline(values.mean(), color="0.2", linewidth=1, linestyle=(0, (4, 3)), label=f"mean {values.mean():.5g}")
    panel.set_xlabel(label)
    panel.set_ylabel("episodes")
    panel.legend(frameon=False, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)


def _actions(drawn: Any, panel: Any, data: Dataset) -> None:
    """One row for each component: the share of its actions in each cell of [-1, 1]."""
    counts = marginals(data)
    size = len(counts)
    shown = panel.imshow(counts / len(data), aspect="auto", extent=(-1, 1, size - 0.5, -0.5), cmap="Blues", vmin=0)
    panel.set_xlabel(f"action ({BINS} cells)")
    panel.set_ylabel("component")
    panel.set_yticks(range(0, size, -(-size // _MOST_TICKS)))
    drawn.colorbar(shown, ax=panel, label="share of transitions")
