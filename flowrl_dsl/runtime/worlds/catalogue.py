"""The world of a task: ``PREFIX/NAME`` belongs to the kind registered as PREFIX, any other name to Gymnasium."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import numpy as np

from flowrl_dsl import registry
from flowrl_dsl.datasets import TaskSpaces
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import arguments
from flowrl_dsl.runtime.worlds.base import FAILURES, Filmed, World, WorldKind, evaluation_seed, seed_of
from flowrl_dsl.runtime.worlds.boundary import Boundary
from flowrl_dsl.runtime.worlds.generators import Generators

_WITHOUT_PREFIX = "gymnasium"


def make(
    task: str,
    count: int,
    seed: int,
    action_repeat: int = 1,
    *,
    evaluation: bool = False,
    first: int = 0,
    entries: Collection[str] = (),
) -> World:
    """``count`` copies of a task, whose name may contain arguments (:mod:`flowrl_dsl.runtime.worlds.arguments`).

    With ``evaluation``, they have seeds that are never used in training, independent of ``seed``: those from number
    ``first`` on.  Observations that are dictionaries contain the ``entries``, beside those that they contain anyway.
    Raises :class:`RunError` for an unknown task, and for spaces that a continuous policy does not support.
    """
    seeds = [evaluation_seed(first + k) if evaluation else seed_of(seed, k) for k in range(count)]
    name, given = arguments.split(task)
    kind = kind_of(name)
    if given and not kind.configurable:
        raise RunError("FRL0408", f"{name} takes no arguments, as all tasks of {kind.name}/")
    options: dict[str, Any] = {"arguments": given} if given else {}
    if entries and kind.selects:
        options["entries"] = tuple(entries)
    Generators(seeds[0]).install()
    try:
        return kind().make(name, seeds, action_repeat, **options)
    except FAILURES as error:
        raise Boundary(task).failed(error, "when it was made") from error


def film(task: str, seed: int, action_repeat: int, size: tuple[int, int]) -> Filmed:
    """One copy of a task with a camera of ``size`` (width, height); ``seed`` is that of its episodes.

    Raises FRL0482 for a task without pictures.
    """
    name, given = arguments.split(task)
    Generators(seed).install()
    try:
        return kind_of(name)().film(name, seed, action_repeat, size, given)
    except FAILURES as error:
        raise Boundary(task).failed(error, "when it was made") from error


def kind_of(task: str) -> type[WorldKind]:
    """The kind of world that a task belongs to."""
    prefix, slash, _ = task.partition("/")
    found = registry.find(WorldKind.family, prefix) if slash and prefix.isidentifier() else None
    # Gymnasium's ids may have prefixes too (namespaces)
    return cast(type[WorldKind], found or registry.find(WorldKind.family, _WITHOUT_PREFIX))


def spaces(task: str) -> TaskSpaces:
    """What a data set of the task must agree with: sizes, bounds of actions, and the time limit of a Gymnasium task.

    The bounds of a world without ``rescale`` are ±1: its actions are taken as they are.
    """
    world = make(task, 1, 0)
    world.close()
    unit = np.ones(world.action_size)
    rescale = getattr(world, "rescale", None) or np.asarray
    low, high = (np.asarray(rescale(bound), np.float64) for bound in (-unit, unit))
    found = specification(task)
    return TaskSpaces(task, world.observation_size, low, high, None if found is None else found.max_episode_steps)


def specification(task: str) -> Any:
    """The specification of a task of Gymnasium, from which it can be made; None for tasks of other worlds."""
    if kind_of(task).name != _WITHOUT_PREFIX:
        return None
    from flowrl_dsl.runtime.worlds import gymnasium

    return gymnasium.specification(task)


def sizes(task: str, entries: Collection[str] = ()) -> tuple[Any, int]:
    """Observation and action size of a task; for ``entries`` of dictionary observations the layout of these."""
    world = make(task, 1, 0, entries=entries)
    world.close()
    layout = getattr(world, "layout", None) if entries else None
    return world.observation_size if layout is None else layout, world.action_size
