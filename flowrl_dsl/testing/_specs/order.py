"""The order of the stages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hypothesis import strategies as st

from flowrl_dsl.algorithm import POLICY, Condition, Single, When, show_stage
from flowrl_dsl.testing._specs.draft import Draft

PERIODS = (2, 3)
STARTS = (0, 1, 3)
ENDS = (None, 6_000, 9_000)
"""After an update in which all conditions hold, whatever their periods and starts: the periods of copies divide 3000."""


@dataclass
class OrderWriter:
    """Writes orders of the stages of a spec."""

    draft: Draft

    def order(self, parts: list[str], learned: Collection[str]) -> str:
        """Some order of the parts; parameters learned from the policy's measurements follow the policy."""
        mixed = self.draft.draw(st.permutations(parts))
        at = mixed.index(POLICY)
        early = [name for name in mixed[:at] if name in learned]
        rest = [name for name in mixed[:at] if name not in learned]
        return self._stage([*rest, POLICY, *early, *mixed[at + 1 :]])

    def _stage(self, parts: list[str]) -> str:
        if len(parts) == 1:
            text = self.draft.one_of((parts[0], parts[0], f"[{parts[0]}]"))
        else:
            cut = self.draft.draw(st.integers(1, len(parts) - 1))
            groups = [self._stage(parts[:cut]), self._stage(parts[cut:])]
            together = f"[{', '.join(self.draft.draw(st.permutations(groups)))}]"
            apart = len({"critic", *self.draft.trainers} & {*parts}) > 1  # in parallel, one of two critic steps is lost
            text = " -> ".join(groups) if apart else self.draft.one_of((" -> ".join(groups), together))
        return self._conditional(text) if self.draft.draw(st.integers(0, 4)) == 4 else text

    def _conditional(self, text: str) -> str:
        """The stage under a condition on the update, in any syntax of the language."""
        every = self.draft.one_of((1, *PERIODS))
        after, until = self.draft.one_of(STARTS), self.draft.one_of(ENDS)
        if (every, after, until) == (1, 0, None):
            every = PERIODS[0]
        return show_stage(When(Condition(every, after, until), Single(text)))
