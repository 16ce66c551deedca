"""Section ``act``: selection of actions during data collection and evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import ActionChoice
from flowrl_dsl.components.entries import names_of
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, error, warning
from flowrl_dsl.formula import functions
from flowrl_dsl.formulas import formulas_of
from flowrl_dsl.record import filled_by_acting
from flowrl_dsl.registry import Drawn, option, register


@register
class Act(Section):
    """Selection of the action for one observation.

    With ``chunk = h`` policies choose the actions of h steps at once, which are taken one after another whatever they lead
    to, until the episode ends.  An action of policies, critics and formulas then has the ``h A`` components of a chunk, and
    a transition goes from the first step of a chunk to the one after its last: r is ``sum_{k<h} discount^k r_k``, discount
    is ``discount^h``.  Updates draw chunks that begin at any step of an episode and end within it.
    """

    name = "act"
    implied = True

    explore: Drawn[ActionChoice] = option("during data collection", "sample from policy")
    evaluate: Drawn[ActionChoice] = option("while evaluating", "sample from policy")
    chunk: int | None = Field(None, ge=1, description="number h of successive actions that are chosen at once; none for one")

    @property
    def window(self) -> int:
        return self.chunk or 1

    def errors(self, at: Position) -> Iterator[Diagnostic]:
        """Chunks are those of a replay or a data set, and of a policy of which nothing but its actions is stored."""
        if self.window == 1:
            return
        algorithm, regime = at.algorithm, cast(Any, at.algorithm.regime)
        sections = cast(Any, algorithm.sections)
        place = algorithm.written(f"{at.path}.chunk") or at.span
        if "on_policy" in regime.capabilities():
            message = "the advantages of a rollout are those of single steps, not of chunks"
            yield error("FRL0262", message, place, "chunks need regime = off_policy or offline")
        elif filled := filled_by_acting(regime.stored(algorithm)):
            message = f"{' and '.join(filled)} would be stored with each step, not with each chunk"
            yield error("FRL0262", message, place, "leave out act.chunk")
        for name, section in sections.items():
            if name != at.path and section.window > 1:
                message = f"the {name} asks for returns of {section.window} steps, and chunks have {self.chunk}"
                yield error("FRL0262", message, algorithm.written(f"{name}.n_step") or place, "leave out n_step")
            if section.follows_actions:
                message = f"the {name} reads the action that the data took after a transition, which need not be a chunk"
                yield error("FRL0262", message, place, "a_next_seen and next_seen need single actions")

    def idle(self, at: Position) -> dict[str, str]:
        regime: Any = at.algorithm.regime
        return {} if regime.collects(at.algorithm) else {"explore": f"the regime {regime.name} collects nothing"}

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """Without randomness exploring collects the same action in the same state again and again."""
        algorithm, choice = at.algorithm, self.explore
        yield from self._further_entries(at)
        if "explore" in self.idle(at):
            return
        owner = algorithm.drawn_from(choice.source)
        policy: Any = algorithm.sections[owner]
        if not choice.value.explores(policy.spread(algorithm), algorithm):
            place = algorithm.written(f"{at.path}.explore", f"{owner}.backbone")
            yield warning("FRL0305", "exploration has no randomness", place, "for instance explore = noise(0.1)")

    def _further_entries(self, at: Position) -> Iterator[Diagnostic]:
        """The choice of the action that is exported may read entries of the observation that the policy does not."""
        algorithm, choice = at.algorithm, self.evaluate
        owner = algorithm.drawn_from(choice.source)
        called = set().union(*(functions(formula) for formula in formulas_of(choice.value)))
        for name, section in cast(Any, algorithm.sections).items():
            rates = bool(called & {f.name for f in section.functions} or choice.value.needs() & section.capabilities())
            read, own = names_of(algorithm, name), names_of(algorithm, owner)
            if rates and not section.acts and read != own and not (read and {*read} <= {*own}):
                message = f"{choice.value.name} rates actions by the {name}, which reads other entries than the {owner}"
                place = algorithm.written(f"{at.path}.evaluate", f"{name}.observation", f"{owner}.observation")
                yield warning("FRL0331", message, place, "evaluate = sample reads those of the policy alone")
