"""The newest rollout: the last steps of every environment, as random minibatches."""

from __future__ import annotations

from typing import Any

from flowrl_dsl.components.data import Sampling, Source
from flowrl_dsl.components.sources.ring import Ring
from flowrl_dsl.registry import find, register


@register
class Rollout(Ring):
    """All steps of one rollout in chronological order; each epoch draws every one of them once, in a new random order."""

    name = "rollout"

    @classmethod
    def of(cls, sampling: Sampling, horizon: int, envs: int, following: bool, ahead: int, chunked: bool) -> Source:
        epochs: Any = find("sampling", "epochs")
        return super().of(epochs(), horizon, envs, following, ahead, chunked)
