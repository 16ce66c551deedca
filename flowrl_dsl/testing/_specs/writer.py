"""Whole specs: sections and blocks in any sequence, after the settings and declarations they need."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from flowrl_dsl.algorithm import POLICY
from flowrl_dsl.registry import Component, SectionKind, families, members_of, providers, sections
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.order import parts
from flowrl_dsl.testing._formulas import Draw
from flowrl_dsl.testing._specs.draft import Draft
from flowrl_dsl.testing._specs.improvements import ImproveWriter
from flowrl_dsl.testing._specs.options import OptionWriter
from flowrl_dsl.testing._specs.order import OrderWriter
from flowrl_dsl.testing._specs.sections import SectionWriter


class SpecWriter:
    """Writes one spec; ``including`` as in :class:`Draft`, ``most_blocks`` bounds the policy's ``improve`` blocks."""

    def __init__(self, draw: Draw, including: dict[str, str], most_blocks: int = 2):
        self.most_blocks = most_blocks
        self.draft = Draft(draw, including)
        self.options = OptionWriter(self.draft)
        self.sections = SectionWriter(self.draft, self.options)
        self.improvements = ImproveWriter(self.draft, self.options)

    def spec(self) -> str:
        structure = self._structure()
        blocks = self.improvements.blocks(POLICY, self.most_blocks)
        inside = {owner: self.improvements.blocks(owner, 1) for owner in self.draft.policies}
        others = [name for name in sections() if name not in (*parts(), *structure, "rollout")]
        written = [
            self.sections.section(owner, self._kind(owner), structure.get(owner, {}), inside.get(owner, ()))
            for owner in [*structure, *others]
        ]
        shuffled = self.draft.draw(st.permutations([part for part in written if part] + blocks))
        title = self.draft.one_of(("", ' "of no paper"', ' "with a \\"quote\\""'))
        body = [*self._head(structure), *self.draft.declared.lines, *shuffled, *self._for_task()]
        return f"algorithm {self.draft.name()}{title} {{\n" + "\n".join(body) + "\n}\n"

    def _structure(self) -> dict[str, dict[str, str]]:
        """The sections with a stage, each with its structural options."""
        kinds_of, draft = sections(), self.draft
        rollout = self._rollout()
        draft.steps_alone = bool(rollout)
        draft.whole_observations = draft.draw(st.integers(0, 3)) < 3
        given = self.sections.policy(POLICY, ("critic", POLICY))
        structure = {POLICY: self.sections.structure(POLICY, kinds_of[POLICY], given[POLICY])}
        if rollout and "noise_process" in draft.capabilities and draft.perhaps():
            rollout["draws"] = "2"
            draft.share("noise_draws")
        if rollout and "step_log_prob" in draft.capabilities:
            structure["act"] = {"explore": "sample"}
        if given["critic"] or "critic" in draft.including or draft.draw(st.integers(0, 5)) < 5:
            structure["critic"] = self.sections.structure("critic", kinds_of["critic"], given["critic"])
            default = kinds_of["critic"].model_fields["ensemble"].default
            draft.ensemble = int(structure["critic"].get("ensemble", default))
        if rollout or "value" in draft.including or draft.draw(st.integers(0, 5)) == 5:
            structure["value"] = self.sections.structure("value", kinds_of["value"], {"old": "rollout"} if rollout else {})
        asked = any("noisy_value" in members_of(family)[name].requires for family, name in draft.including.items())
        if "noise_process" in draft.capabilities and (asked or draft.draw(st.integers(0, 5)) == 5):
            some = {"ensemble": str(draft.ensemble)} | ({"particles": "2 from policy"} if draft.perhaps() else {})
            structure["noisy_value"] = self.sections.structure("noisy_value", kinds_of["noisy_value"], some)
        embeddable = draft.whole_observations and kinds_of["encoder"].requires <= draft.capabilities
        if embeddable and draft.draw(st.integers(0, 5)) == 5:
            structure["encoder"] = self.sections.structure("encoder", kinds_of["encoder"], {})
        if "noise_map" in draft.capabilities and draft.draw(st.integers(0, 5)) == 5:
            some = {"ensemble": str(draft.ensemble)}
            structure["noise_value"] = self.sections.structure("noise_value", kinds_of["noise_value"], some)
        if "base" in draft.including or draft.draw(st.integers(0, 5)) == 5:
            owner = draft.name_of_policy()
            draft.policies[owner] = kinds_of[POLICY]
            given = self.sections.policy(owner, (POLICY,))
            structure[owner] = self.sections.structure(owner, kinds_of[POLICY], given[POLICY])
            structure[owner] |= self.sections.base(owner)
        return structure | ({"rollout": rollout} if rollout else {})

    def _rollout(self) -> dict[str, str]:
        """The lengths of rollouts, if the algorithm has any: it is on-policy where a component of those is asked for."""
        draft, wanted = self.draft, self.draft.including
        needing = any(_needs_rollouts(members_of(family)[name]) for family, name in wanted.items())
        others = wanted.keys() & {"regime", "sampling"} and not needing
        if not needing and (others or draft.draw(st.integers(0, 5)) < 5):
            return {}
        draft.share("on_policy", "rollouts")
        timeouts = ("final_observation", "repeat_state", "end")
        lengths = {name: str(draft.draw(st.integers(1, 3))) for name in ("steps", "epochs", "minibatches")}
        return lengths | {"timeout": draft.one_of(timeouts)}

    def _kind(self, owner: str) -> type[SectionKind]:
        return self.draft.policies.get(owner) or sections()[owner]

    def _head(self, structure: Mapping[str, Mapping[str, str]]) -> list[str]:
        lines = ['paper = "none"'] if self.draft.perhaps() else []
        regimes = [
            name for name, cls in families()["regime"].items() if ("rollouts" in cls.requires) == ("rollout" in structure)
        ]
        if "rollout" in structure or self.draft.perhaps():
            lines.append(f"regime = {self.draft.pick('regime', regimes)}")
        learned = [name for name, parameter in self.draft.declared.parameters.items() if parameter.learned is not None]
        kept = any(_keeps_copies(self._kind(owner), options) for owner, options in structure.items())
        targets = ["targets"] if kept else []
        moving = [owner for owner in structure if self._kind(owner).stage is not None]
        if self.draft.perhaps():
            lines.append(f"order = {OrderWriter(self.draft).order([*moving, *learned, *targets], learned)}")
        return lines

    def _for_task(self) -> list[str]:
        """Optionally a per-task override of the batch or of a parameter's value."""
        fixed = [p for p in self.draft.declared.parameters.values() if p.schedule is None and p.learned is None]
        changes = [f"train {{ batch = {self.draft.draw(st.integers(2, 4))} }}"]
        changes += [f"param {p.name} = {self.options.number(None, p.interval):g}" for p in fixed[:1]]
        return [f'for task "Some-v1", "Other-v2" {{ {self.draft.one_of(changes)} }}'] if self.draft.perhaps() else []


def _needs_rollouts(cls: type[Component]) -> bool:
    """Whether a component requires rollouts, or something that only components with this requirement provide."""
    offered = [[members_of(f)[n] for f, names in providers(need).items() for n in names] for need in cls.requires]
    return "rollouts" in cls.requires or any(by and all("rollouts" in other.requires for other in by) for by in offered)


def _keeps_copies(section: type[SectionKind], options: Mapping[str, str]) -> bool:
    fields = kinds(section).items()
    copies = [(name, kind) for name, kind in fields if kind.role == "component" and kind.family == "target"]
    return any(options.get(name, kind.default or "none") != "none" for name, kind in copies)
