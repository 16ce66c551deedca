"""The order of the stages."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from flowrl_dsl.testing._specs.draft import Draft


@dataclass
class OrderWriter:
    """Writes orders of the stages of a spec."""

    draft: Draft

    def order(self, parts: list[str], learned: list[str]) -> str:
        """Some order of the parts; what is learned from the policy's measurements stands behind it."""
        mixed = self.draft.draw(st.permutations(parts))
        at = mixed.index("policy")
        early = [name for name in mixed[:at] if name in learned]
        rest = [name for name in mixed[:at] if name not in learned]
        return self._stage([*rest, "policy", *early, *mixed[at + 1 :]])

    def _stage(self, parts: list[str]) -> str:
        if len(parts) == 1:
            text = self.draft.one_of((parts[0], parts[0], f"[{parts[0]}]"))
        else:
            cut = self.draft.draw(st.integers(1, len(parts) - 1))
            groups = [self._stage(parts[:cut]), self._stage(parts[cut:])]
            together = f"[{', '.join(self.draft.draw(st.permutations(groups)))}]"
            apart = self.draft.trains_critic and {"critic", "policy"} <= {*parts}
            text = " -> ".join(groups) if apart else self.draft.one_of((" -> ".join(groups), together))
        return f"every({self.draft.draw(st.integers(2, 3))}, {text})" if self.draft.draw(st.integers(0, 4)) == 4 else text
