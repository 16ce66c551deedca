"""Bandits with known action values: one state, and a reward with several good regions of two action components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import jax.numpy as jnp

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import find, register
from flowrl_dsl.runtime.worlds.base import Task, World, WorldKind

SHAPES = ("ring", "moons", "uneven", "checkerboard")


class Bandit:
    """One action [2] with the reward of the critic ``known`` ends the episode; the observation is 1."""

    observation_size, action_size = 1, 2

    def __init__(self, shape: str):
        self._value = cast(Any, find("critic", "known"))(shape=shape).exact

    def init(self, key: Any) -> tuple[Any, Any]:
        return {}, jnp.ones(1)

    def step(self, state: Any, action: Any, key: Any) -> tuple[Any, Any, Any, Any, Any]:
        return state, jnp.ones(1), self._value(action), True, False


@register
class Known(WorldKind):
    """``known/ring``, ``known/moons``, ``known/uneven`` and ``known/checkerboard``: reward 0.1 log p(a)."""

    name = "known"

    def tasks(self) -> list[Task]:
        return [Task(f"{self.name}/{shape}") for shape in SHAPES]

    def make(self, task: str, seeds: Sequence[int], action_repeat: int) -> World:
        from flowrl_dsl.runtime.errors import RunError
        from flowrl_dsl.runtime.worlds.pure import PureVector

        shape = task.partition("/")[2]
        if shape not in SHAPES:
            raise RunError("FRL0401", f'unknown task "{task}"', did_you_mean(task, [f"known/{one}" for one in SHAPES]))
        return PureVector(task, Bandit(shape), seeds, action_repeat)
