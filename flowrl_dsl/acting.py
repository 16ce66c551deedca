"""The policy of a run as a function, and the observations that it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flowrl_dsl import driver, runs
from flowrl_dsl.runtime.chunks import Chunks
from flowrl_dsl.runtime.errors import RunError

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.logs import RunFolder


@dataclass(frozen=True)
class Newest:
    """The newest checkpoint of a run as acting needs it: the groups of the state that acting reads, and bounds of actions.

    No environment is made, and the rest of the state is not loaded.
    """

    algorithm: Algorithm
    program: Program
    step: int
    state: Any
    low: Any
    high: Any


def newest(folder: RunFolder, passes: Sequence[str] | None = None) -> Newest:
    """The newest checkpoint of a run folder, its program after these passes, by default all; raises FRL0412 without one."""
    from flowrl_dsl.runtime.loading import load_groups
    from flowrl_dsl.runtime.spaces import observation_of, spaces_of

    spaces, algorithm = spaces_of(folder), runs.resolved(folder)
    runs.prepare_jax()
    sizes = observation_of(spaces), len(spaces["low"])
    program = driver.build_program(algorithm, *sizes, passes=passes, capacity=1)
    step, state = load_groups(program, folder, program.acting_groups)
    return Newest(algorithm, program, step, state, spaces["low"], spaces["high"])


class Acting:
    """The newest checkpoint of a run as a player of one episode after another, with actions in [-1, 1]."""

    def __init__(self, folder: RunFolder):
        from flowrl_dsl.runtime.loading import load_groups

        prepared = runs.rebuild(folder)
        self.algorithm, self.settings, self.program = prepared.algorithm, prepared.settings, prepared.program
        self.step, self._state = load_groups(self.program, folder, self.program.acting_groups)
        self._count = 0
        self._chunks = Chunks.of(self.program, 1)

    def begin(self) -> None:
        """An episode begins: what is left of a chunk of the last one is not taken."""
        self._chunks.end([True])

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """The next action [1, A] of the mode ``evaluate`` in an episode, for its observation [1, O]."""
        chosen = None
        if self._chunks.due:
            chosen = self.program.act(self._state, obs, self._count, "evaluate", self.program.hyper)["action"]
        self._count += 1
        actions = self._chunks.take(chosen)
        if not np.isfinite(actions).all():
            raise RunError("FRL0421", "the policy produced a non-finite action")
        return actions

    def episode(self, seed: int, longest: int) -> np.ndarray:
        """The observations [T, O] of an episode that it plays, at most so many; ``seed`` counts those of evaluations."""
        from contextlib import closing

        from flowrl_dsl.runtime.worlds import catalogue

        found = []
        task, repeat = self.settings.task, self.settings.action_repeat
        make = partial(catalogue.make, evaluation=True, first=seed, entries=self.program.entries)
        with closing(make(task, 1, 0, repeat)) as world:
            obs = np.asarray(world.reset())
            self.begin()
            for _ in range(longest):
                found.append(obs[0])
                stepped = world.step(self(obs))
                obs = np.asarray(stepped.obs)
                if np.asarray(stepped.done)[0]:
                    break
        return np.stack(found)
