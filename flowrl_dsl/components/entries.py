"""Entries of dictionary observations: what each section reads of the vector that a world makes of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from flowrl_dsl.graph.builder import Builder, Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import ENTRIES
from flowrl_dsl.lazy import jnp
from flowrl_dsl.record import Layout

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm

Entries = str | Annotated[tuple[str, ...], Field(min_length=1)]
"""One entry, or several."""
OPTION = "observation"
MEANING = (
    "entry of dictionary observations that it reads, or a list of them; none for those a policy of the task usually reads"
)


@kernel
def entries_read(s, ranges):
    """The components of observations [..., obs] in these ranges, in order."""
    parts = [s[..., start:end] for start, end in ranges]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)


def names_of(algorithm: Algorithm, owner: str) -> tuple[str, ...]:
    """The entries that a section names; a policy without parameters reads those of the critic that it follows."""
    sections: Any = algorithm.sections
    section = sections[owner]
    if section.acts and not section.trains and "critic" in sections:
        section = sections["critic"]
    chosen: Any = getattr(section, OPTION, None)
    return (chosen,) if isinstance(chosen, str) else tuple(chosen or ())


def named(algorithm: Algorithm) -> dict[str, str]:
    """The entries that an algorithm names, each with the first section that does."""
    found: dict[str, str] = {}
    for owner in algorithm.sections:
        for name in names_of(algorithm, owner):
            found.setdefault(name, owner)
    return found


def part(builder: Builder, layout: Layout, names: tuple[str, ...], s: Value) -> Value:
    """These entries of observations [..., obs], which have the axis ``obs`` as well."""
    return builder.add(ENTRIES, call(entries_read, Arg(0), layout.ranges(names)), (s,), s.type, "entries")
