"""The page ``reference/taxonomy.md`` and its picture: the place of every shipped spec on the axes, read from the specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.resources import shipped_specs

HEAD = """# Taxonomy

Generated from the specs by `python docs/generate.py`.

An algorithm is a choice on five axes: the **backbone** (the type of the policy's distribution), the **improvement**
mechanism that trains it, the **sampler** that draws actions from it, the **critic** that values them, and the **regime** of
its data with the **targets** that follow the trained parameters.

![Every shipped spec on the five axes: a dot in the column of each of its choices](taxonomy.svg)

In the first table, columns are backbones and rows are mechanisms; a spec with several policies or mechanisms is in several
cells. An empty cell has no shipped spec: it may still be a valid combination, and `flowrl-dsl check` tells.
"""


@dataclass(frozen=True)
class Place:
    """One spec on the axes; ``trained`` pairs the backbone of a policy and a mechanism that improves it."""

    spec: str
    title: str
    paper: str
    regime: str
    backbones: tuple[str, ...]
    samplers: tuple[str, ...]
    trained: tuple[tuple[str, str], ...]
    ensemble: int
    critic: str
    targets: tuple[str, ...]

    @property
    def mechanisms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mechanism for _, mechanism in self.trained))

    @property
    def link(self) -> str:
        return f"[{self.spec}](../../specs/{self.spec}.flowrl)"


def places() -> list[Place]:
    """The shipped specs, in alphabetical order."""
    return [_place(name) for name in shipped_specs()]


def page(places: list[Place]) -> str:
    """The text of the page."""
    lines = [HEAD, "## Backbones and mechanisms", "", *_grid(places), "", "## Every spec", "", *_table(places), ""]
    return "\n".join(lines)


def _place(name: str) -> Place:
    algorithm, _ = resolve_or_raise(name, None, ())
    sections: Any = algorithm.sections
    critic = sections.get("critic")
    policies = {owner: section for owner, section in sections.items() if hasattr(section, "backbone")}
    samplers = (policy.sampler.name for policy in policies.values() if policy.sampler is not None)
    trained = ((policies[block.owner].backbone.name, block.mechanism.name) for block in algorithm.improvements)
    return Place(
        spec=name,
        title=algorithm.title,
        paper=algorithm.paper,
        regime=algorithm.regime.name,
        backbones=tuple(dict.fromkeys(policy.backbone.name for policy in policies.values())),
        samplers=tuple(dict.fromkeys(samplers)) or ("none",),
        trained=tuple(dict.fromkeys(trained)),
        ensemble=0 if critic is None else critic.ensemble,
        critic="none" if critic is None else critic.kind.name,
        targets=tuple(_targets(sections)),
    )


def _targets(sections: Any) -> Iterable[str]:
    """The copies of parameters that the sections keep, with the rule that updates each."""
    for name, section in sections.items():
        for group, copy in section.kept(name).items():
            yield f"{group} by {getattr(section, copy.option).name}"


def _grid(places: list[Place]) -> Iterable[str]:
    backbones = sorted({name for place in places for name in place.backbones})
    mechanisms = sorted({name for place in places for name in place.mechanisms})
    yield "| | " + " | ".join(f"`{name}`" for name in backbones) + " |"
    yield "|---|" + "---|" * len(backbones)
    for mechanism in mechanisms:
        cells = [[place.link for place in places if (backbone, mechanism) in place.trained] for backbone in backbones]
        yield f"| `{mechanism}` | " + " | ".join(", ".join(cell) for cell in cells) + " |"


def _table(places: list[Place]) -> Iterable[str]:
    yield "| spec | | backbone | improvement | sampler | critic | regime | targets |"
    yield "|---|---|---|---|---|---|---|---|"
    for p in places:
        paper = f" ({p.paper})" if p.paper.startswith("arXiv") else ""
        critic = f"{p.critic}, {p.ensemble} members" if p.ensemble > 1 else p.critic
        cells = [
            p.link,
            f"{p.title}{paper}",
            ", ".join(p.backbones),
            " + ".join(p.mechanisms),
            ", ".join(p.samplers),
            critic,
        ]
        yield "| " + " | ".join([*cells, p.regime, ", ".join(p.targets)]) + " |"


AXES: dict[str, Callable[[Place], Iterable[str]]] = {
    "regime": lambda place: (place.regime,),
    "backbone": lambda place: place.backbones,
    "improvement": lambda place: place.mechanisms,
    "sampler": lambda place: place.samplers,
    "critic": lambda place: (place.critic,),
    "targets": lambda place: place.targets or ("none",),
}
"""The choices of a spec on each axis."""
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7a6a00")
_ROW, _COLUMN, _BETWEEN, _LEFT, _TOP = 19, 20, 24, 112, 160
"""Pixels of a row, of a column, between axes, and of the labels."""


def picture(places: list[Place]) -> str:
    """Specs as rows and choices as columns, as SVG."""
    columns = [(axis, choice) for axis, of in AXES.items() for choice in _sorted(of, places)]
    known = list(AXES)
    at = {column: _LEFT + k * _COLUMN + known.index(column[0]) * _BETWEEN for k, column in enumerate(columns)}
    width, height = max(at.values()) + _COLUMN + 70, _TOP + len(places) * _ROW + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for (axis, choice), x in at.items():
        color, middle = _COLORS[known.index(axis)], x + _COLUMN / 2
        lines.append(
            f'<g transform="translate({middle + 4:.1f} {_TOP - 8}) rotate(-55)"><text fill="{color}">{choice}</text></g>'
        )
    for axis in known:
        first = min(x for (name, _), x in at.items() if name == axis)
        lines.append(f'<text x="{first + 3}" y="16" font-weight="bold" fill="{_COLORS[known.index(axis)]}">{axis}</text>')
    for number, place in enumerate(places):
        lines += _dots(place, at, _TOP + number * _ROW, width if number % 2 == 0 else 0)
    return "\n".join([*lines, "</svg>", ""])


def _sorted(of: Callable[[Place], Iterable[str]], places: list[Place]) -> list[str]:
    """The choices on an axis in alphabetical order, none of them last."""
    return sorted({choice for place in places for choice in of(place)}, key=lambda choice: (choice == "none", choice))


def _dots(spec: Place, at: dict[tuple[str, str], int], y: int, shaded: int) -> Iterable[str]:
    """The row of one spec; every second one is shaded, ``shaded`` pixels wide."""
    if shaded:
        yield f'<rect x="0" y="{y}" width="{shaded}" height="{_ROW}" fill="#f4f5f7"/>'
    yield f'<text x="8" y="{y + 14}" fill="#222">{spec.spec}</text>'
    for number, (axis, of) in enumerate(AXES.items()):
        for choice in of(spec):
            place = f'cx="{at[axis, choice] + _COLUMN / 2:.1f}" cy="{y + _ROW / 2:.1f}" r="5"'
            yield f'<circle {place} fill="{_COLORS[number]}"><title>{choice}</title></circle>'
