"""Literal values within their bounds: widths, counts, words, and numbers that are not inputs of the program."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from hypothesis import strategies as st

from flowrl_dsl.components.entries import OPTION
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.kinds import choices, without_none
from flowrl_dsl.testing._specs.draft import Draft

WIDTHS = (4, 8)
"""Widths of generated networks."""
BATCHES = (7, 7, 1)
"""Rows of generated batches: more than any other axis has, so that none passes for the batch; or a single one."""
NUMBERS = (0.5, 0.1, 0.25, 0.9, 1.0, 0.05, 2.0, -0.5)
ENTRIES = ("x", "y", "[x, y]")
"""What a section reads of observations in entries."""
FACTORS = (1.0, 0.5, 0.75, 1.25)
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")


def literal(draft: Draft, cls: type[Component], name: str) -> str | None:
    """A literal value within its bounds: a small integer, or a float near its default."""
    info = cls.model_fields[name]
    annotation, _ = without_none(info.annotation)
    default = None if info.is_required() else info.default
    bounds = {key: getattr(mark, key) for mark in info.metadata for key in _BOUNDS if hasattr(mark, key)}
    if name == OPTION:
        return None if draft.whole_observations else draft.one_of(ENTRIES)
    if choices(annotation):
        return draft.one_of(choices(annotation)) if default is None or draft.perhaps() else None
    if typing.get_origin(annotation) in (tuple, list):
        least = max((m.min_length for m in info.metadata if hasattr(m, "min_length")), default=0)
        sizes = draft.draw(st.lists(st.sampled_from(WIDTHS), min_size=least, max_size=max(least, 1) + 1))
        return "[" + ", ".join(map(str, sizes)) + "]"
    if annotation is bool:
        return draft.one_of(("true", "false")) if default is None or draft.perhaps() else None
    if name == "batch":
        return str(draft.one_of(BATCHES))
    if annotation is int:
        small = _small(bounds)
        return str(draft.one_of([*small[:1], *small]))  # large values are slow to compile
    if annotation is float:
        near = [rounded((1.0 if default is None else default) * factor) for factor in FACTORS]
        near = [*near[:1], *NUMBERS] if default == 0 else near
        allowed = [x for x in near if _within(x, bounds)]
        return f"{draft.one_of(allowed):g}" if allowed and (default is None or draft.perhaps()) else None
    return None if default is not None else '"x"'


def _small(bounds: Mapping[str, int]) -> list[int]:
    """The smallest integers within the bounds, at most three."""
    step = bounds.get("multiple_of", 1)
    least = max(bounds.get("ge", bounds.get("gt", 0) + 1), 0)
    first = -(-least // step) * step
    return [n for n in range(first, first + 3 * step, step) if n <= bounds.get("le", n)]


def rounded(value: float) -> float:
    """The value rounded to the three digits that are written."""
    return float(f"{value:.3g}")


def _within(value: float, bounds: Mapping[str, float]) -> bool:
    low = value > bounds.get("gt", value - 1) and value >= bounds.get("ge", value)
    return low and value < bounds.get("lt", value + 1) and value <= bounds.get("le", value)
