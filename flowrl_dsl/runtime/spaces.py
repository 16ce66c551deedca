"""What a run records of its task, so that its policy can be used without it: observations, and the bounds of actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowrl_dsl.record import Layout
from flowrl_dsl.runtime.worlds import catalogue

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.logs import RunFolder

Spaces = dict[str, Any]
"""``observation``, the size of one, ``low`` and ``high``; where sections read entries, ``entries`` and ``usual`` ones."""


def spaces_for(task: str, program: Program | None = None) -> Spaces:
    """The spaces of a task, as the program reads its observations."""
    found = catalogue.spaces(task)
    spaces = {"observation": found.observation_size, "low": found.low.tolist(), "high": found.high.tolist()}
    if program is None or program.layout is None:
        return spaces
    layout = program.layout
    return spaces | {"observation": layout.size, "entries": dict(layout.sizes), "usual": list(layout.usual)}


def spaces_of(folder: RunFolder) -> Spaces:
    """The spaces that a run has recorded; of an older run, those of its task."""
    return folder.settings.get("spaces") or spaces_for(folder.said("task"))


def observation_of(spaces: Spaces) -> int | Layout:
    """The size of an observation, or its entries where sections read some of them."""
    entries = spaces.get("entries")
    return spaces["observation"] if entries is None else Layout.of(entries, spaces["usual"])
