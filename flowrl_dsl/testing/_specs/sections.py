"""Sections: a backbone with all that it needs, then the options of each section."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hypothesis import reject
from hypothesis import strategies as st

from flowrl_dsl.components.sections.critic import READ_BY_BACKUP
from flowrl_dsl.registry import Component, members_of, providers
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

    def backbone_and_helpers(self, sections: Mapping[str, type[Component]]) -> dict[str, dict[str, str]]:
        """A backbone, and for each thing it needs an option, of the critic or of the policy itself, that provides it."""
        offered = {c for kind in members_of("critic").values() for c in kind.provides}
        possible = {
            name: cls
            for name, cls in members_of("backbone").items()
            if all(_helper(sections, need, offered | cls.provides) for need in cls.requires)
        }
        backbone = possible[self.draft.pick("backbone", possible)]
        kept = self.draft.capabilities
        self.draft.capabilities = kept | backbone.provides | backbone.requires
        given: dict[str, dict[str, str]] = {"critic": {}, "policy": {"backbone": self.options.call(backbone)}}
        built, _ = self.draft.built("backbone", given["policy"]["backbone"])
        self.draft.capabilities |= _provided(built) if built is not None else frozenset()
        # what the critic is decides which samplers can follow it
        by_critic = [need for need in sorted(backbone.requires) if need in offered]
        for need in [*by_critic, *sorted(backbone.requires - {*by_critic})]:
            helper = _helper(sections, need, self.draft.capabilities)
            if helper is None:
                return reject()
            member = members_of(helper.family)[self.draft.pick(helper.family, helper.members)]
            self._help(sections[helper.section], given[helper.section], helper.option, member)
            self.draft.capabilities |= member.provides
        self.draft.capabilities = kept
        return given

    def _help(self, section: type[Component], options: dict[str, str], option: str, member: type[Component]) -> None:
        """Set an option of a section to a call of a component that does not contradict the others; some tries for one."""
        for _ in range(6):
            before, asked = self.draft.declared.copy(), dict(self.draft.including)
            options[option] = self.options.call(member)
            scope = self.draft.scope()
            self.draft.section_of(section, options, scope)
            if not scope.diagnostics.errors:
                return
            self.draft.declared, self.draft.including = before, asked
        reject()

    def structure(self, cls: type[Component], given: dict[str, str]) -> dict[str, str]:
        """The options of a section that shape it; what it provides with them counts from here on."""
        options = dict(given)
        silent = unread(self.draft.section_of(cls, options)).keys() - READ_BY_BACKUP.keys()
        for name, kind in kinds(cls).items():
            helps = kind.role == "component" and kind.optional and kind.family in _helping_families()
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
        scope = self.draft.scope()
        self.draft.section_of(cls, options, scope)
        for reached in scope.reached:
            self.draft.capabilities |= _provided(reached.component)
        return options

    def section(self, name: str, structure: dict[str, str]) -> str:
        """A section with its options; empty where nothing is said about it."""
        cls = members_of("section")[name]
        lets: list[str] = []
        options = dict(structure)
        backup = ""
        for key, kind in kinds(cls).items():
            if kind.role == "formula" and (self.draft.perhaps() or not self.options.understands(kind)):
                backup = options[key] = self.options.formula(kind.slot, lets)
            elif kind.role == "formula":
                backup = kind.default or ""
        if "seen" in options and "within_seen" not in _WORD.findall(" ".join([backup, *lets])):
            backup = options["backup"] = f"within_seen({backup})"
        read = set(_WORD.findall(" ".join([backup, *lets])))
        for key, kind in kinds(cls).items():
            shaping = kind.role in ("component", "literal") and bool(structure)
            unread = name == "critic" and key in READ_BY_BACKUP and READ_BY_BACKUP[key] not in read
            rare = kind.role == "literal" and not structure and key != "batch" and self.draft.draw(st.integers(0, 3)) < 3
            if key in options or kind.role == "formula" or shaping or unread or rare:
                continue
            text = self.options.option(cls, key, kind, self.draft.perhaps())
            options |= {} if text is None else {key: text}
        lines = [*lets, *(f"{key} = {text}" for key, text in options.items())]
        if not lines and self.draft.perhaps():
            return ""
        return f"{name} {{ {'  '.join(lines)} }}" if self.draft.perhaps() else f"{name} {{\n" + "\n".join(lines) + "\n}"


@dataclass(frozen=True)
class Helper:
    """An option of a section, and the components it can hold that provide what another component needs."""

    section: str
    option: str
    family: str
    members: tuple[str, ...]


def _helper(sections: Mapping[str, type[Component]], need: str, provided: Collection[str]) -> Helper | None:
    for section in ("critic", "policy"):
        for name, kind in kinds(sections[section]).items():
            members = members_of(kind.family) if kind.role == "component" else {}
            fitting = [n for n, member in members.items() if need in member.provides and member.requires <= set(provided)]
            if fitting:
                return Helper(section, name, kind.family, tuple(fitting))
    return None


def _helping_families() -> set[str]:
    """Families whose members exist to provide what others need: unread where nothing needs it."""
    needed = {need for cls in members_of("backbone").values() for need in cls.requires}
    return {family for need in needed for family in providers(need)}


def _provided(component: Component) -> frozenset[str]:
    try:
        return provided(component, component.name)
    except (AttributeError, TypeError):
        return component.provides
