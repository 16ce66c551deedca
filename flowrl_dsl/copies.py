"""What ``from`` names in a spec: sections and the copies of their parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flowrl_dsl.registry import SectionKind, sections


def sources(named: Mapping[str, type[SectionKind]] = MappingProxyType({})) -> dict[str, str]:
    """What actions can be drawn from: the sections that act, under their kinds and as ``named``, and their copies.

    A copy comes with the capability that it needs, a section with nothing.
    """
    found: dict[str, str] = {}
    for owner, cls in {**sections(), **named}.items():
        copies = {copy.group.format(owner): copy.provides.format(owner) for copy in cls.copies}
        found |= {owner: "", **copies} if cls.acts else {}
    return found


@dataclass(frozen=True)
class Readable:
    """What ``from`` in a formula can name: a section with functions, or a copy of its parameters.

    ``functions`` are those it selects the parameters of; ``needs`` is the capability of a copy, empty for a section itself.
    """

    owner: str
    functions: frozenset[str]
    needs: str = ""


def readable(named: Mapping[str, type[SectionKind]] = MappingProxyType({})) -> dict[str, Readable]:
    """The sections and copies that formulas can read, as ``named``, and under their kinds where none of it is named.

    The policy that acts has the name of its kind beside others.
    """
    found: dict[str, Readable] = {}
    kinds = {name: cls for name, cls in sections().items() if cls.acts or cls not in named.values()}
    for owner, cls in {**kinds, **named}.items():
        calls = frozenset(function.name for function in cls.functions if function.copied)
        copies = {copy.group.format(owner): copy.provides.format(owner) for copy in cls.copies if copy.parameters}
        groups = {owner: "", **copies}
        found |= {group: Readable(owner, calls, needs) for group, needs in groups.items() if calls}
    return found
