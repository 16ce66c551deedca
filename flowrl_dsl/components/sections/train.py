"""Section ``train``: how much data is collected, kept and used."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.components.data import Sampling
from flowrl_dsl.components.section import Section
from flowrl_dsl.registry import option, register


@register
class Train(Section):
    """Settings of the training loop; the command line can override them."""

    name = "train"
    implied = True

    steps: int = Field(1_000_000, ge=1, description="environment steps")
    batch: int = Field(256, ge=1, description="transitions of one update (B)")
    warmup: int = Field(5_000, ge=0, description="environment steps with uniformly random actions before the first update")
    replay: int = Field(1_000_000, ge=1, description="capacity of the replay buffer in transitions")
    sampling: Sampling = option("how batches are drawn from the replay", "uniform")
    updates: int = Field(1, ge=1, description="updates for each environment step")
    envs: int = Field(1, ge=1, description="environments stepped side by side")
    action_repeat: int = Field(1, ge=1, description="environment frames for each action")
    evaluate_every: int = Field(10_000, ge=1, description="environment steps between evaluations")
    episodes: int = Field(10, ge=1, description="episodes of one evaluation")
