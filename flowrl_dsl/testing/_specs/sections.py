"""Sections: a backbone with all its requirements, then the options of each section."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hypothesis import reject
from hypothesis import strategies as st

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.components.sections.critic import FOLLOWING, PROPOSED, READ_BY_BACKUP
from flowrl_dsl.registry import Component, SectionKind, families, members_of, providers, sections
from flowrl_dsl.spec.compatibility import provided, unread
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.testing._specs.draft import Draft
from flowrl_dsl.testing._specs.options import OptionWriter

_WORD = re.compile(r"\w+")


@dataclass
class SectionWriter:
    """Writes sections."""

    draft: Draft
    options: OptionWriter

    def policy(self, owner: str, helping: Sequence[str]) -> dict[str, dict[str, str]]:
        """A backbone for a policy, and for each missing requirement an option of one of the sections ``helping``.

        Returns the options so far, keyed by section.
        """
        with self.draft.writing_for(owner):
            there = self.draft.capabilities
            offered = there | {c for section in helping for kind in members_of(section).values() for c in kind.provides}
            possible = {
                name: cls
                for name, cls in members_of("backbone").items()
                if all(_helper(helping, need, offered | cls.provides) for need in cls.requires - there)
            }
            backbone = possible[self.draft.pick("backbone", possible)]
            with self.draft.supposing(*backbone.provides, *backbone.requires):
                return self._helped(backbone, helping, backbone.requires - there, offered)

    def _helped(
        self, backbone: type[Component], helping: Sequence[str], lacking: Collection[str], offered: Collection[str]
    ) -> dict[str, dict[str, str]]:
        given: dict[str, dict[str, str]] = {section: {} for section in helping}
        given[POLICY]["backbone"] = self.options.call(backbone)
        built, _ = self.draft.built("backbone", given[POLICY]["backbone"])
        self.draft.provide(*(_provided(built, "backbone") if built is not None else ()))
        # the kind of critic determines which samplers can follow it
        by_others = [need for need in sorted(lacking) if need in offered]
        for need in [*by_others, *sorted({*lacking} - {*by_others})]:
            helper = _helper(helping, need, self.draft.capabilities)
            if helper is None:
                return reject()
            member = members_of(helper.family)[self.draft.pick(helper.family, helper.members)]
            self._help(helper, given[helper.section], member)
            self.draft.provide(*member.provides)
        return given

    def _help(self, helper: Helper, options: dict[str, str], member: type[Component]) -> None:
        """Set an option of a section to a call of a component compatible with the other options, in a few attempts."""
        for _ in range(6):
            before, asked = self.draft.declared.copy(), dict(self.draft.including)
            options[helper.option] = self.options.call(member)
            _, scope = self.draft.section_of(helper.section, sections()[helper.section], options)
            if not scope.diagnostics.errors:
                return
            self.draft.declared, self.draft.including = before, asked
        reject()

    def structure(self, owner: str, cls: type[SectionKind], given: dict[str, str]) -> dict[str, str]:
        """The structural options of a section; the capabilities they provide are recorded."""
        with self.draft.writing_for(owner if cls.acts else POLICY):
            options = self._shaping(owner, cls, given)
            section, scope = self.draft.section_of(owner, cls, options)
            provide = self.draft.provide if cls.acts else self.draft.share
            for reached in scope.reached:
                provide(*_provided(reached.component, reached.path))
        assert isinstance(section, SectionKind)
        self.draft.share(*(copy.provides.format(owner) for copy in section.kept(owner).values()))
        return options

    def _shaping(self, owner: str, cls: type[SectionKind], given: dict[str, str]) -> dict[str, str]:
        options = dict(given)
        silent = unread(self.draft.section_of(owner, cls, options)[0]).keys() - READ_BY_BACKUP.keys()
        for name, kind in kinds(cls).items():
            helps = kind.role == "component" and kind.optional and kind.family in {*_helping_families(), *_of_others()}
            if name in options or name in silent or helps or kind.role not in ("component", "literal"):
                continue
            kept = kind.optional and kind.default not in (None, "none")
            if kept and self.draft.draw(st.integers(0, 3)) == 3:
                options[name] = "none"
                continue
            text = self.options.option(cls, name, kind, self.draft.perhaps())
            if text is None and kind.role == "component" and kind.family == "network":
                text = self.options.component("network")
            options |= {} if text is None else {name: text}
        return options

    def base(self, owner: str) -> dict[str, str]:
        """Perhaps a base for a policy, by which it is made of the one that acts."""
        with self.draft.writing_for(owner):
            there = self.draft.provided_by(POLICY)
            possible = {
                name: cls for name, cls in members_of("base").items() if frozenset().union(*cls.of_source.values()) <= there
            }
            wanted = self.draft.including.get("base") in possible or self.draft.perhaps()
            if not (possible and wanted and "reparameterized" in self.draft.capabilities):
                return {}
            cls = possible[self.draft.pick("base", possible)]
            drawn = [(name, kind) for name, kind in kinds(cls).items() if kind.role == "drawn"]
            texts = [f"{name} = {self.options.scalar(kind, kind.interval)} from {POLICY}" for name, kind in drawn]
        self.draft.based(owner, cls)
        return {"base": f"{cls.name}({', '.join(texts)})"}

    def _formulas(self, cls: type[SectionKind], lets: list[str], given: Collection[str]) -> dict[str, str | None]:
        """The formulas of a section with the options ``given``; None for one that keeps its default."""
        found: dict[str, str | None] = {}
        for key, kind in kinds(cls).items():
            if kind.slot is None:
                continue
            absent = kind.optional and not (
                "log_prob" in self.draft.capabilities and self.draft.draw(st.integers(0, 5)) == 5
            )
            written = (
                kind.default is None or self.draft.perhaps() or (not kind.optional and not self.options.understands(kind))
            )
            found[key] = self.options.formula(kind.slot.given(given), lets) if written and not absent else None
        return found

    def section(self, owner: str, cls: type[SectionKind], structure: dict[str, str], blocks: Sequence[str] = ()) -> str:
        """A section with its options and ``improve`` blocks; possibly empty if all its options are default."""
        lets: list[str] = []
        options = dict(structure)
        formulas = self._formulas(cls, lets, structure)
        if "seen" in options and "within_seen" not in _WORD.findall(" ".join([formulas["backup"] or "", *lets])):
            formulas["backup"] = f"within_seen({formulas['backup'] or kinds(cls)['backup'].default})"
        options |= {key: text for key, text in formulas.items() if text is not None}
        texts = [text or kinds(cls)[key].default or "" for key, text in formulas.items()]
        read = set(_WORD.findall(" ".join([*texts, *lets])))
        for key, kind in kinds(cls).items():
            names = set(READ_BY_FORMULAS.get(key, ())) if cls.name == "critic" else set()
            unread, asked = bool(names) and not names & read, kind.role == "literal" and bool(names & read)
            shaping = kind.role in ("component", "literal") and bool(structure) and not asked
            if cls.name == "act" and key == "chunk" and self.draft.steps_alone:
                continue
            rare = kind.role == "literal" and not structure and key != "batch" and self.draft.draw(st.integers(0, 3)) < 3
            if key in options or kind.role == "formula" or shaping or unread or rare or key in _shaping_formulas(cls):
                continue
            text = self.options.option(cls, key, kind, bool(names) or self.draft.perhaps())
            options |= {} if text is None else {key: text}
        self.draft.steps_alone |= bool(FOLLOWING & read) or int(options.get("n_step", 1)) > 1
        name = cls.name if owner == cls.name else f"{cls.name} {owner}"
        lines = [*lets, *(f"{key} = {text}" for key, text in options.items()), *blocks]
        if not lines and self.draft.perhaps():
            return ""
        return f"{name} {{ {'  '.join(lines)} }}" if self.draft.perhaps() else f"{name} {{\n" + "\n".join(lines) + "\n}"


def _shaping_formulas(cls: type[SectionKind]) -> set[str]:
    """Options that decide which values a formula sees, or their axes: they are given before it is written, or not at all."""
    slots = [kind.slot for kind in kinds(cls).values() if kind.slot is not None]
    found = {option for slot in slots for option in (*slot.several, *slot.drawn_by.values())}
    return found - READ_BY_FORMULAS.keys()


READ_BY_FORMULAS = {**READ_BY_BACKUP, "proposals": PROPOSED, "horizon": ("return_to_go",)}
"""Options of a critic, and the words of its formulas that read them."""


@dataclass(frozen=True)
class Helper:
    """An option of a section, and its admissible components that provide a requirement of another component."""

    section: str
    option: str
    family: str
    members: tuple[str, ...]


def _helper(helping: Sequence[str], need: str, provided: Collection[str]) -> Helper | None:
    for section in helping:
        for name, kind in kinds(sections()[section]).items():
            members = members_of(kind.family) if kind.role == "component" else {}
            fitting = [n for n, member in members.items() if need in member.provides and member.requires <= set(provided)]
            if fitting:
                return Helper(section, name, kind.family, tuple(fitting))
    return None


def _helping_families() -> set[str]:
    """Families whose members exist to provide requirements of others; they are unread if no component requires them."""
    needed = {need for cls in members_of("backbone").values() for need in cls.requires}
    return {family for need in needed for family in providers(need)}


def _of_others() -> set[str]:
    """Families whose members draw from a policy that is not the one they belong to."""
    return {name for name, members in families().items() if any(cls.passes is not None for cls in members.values())}


def _provided(component: Component, path: str) -> frozenset[str]:
    try:
        return provided(component, path)
    except (AttributeError, TypeError):
        return component.provides
