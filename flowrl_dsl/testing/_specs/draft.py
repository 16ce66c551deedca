"""A partial spec: the declarations and capabilities so far, and the choices that remain open."""

from __future__ import annotations

import itertools
import keyword
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from flowrl_dsl.algorithm import POLICY, RESERVED, Parameter
from flowrl_dsl.copies import readable, sources
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.lazy import MODULES
from flowrl_dsl.registry import Component, SectionKind, families, functions, members_of, sections
from flowrl_dsl.spec import stdlib
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.options import Options
from flowrl_dsl.spec.order import parts
from flowrl_dsl.spec.parameters import taken
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.parser import parse, parse_expression
from flowrl_dsl.testing._formulas import Draw

PLACE = Span("generated", 1, 1, 1, 1)
_NAMES = ("temperature", "tau", "rho", "beta", "g", "w", "kappa", "x1", "lower")
SOURCES = tuple(sources())
_STATE = ("state", "key", "step", "normalizer", "policy_opt", "critic_target", *SOURCES)
_AWKWARD = (
    *MODULES,
    *keyword.kwlist,
    *(f"{part}_new" for part in parts()),
    *("float", "partial", "loss", "policy_net"),
    *_STATE,
)


OF_ACTING = frozenset({"step_log_prob", "step_entropy"})
"""Capabilities that are of use to the policy that acts alone."""


@dataclass
class Declared:
    """Parameters and definitions, as lines of the spec and in the form the checker requires."""

    lines: list[str] = field(default_factory=list)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=list)

    def define(self, line: str) -> None:
        self.lines.append(line)
        self.definitions.append(line)

    def copy(self) -> Declared:
        return Declared(list(self.lines), dict(self.parameters), list(self.definitions))


@dataclass
class Draft:
    """The spec under construction.

    ``including`` requests components by family (``{"backbone": "diffusion"}``): each is used at the first position it fits.
    Declarations are collected when a part of the spec needs them, so that none is unused.  ``policies`` are the sections
    with a policy under their own names, ``trainers`` the policies whose stages train the critic, ``ensemble`` is the
    number of the critic's members, and ``steps_alone`` whether a part is about single steps, not about chunks.  Sections
    name no entries of observations if they read ``whole_observations``.
    """

    draw: Draw
    including: dict[str, str]
    declared: Declared = field(default_factory=Declared)
    names: set[str] = field(default_factory=set)
    declaring: bool = False
    policies: dict[str, type[SectionKind]] = field(default_factory=dict)
    trainers: set[str] = field(default_factory=set)
    ensemble: int = 1
    steps_alone: bool = False
    whole_observations: bool = True
    _owner: str = POLICY
    _shared: set[str] = field(default_factory=set)
    _own: dict[str, set[str]] = field(default_factory=dict)

    @property
    def capabilities(self) -> set[str]:
        """The capabilities provided to the current policy; other policies provide only their copies."""
        return self.provided_by(self._owner)

    def provided_by(self, source: str) -> set[str]:
        """The capabilities provided to the policy that a source of actions refers to, directly or as a copy."""
        return self._shared | self._own.get(self.owner_of(source), set())

    def owner_of(self, source: str) -> str:
        """The policy that a source of actions refers to, directly or as a copy."""
        copies = {copy.group.format(owner): owner for owner, cls in self.policies.items() for copy in cls.copies}
        return source if source in self.policies else copies.get(source, POLICY)

    def provide(self, *capabilities: str) -> None:
        """Record capabilities that the current policy provides to the parts written for it."""
        usable = set(capabilities) - (set() if self._owner == POLICY else OF_ACTING)
        self._own.setdefault(self._owner, set()).update(usable)

    def based(self, owner: str, base: type[Component]) -> None:
        """Record that a policy is made of another one: it has what its base passes on, and what that provides itself."""
        own = self._own.setdefault(owner, set())
        own &= base.passes or set()
        own |= base.provides

    def share(self, *capabilities: str) -> None:
        """Record capabilities provided to all policies."""
        self._shared.update(capabilities)

    @contextmanager
    def writing_for(self, owner: str) -> Iterator[None]:
        """A context in which all generated parts belong to, or are for, this policy."""
        self._owner, before = owner, self._owner
        yield
        self._owner = before

    @contextmanager
    def supposing(self, *capabilities: str) -> Iterator[None]:
        """A context with these additional capabilities; capabilities provided inside are local to it."""
        before = {owner: set(own) for owner, own in self._own.items()}
        self.provide(*capabilities)
        yield
        self._own = before

    def sources(self) -> dict[str, str]:
        """The sources of actions, with the capability that each requires."""
        return sources(self.policies)

    def copies(self) -> dict[str, list[str]]:
        """The sections and copies that each function of a formula may read."""
        found: dict[str, list[str]] = {}
        for source, read in readable(self.policies).items():
            there = self.provided_by(read.owner)
            for name in read.functions if not read.needs or read.needs in there else ():
                if functions()[name].needs in there:
                    found.setdefault(name, []).append(source)
        return found

    def one_of(self, options: Iterable[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def perhaps(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, family: str, possible: Collection[str]) -> str:
        """One of the possible components of a family; a requested component is picked once."""
        wanted = self.including.get(family)
        if wanted in possible:
            del self.including[family]
            return typing.cast(str, wanted)
        return self.one_of(sorted(possible))

    def asked(self, family: str) -> bool:
        """Whether a requested component of the family is still pending and possible here."""
        return self.including.get(family) in self.members_of(family, self.capabilities)

    def name(self, allowed: Callable[[str], bool] = lambda name: True) -> str:
        """A name that is free in the language: an ordinary one, or one with a meaning in Python or JAX."""
        used = {*self.names, *stdlib.definitions(), *language().keywords, *_values_of_slots()}
        possible = [*_NAMES, *_AWKWARD] if self.perhaps() else _NAMES
        free = [name for name in possible if name not in used and not taken(name) and allowed(name)]
        fallback = next(name for i in itertools.count() if (name := f"y{i}") not in self.names)
        name = self.one_of(free or [fallback])
        self.names.add(name)
        return name

    def name_of_policy(self) -> str:
        """A free name that is not that of a group of the state."""
        owners = {*sections(), *self.policies}
        return self.name(
            lambda name: (
                name not in RESERVED and not any(name.startswith(f"{owner}_") or name == f"old_{owner}" for owner in owners)
            )
        )

    def members_of(self, family: str, capabilities: Collection[str]) -> dict[str, type[Component]]:
        """The components of a family whose requirements are satisfied."""
        return {name: cls for name, cls in members_of(family).items() if cls.requires <= set(capabilities)}

    def built(self, family: str, text: str) -> tuple[Component | None, Scope]:
        """The component that a text denotes, and the scope after checking it."""
        scope = self.scope()
        expr, _ = parse_expression(text, "generated")
        return (None if expr is None else Options(scope).component(family, expr, Site("generated", PLACE))), scope

    def scope(self) -> Scope:
        scope = Scope(Diagnostics(), dict(self.declared.parameters), library=stdlib.LIBRARY, sources=self.sources())
        scope.readable = readable(self.policies)
        written = parse("\n".join(self.declared.definitions), "generated")[0] if self.declared.definitions else None
        scope.defines = {**stdlib.definitions(), **{d.name.id: d for d in (written.definitions if written else ())}}
        return scope

    def section_of(self, owner: str, cls: type[Component], options: Mapping[str, str]) -> tuple[Component, Scope]:
        """The section that the checker builds from these options, and the scope after checking it."""
        scope = self.scope()
        parsed = {name: parse_expression(text, "generated")[0] for name, text in options.items()}
        known = {name: expr for name, expr in parsed.items() if expr is not None}
        return Options(scope).build(cls, known, PLACE, Site(owner, PLACE)), scope


def _values_of_slots() -> set[str]:
    """Names with a meaning in some slot."""
    found = set()
    for members in families().values():
        for cls in members.values():
            shapes = [kind.slot for kind in kinds(cls).values() if kind.slot is not None]
            found |= {name for shape in shapes for name in (*shape.values, *shape.sizes)}
    return found
