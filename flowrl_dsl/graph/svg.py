"""A picture of a graph as SVG: a column for each stage, values below those that they are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from flowrl_dsl.graph.picture import Arrow, Box, Picture

FILLS = {
    "network": "#d6e6f4",
    "loss": "#fbdfce",
    "step": "#d3eade",
    "noise": "#ece2f3",
    "value": "#f1f1f1",
    "input": "#ffffff",
}
"""Colours of the kinds of boxes: tints of those of the plots."""
LEGEND = {"network": "network", "noise": "noise", "value": "formula", "loss": "loss and gradient", "step": "new parameters"}
_WIDTH, _HEIGHT, _GAP, _DROP = 160, 38, 16, 34
"""Pixels of a box, between boxes of a row, and between rows."""
_MARGIN, _BETWEEN, _HEAD = 24, 40, 34
"""Pixels around a stage, between stages, and of its heading."""
_SWEEPS = 4
_FONT = "font-family='Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class _Place:
    """The upper left corner of a box."""

    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2


def svg(picture: Picture) -> str:
    """The picture as the text of an SVG file."""
    places: dict[str, _Place] = {}
    frames: list[tuple[str, float, float, float]] = []
    left, top, tallest = float(_MARGIN), 64.0, 0.0
    for stage in picture.stages:
        rows = _rows(picture, stage)
        widest = max(map(len, rows))
        width = widest * _WIDTH + (widest - 1) * _GAP + 2 * _MARGIN
        for number, row in enumerate(rows):
            indent = (width - len(row) * _WIDTH - (len(row) - 1) * _GAP) / 2
            for position, name in enumerate(row):
                x = left + indent + position * (_WIDTH + _GAP)
                places[name] = _Place(x, top + _HEAD + number * (_HEIGHT + _DROP))
        height = _HEAD + len(rows) * (_HEIGHT + _DROP) - _DROP + _MARGIN
        frames.append((stage, left, width, height))
        left, tallest = left + width + _BETWEEN, max(tallest, height)
    total = left - _BETWEEN + _MARGIN, top + tallest + _MARGIN
    return "\n".join(_document(picture, places, frames, total, top)) + "\n"


def _rows(picture: Picture, stage: str) -> list[list[str]]:
    """The boxes of a stage in rows, each below what it reads, ordered so that few arrows cross."""
    names = [box.name for box in picture.boxes.values() if box.stage == stage]
    inside = set(names)
    reads = {name: [a.source for a in picture.arrows if a.target == name and a.source in inside] for name in names}
    reader = {name: [a.target for a in picture.arrows if a.source == name and a.target in inside] for name in names}
    depth: dict[str, int] = {}
    for name in names:  # the graph's order has every value after those it reads
        depth[name] = 1 + max((depth[source] for source in reads[name]), default=-1)
    for name in reversed(names):  # an input stands just above its first reader
        if not reads[name] and reader[name]:
            depth[name] = min(depth[target] for target in reader[name]) - 1
    rows = [[name for name in names if depth[name] == level] for level in range(max(depth.values()) + 1)]
    for _ in range(_SWEEPS):
        _arrange(rows, reads)
        _arrange(rows[::-1], reader)
    return rows


def _arrange(rows: list[list[str]], neighbours: dict[str, list[str]]) -> None:
    """Sort every row by the mean position of each box's neighbours, measured from the middle of their rows."""
    at: dict[str, float] = {}
    for row in rows:
        means = {name: [at[n] for n in neighbours[name] if n in at] for name in row}
        start = {name: position - (len(row) - 1) / 2 for position, name in enumerate(row)}
        row.sort(key=lambda name: sum(means[name]) / len(means[name]) if means[name] else start[name])
        at |= {name: position - (len(row) - 1) / 2 for position, name in enumerate(row)}


def _document(
    picture: Picture,
    places: dict[str, _Place],
    frames: list[tuple[str, float, float, float]],
    total: tuple[float, float],
    top: float,
) -> Iterator[str]:
    width, height = (f"{value:.0f}" for value in total)
    size = f"width='{width}' height='{height}' viewBox='0 0 {width} {height}'"
    yield f"<svg xmlns='http://www.w3.org/2000/svg' {size} {_FONT} font-size='11'>"
    yield f"<title>{escape(picture.title)}</title>"
    yield "<defs>"
    for name, color in (("arrow", "#777"), ("version", "#009E73")):
        shape = f"<path d='M0 0L7 3L0 6z' fill='{color}'/>"
        yield f"<marker id='{name}' markerWidth='7' markerHeight='6' refX='6.5' refY='3' orient='auto'>{shape}</marker>"
    yield "</defs>"
    yield f"<rect width='{width}' height='{height}' fill='white'/>"
    yield f"<text x='{_MARGIN}' y='28' font-size='15' font-weight='bold'>{escape(picture.title)}</text>"
    yield from _legend()
    for stage, left, wide, tall in frames:
        box = f"x='{left:.0f}' y='{top:.0f}' width='{wide:.0f}' height='{tall:.0f}'"
        yield f"<rect {box} rx='8' fill='#fcfcfc' stroke='#c8c8c8'/>"
        yield f"<text x='{left + 12:.0f}' y='{top + 20:.0f}' font-size='13' font-weight='bold'>{escape(stage)}</text>"
    yield from (_arrow(arrow, picture, places) for arrow in picture.arrows)
    yield from (_box(box, places[box.name]) for box in picture.boxes.values())
    yield "</svg>"


def _legend() -> Iterator[str]:
    x = float(_MARGIN)
    for kind, label in LEGEND.items():
        yield f"<rect x='{x:.0f}' y='40' width='14' height='11' rx='2' fill='{FILLS[kind]}' stroke='#999'/>"
        yield f"<text x='{x + 19:.0f}' y='50' fill='#444'>{label}</text>"
        x += 34 + 6.2 * len(label)
    yield f"<path d='M{x:.0f} 46h26' stroke='#777' stroke-dasharray='4 3'/>"
    yield f"<text x='{x + 32:.0f}' y='50' fill='#444'>no gradient passes</text>"


def _box(box: Box, place: _Place) -> str:
    rounded = _HEIGHT // 2 if box.kind == "input" else 4
    border = "stroke='#009E73' stroke-width='1.6'" if box.writes else "stroke='#999'"
    shape = f"x='{place.x:.0f}' y='{place.y:.0f}' width='{_WIDTH}' height='{_HEIGHT}' rx='{rounded}'"
    title = f"<text x='{place.middle:.0f}' y='{place.y + 15:.0f}' text-anchor='middle' font-weight='bold'"
    detail = f"<text x='{place.middle:.0f}' y='{place.y + 29:.0f}' text-anchor='middle' fill='#444' font-size='10'"
    return (
        f"<g><title>{escape(box.name)}</title><rect {shape} fill='{FILLS[box.kind]}' {border}/>"
        f"{title}>{escape(box.title)}</text>{detail}>{escape(_short(box.detail))}</text></g>"
    )


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _arrow(arrow: Arrow, picture: Picture, places: dict[str, _Place]) -> str:
    source, target = places[arrow.source], places[arrow.target]
    dashes = " stroke-dasharray='4 3'" if arrow.stopped else ""
    if picture.boxes[arrow.source].stage != picture.boxes[arrow.target].stage:
        forward = target.x > source.x
        x, y = source.x + (_WIDTH if forward else 0), source.y + _HEIGHT / 2
        u, v = target.x + (0 if forward else _WIDTH), target.y + _HEIGHT / 2
        reach = max(40.0, abs(u - x) / 2) * (1 if forward else -1)
        path = f"M{x:.0f} {y:.0f}C{x + reach:.0f} {y:.0f} {u - reach:.0f} {v:.0f} {u:.0f} {v:.0f}"
        return f"<path d='{path}' fill='none' stroke='#009E73' stroke-width='1.4' marker-end='url(#version)'{dashes}/>"
    x, y, u, v = source.middle, source.y + _HEIGHT, target.middle, target.y
    bend = max(_DROP * 0.6, (v - y) / 2)
    path = f"M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {u:.0f} {v - bend:.0f} {u:.0f} {v:.0f}"
    return f"<path d='{path}' fill='none' stroke='#777' marker-end='url(#arrow)'{dashes}/>"
