"""Named axes: what the dimensions of a value mean, and in which order they stand.

Every array of the update graph lists its axes by name, always in the order of :data:`AXES`.  Two values therefore meet
without anybody counting dimensions: the result has the union of their axes, and a missing axis is broadcast.
"""

from __future__ import annotations

from collections.abc import Iterable

AXES: dict[str, str] = {
    "ensemble": "members of a critic ensemble (E)",
    "batch": "transitions of a batch (B)",
    "state": "the states of the batch in which the policy is measured: the first few, or all",
    "particle": "candidate actions of one state (N)",
    "other": "further actions of one state, which candidates are compared with",
    "reverse": "reverse samples of one noisy action (M)",
    "draw": "noisy versions of one action",
    "denoise": "denoising steps of one action, from noise to action (K)",
    "window": "consecutive steps of one environment (n)",
    "obs": "components of an observation (O)",
    "action": "components of an action (A)",
}

Axes = tuple[str, ...]

MANY_ACTIONS: Axes = ("particle", "other", "reverse")
"""The axes of several actions per state."""

_ORDER = {name: position for position, name in enumerate(AXES)}


def ordered(axes: Iterable[str]) -> Axes:
    """The given axes without repeats, in canonical order."""
    return tuple(sorted(set(axes), key=_ORDER.__getitem__))


def union(*several: Iterable[str]) -> Axes:
    """Axes of the result when values with these axes meet."""
    return ordered(axis for axes in several for axis in axes)


def without(axes: Iterable[str], *removed: str) -> Axes:
    return tuple(axis for axis in axes if axis not in removed)


def show(axes: Iterable[str]) -> str:
    """``[batch, action]``, as diagnostics and the graph's text form write it."""
    return "[" + ", ".join(axes) + "]"
