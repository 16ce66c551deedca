"""The summary of a data set: what a reader of a results table would ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowrl_dsl.datasets.base import Dataset, Provenance

BINS = 20
"""Cells of [-1, 1] in which actions are counted, for each component."""
_AT_BOUND = 0.999
_QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
_MOST_SHOWN = 24


@dataclass(frozen=True)
class Spread:
    """How a number differs over episodes; ``q05`` and so on are quantiles."""

    mean: float
    std: float
    min: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float
    max: float

    @staticmethod
    def of(values: np.ndarray) -> Spread:
        quantiles = {name: float(np.quantile(values, share)) for name, share in _QUANTILES.items()}
        low, high = float(values.min()), float(values.max())
        return Spread(float(values.mean()), float(values.std()), min=low, max=high, **quantiles)


@dataclass(frozen=True)
class Component:
    """Range and moments of one component of an observation or an action, over all transitions."""

    mean: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Coverage:
    """How one component of the actions covers [-1, 1], by a histogram of :data:`BINS` cells.

    ``entropy`` is that of the histogram divided by its largest value, log BINS: 1 for uniform actions, 0 for a constant.
    ``cells`` is the share of cells with at least one action, ``at_bounds`` that of actions at ±1.
    """

    entropy: float
    cells: float
    at_bounds: float


@dataclass(frozen=True)
class Summary:
    """``scores`` are normalised returns, if reference returns are known; ``terminated`` and ``cut`` count episodes.

    Returns, lengths and ends are those of all episodes of the file, the dropped steps included; observations, actions (in
    [-1, 1]) and their coverage are those of the transitions.
    """

    provenance: Provenance
    episodes: int
    transitions: int
    terminated: int
    cut: int
    rewarded: bool
    returns: Spread
    scores: Spread | None
    lengths: Spread
    observations: tuple[Component, ...]
    actions: tuple[Component, ...]
    coverage: tuple[Coverage, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarize(data: Dataset) -> Summary:
    """The summary of a data set."""
    episodes, terminated = data.episodes, int(data.episodes.terminated.sum())
    known = data.reference is not None and data.rewarded
    scores = np.asarray(data.reference.score(episodes.returns)) if data.reference is not None and known else None
    return Summary(
        provenance=data.provenance,
        episodes=len(episodes.returns),
        transitions=len(data),
        terminated=terminated,
        cut=len(episodes.returns) - terminated,
        rewarded=data.rewarded,
        returns=Spread.of(episodes.returns),
        scores=None if scores is None else Spread.of(scores),
        lengths=Spread.of(episodes.lengths),
        observations=_components(data.s),
        actions=_components(data.a),
        coverage=tuple(_coverage(counts, column) for counts, column in zip(marginals(data), data.a.T, strict=True)),
    )


def marginals(data: Dataset) -> np.ndarray:
    """Transitions by component of the action and cell of [-1, 1] [A, BINS]."""
    edges = np.linspace(-1, 1, BINS + 1)
    return np.stack([np.histogram(column, edges)[0] for column in data.a.T])


def _components(array: np.ndarray) -> tuple[Component, ...]:
    moments = (
        array.mean(axis=0, dtype=np.float64),
        array.std(axis=0, dtype=np.float64),
        array.min(axis=0),
        array.max(axis=0),
    )
    return tuple(Component(*map(float, numbers)) for numbers in zip(*moments, strict=True))


def _coverage(counts: np.ndarray, actions: np.ndarray) -> Coverage:
    shares = counts[counts > 0] / counts.sum()
    # a sum of one cell is -0
    entropy = abs(float(-(shares * np.log(shares)).sum() / np.log(BINS)))
    return Coverage(entropy, float((counts > 0).mean()), float((np.abs(actions) > _AT_BOUND).mean()))


def text(summary: Summary) -> str:
    """The summary for a terminal."""
    return "\n".join([*_lines(summary), "", *_tables(summary)])


def brief(summary: Summary) -> str:
    """The summary in a few lines: origin of the data, returns and lengths of its episodes, coverage of the actions."""
    entropy, cells, at_bounds = (
        float(np.mean([getattr(one, name) for one in summary.coverage])) for name in ("entropy", "cells", "at_bounds")
    )
    actions = f"actions: entropy {entropy:.2f}, {cells:.0%} of the cells, {at_bounds:.0%} at ±1 (means over components)"
    return "\n".join([*_lines(summary), *_episodes(summary), actions])


def _lines(summary: Summary) -> Iterator[str]:
    origin = summary.provenance
    yield f"{origin.name} ({origin.format}, sha256 {origin.sha256[:16]})"
    ends = f"{summary.terminated:,} ended, {summary.cut:,} cut"
    yield f"{summary.episodes:,} episodes ({ends}), {origin.rows:,} steps, {summary.transitions:,} transitions"
    if origin.dropped:
        yield f"dropped: the last step of {origin.dropped:,} cut episodes, whose next observation is not in the file"
    share = origin.clipped / (summary.transitions * len(summary.actions))
    yield f"clipped: {origin.clipped:,} numbers in actions ({share:.2%}), which were outside of the bounds"
    yield from (f"note: {note}" for note in origin.notes)


def _episodes(summary: Summary) -> Iterator[str]:
    rows = {"return": summary.returns if summary.rewarded else None, "score": summary.scores, "length": summary.lengths}
    yield _row("episode", "mean", "std", "min", "5 %", "25 %", "50 %", "75 %", "95 %", "max")
    yield from (_row(name, *asdict(spread).values()) for name, spread in rows.items() if spread is not None)


def _tables(summary: Summary) -> Iterator[str]:
    yield from _episodes(summary)
    yield ""
    yield _row("action", "mean", "std", "min", "max", "entropy", "cells", "at ±1")
    for number, (component, coverage) in enumerate(zip(summary.actions, summary.coverage, strict=True)):
        if number < _MOST_SHOWN:
            yield _row(number, *asdict(component).values(), *asdict(coverage).values())
    yield from _rest(len(summary.actions))
    yield ""
    yield _row("observation", "mean", "std", "min", "max")
    for number, component in enumerate(summary.observations[:_MOST_SHOWN]):
        yield _row(number, *asdict(component).values())
    yield from _rest(len(summary.observations))


def _row(name: str | int, *cells: str | float) -> str:
    return f"{name:<12}" + "".join(f"{cell:>11}" if isinstance(cell, str) else f"{cell:>11.4g}" for cell in cells)


def _rest(count: int) -> Iterator[str]:
    if count > _MOST_SHOWN:
        yield f"... and {count - _MOST_SHOWN} more (all of them with --json)"
