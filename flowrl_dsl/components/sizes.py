"""Sizes of what networks read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowrl_dsl.record import Layout


@dataclass(frozen=True)
class Sizes:
    """Dimensions of an observation and of an action, as networks read them.

    ``raw``: the named inputs that include an embedding, each with its dimension without it.  ``layout``: the entries of an
    observation, where sections read different ones.
    """

    obs: int
    action: int
    raw: tuple[tuple[str, int], ...] = ()
    layout: Layout | None = None

    def given(self) -> Sizes:
        """The sizes before embeddings were added."""
        raw = dict(self.raw)
        return replace(self, obs=raw.get("s", self.obs), action=raw.get("a", self.action), raw=())
