"""From the name of a task to its world: ``PREFIX/NAME`` belongs to the kind registered as PREFIX, all else to Gymnasium."""

from __future__ import annotations

from typing import cast

from flowrl_dsl import registry
from flowrl_dsl.runtime.worlds.base import World, WorldKind, broken, evaluation_seed, seed_of

_WITHOUT_PREFIX = "gymnasium"


def make(task: str, count: int, seed: int, action_repeat: int = 1, *, evaluation: bool = False) -> World:
    """``count`` copies of a task; with ``evaluation`` from seeds that no training run has, whatever ``seed`` is.

    Raises :class:`RunError` for an unknown task, and for spaces that a continuous policy cannot serve.
    """
    seeds = [evaluation_seed(k) if evaluation else seed_of(seed, k) for k in range(count)]
    kind = kind_of(task)
    try:
        return kind().make(task, seeds, action_repeat)
    except Exception as error:
        # making a task runs foreign code: whatever it raises is reported as its failure
        raise broken(task, error) from error


def kind_of(task: str) -> type[WorldKind]:
    """The kind of world that a task belongs to."""
    prefix, slash, _ = task.partition("/")
    found = registry.find(WorldKind.family, prefix) if slash and prefix.isidentifier() else None
    # Gymnasium's ids may have prefixes too, its namespaces
    return cast(type[WorldKind], found or registry.find(WorldKind.family, _WITHOUT_PREFIX))


def sizes(task: str) -> tuple[int, int]:
    """Observation and action size of a task."""
    world = make(task, 1, 0)
    world.close()
    return world.observation_size, world.action_size
