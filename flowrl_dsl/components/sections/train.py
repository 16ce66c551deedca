"""Section ``train``: amounts of data collected, stored and used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from flowrl_dsl.algorithm import Algorithm, Position, lasting, offline_updates
from flowrl_dsl.components.data import Sampling, feedback_of
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.registry import option, register

FOR_COLLECTING = ("warmup", "replay", "envs")
"""Options without effect where nothing is collected."""


@register
class Train(Section):
    """Settings of the training loop; the command line can override them."""

    name = "train"
    implied = True

    steps: int = Field(1_000_000, ge=1, description="environment steps; updates where nothing is collected")
    batch: int = Field(256, ge=1, description="transitions per update (B)")
    warmup: int = Field(5_000, ge=0, description="environment steps with uniformly random actions before the first update")
    replay: int = Field(1_000_000, ge=1, description="capacity of the replay buffer in transitions")
    sampling: Sampling = option("sampling of batches from the replay buffer", "uniform")
    updates: int = Field(1, ge=1, description="updates per environment step")
    envs: int = Field(1, ge=1, description="number of parallel environments")
    action_repeat: int = Field(1, ge=1, description="environment frames per action")
    evaluate_every: int = Field(10_000, ge=1, description="environment steps between evaluations")
    episodes: int = Field(10, ge=1, description="episodes per evaluation")

    def idle(self, at: Position) -> dict[str, str]:
        regime: Any = at.algorithm.regime
        reason = f"the regime {regime.name} collects nothing"
        found = {} if regime.collects(at.algorithm) else dict.fromkeys(FOR_COLLECTING, reason)
        found |= regime.ignores
        if not regime.acts:
            found.setdefault("warmup", "no action is random after the updates of the phases before")
        length = self.in_phases(at.algorithm).get("steps")
        if length is not None:
            found["steps"] = f"the phases last {length} steps; --steps can change that"
        if self.sampling.needs_data and not regime.collects(at.algorithm):
            found["sampling"] = f"{reason}; batches are drawn uniformly"
        elif self.sampling.feedback and not feedback_of(at.algorithm):
            found["sampling"] = "no critic is trained that would report its errors; batches are drawn uniformly"
        return found

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        regime: Any = at.algorithm.regime
        if regime.acts and "warmup" not in self.idle(at):
            yield from self._of_collecting(at)
        steps = self.in_phases(at.algorithm).get("steps", self.steps)
        if self.evaluate_every > steps:
            message = f"a run of {steps} steps ends before its first evaluation at {self.evaluate_every}"
            yield warning("FRL0308", message, at.written("evaluate_every", "steps"))

    def in_phases(self, algorithm: Algorithm) -> dict[str, int]:
        """``steps``, those of a run in phases of known length, and ``offline``, those before an offline algorithm acts."""
        regime: Any = algorithm.regime
        length = lasting(algorithm.phases, self.updates)
        found = {} if length is None else {"steps": length + (max(self.warmup, 1) if regime.acts else 0)}
        if not regime.acts and regime.collects(algorithm):
            found["offline"] = -(-offline_updates(algorithm.phases) // self.updates)
        return found

    def _of_collecting(self, at: Position) -> Iterator[Diagnostic]:
        if self.warmup < self.batch:
            message = f"updates start after {self.warmup} steps, before there is one batch of {self.batch}"
            hint = "the first batches repeat the same few transitions"
            yield warning("FRL0306", message, at.written("warmup", "batch"), hint)
        needed = next((name for name in ("batch", "warmup") if self.replay < getattr(self, name)), None)
        if needed is not None:
            message = (
                f"the replay buffer holds {self.replay} transitions, fewer than the {needed} of {getattr(self, needed)}"
            )
            yield warning("FRL0307", message, at.written("replay", "warmup", "batch"))
