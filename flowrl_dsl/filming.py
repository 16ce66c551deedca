"""``flowrl-dsl video``: episodes of a trained policy as moving pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowrl_dsl.acting import Acting
from flowrl_dsl.runtime.errors import RunError

if TYPE_CHECKING:
    from flowrl_dsl.runtime.worlds.base import Filmed

_LONGEST = 10_000
"""Steps of a filmed episode, for tasks that never end."""
_FASTEST = 30.0
"""Pictures a second: of a task with more steps, some are left out, since drawing is what takes the time."""


@dataclass(frozen=True)
class Played:
    """One episode: the step of the checkpoint that played it, its return and its length in steps."""

    checkpoint: int
    total: float
    length: int


def film(
    path: Path, output: Path | None, episodes: int, seed: int, size: tuple[int, int], steps: int | None = None
) -> tuple[Path, list[Played]]:
    """Film episodes of the newest checkpoint of a run, with the action of the mode ``evaluate``.

    ``seed`` is that of the first episode, counted from those of evaluations; ``output`` is by default ``video.mp4`` in the
    run folder, or ``video.gif``; ``steps`` bounds the length of an episode.  Raises FRL0480 for a missing package, FRL0481
    without a renderer, FRL0482 for tasks without pictures.
    """
    from flowrl_dsl.runtime import film as films
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.worlds import arguments, catalogue
    from flowrl_dsl.runtime.worlds.base import evaluation_seed

    folder = RunFolder(path)
    output = output or path / f"video{films.usual_suffix()}"
    films.check(output)
    task, _ = arguments.split(folder.said("task"))
    catalogue.kind_of(task)().before_filming()
    policy = Acting(folder)
    played: list[Played] = []
    filmed = catalogue.film(folder.said("task"), evaluation_seed(seed), policy.settings.action_repeat, size)
    with closing(filmed.world):
        every = math.ceil(filmed.rate / _FASTEST)
        frames = _frames(filmed, policy, episodes, min(steps or _LONGEST, _LONGEST), every, played)
        films.write(output, frames, filmed.rate / every)
    return output, played


def _frames(
    filmed: Filmed, act: Acting, episodes: int, longest: int, every: int, played: list[Played]
) -> Iterator[np.ndarray]:
    """The pictures of every so many states before their actions; adds what was played."""
    world = filmed.world
    obs = world.reset()
    for _ in range(episodes):
        act.begin()
        for length in range(1, longest + 1):
            if length % every == 1 % every:
                yield _frame(filmed)
            stepped = world.step(act(np.asarray(obs)))
            obs = stepped.obs
            if np.asarray(stepped.done)[0]:
                played.append(Played(act.step, stepped.finished[0][0], length))
                break
        else:
            played.append(Played(act.step, float(world.running()[0][0]), longest))
            obs = world.reset()


def _frame(filmed: Filmed) -> np.ndarray:
    from flowrl_dsl.runtime.worlds.base import FAILURES

    try:
        return filmed.frame()
    except RunError:
        raise
    except FAILURES as error:
        message = f"{filmed.world.task} cannot be drawn: {type(error).__name__}: {error}"
        raise RunError("FRL0481", message, "MUJOCO_GL=osmesa draws without a graphics card") from error
