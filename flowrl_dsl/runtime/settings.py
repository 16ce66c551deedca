"""Settings of a training run, apart from the algorithm."""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from typing import Any

from flowrl_dsl.runtime.errors import RunError

MOST_STEPS = 2**53
"""Counts are below this, the first number that a float64 cannot tell from the next."""
MOST_COPIES = 2**16
"""Copies of a task that are stepped side by side; each of most tasks has its own simulation."""


MOST_UPDATES = 64
"""Updates in one dispatch, where it is no rollout's: after them the host looks at signals, so Ctrl-C waits for so many."""


@dataclass(frozen=True)
class Settings:
    """A step is one action in one environment; all ``*_every`` and ``warmup`` count steps."""

    task: str
    seed: int
    steps: int
    warmup: int
    replay: int
    updates: int
    envs: int
    action_repeat: int
    evaluate_every: int
    episodes: int
    checkpoint_every: int
    log_every: int = 1000
    offline: int = 0
    """Steps before the policy acts, where an algorithm begins without acting."""
    rollout: int = 0
    """Steps of each environment in a rollout, after which there are ``updates`` updates; 0 where there are no rollouts."""

    devices: int = 1
    """Among which the environments of a pure world are split."""

    @staticmethod
    def of(section: Any, task: str, seed: int, **given: int | None) -> Settings:
        """The settings of a spec's section ``train``, overridden by those ``given`` (None: not given).

        Raises FRL0419 for counts that no run can have.
        """
        names = [field.name for field in fields(Settings)]
        values = {name: getattr(section, name) for name in names if hasattr(section, name)}
        values |= {name: value for name, value in given.items() if value is not None}
        # a checkpoint costs about as much as a hundred steps
        values.setdefault("checkpoint_every", max(5_000, values["steps"] // 100))
        if rollout := values.get("rollout"):
            size = rollout * values["envs"]
            values.setdefault("log_every", -(-Settings.log_every // size) * size)
        for name, value in values.items():
            most = MOST_COPIES if name in ("envs", "episodes") else MOST_STEPS - 1
            if isinstance(value, int) and value > most:
                raise RunError("FRL0419", f"{name} = {value} is more than the largest number, {most}")
        return Settings(task=task, seed=seed, **values)

    @property
    def first_update(self) -> int:
        """No update happens before this many steps; at least one transition is needed."""
        return max(self.warmup, 1)

    @property
    def updates_a_turn(self) -> int:
        """Number of updates per action in each environment."""
        return self.updates * self.envs

    @property
    def longest(self) -> int:
        """The most steps of every environment that a pure world takes in one dispatch."""
        return self.rollout or max(1, min(MOST_UPDATES // self.updates_a_turn, -(-self.log_every // self.envs)))

    def turns_until_due(self, step: int) -> int:
        """Steps of every environment, from ``step`` on, until one with which something is due, at most ``longest``.

        Due are the first update, a record, an evaluation, a checkpoint, and the end.
        """
        every = self.log_every, self.evaluate_every, self.checkpoint_every
        coming = [step - step % one + one for one in every] + [self.steps]
        coming += [self.first_update] if step < self.first_update else []
        return min(self.longest, -(-(min(coming) - step) // self.envs))

    @property
    def capacity(self) -> int:
        """Rows of the replay: at most as many as the run can fill; those of one rollout where there are rollouts."""
        if self.rollout:
            return self.rollout * self.envs
        return max(self.envs, min(self.replay, self.steps - self.offline + self.envs))


def count(name: str, value: Any, least: int = 1) -> int:
    """The count that a program gives, also one of NumPy; raises FRL0419 for what is none, such as 1e4."""
    try:
        found = operator.index(value)
    except TypeError:
        found = -1
    if found < least:
        message = f"{name} = {value!r} is not a whole number of at least {least}"
        raise RunError("FRL0419", message, "such as 10_000; in Python 1e4 is no whole number")
    return found


def passed(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, after]."""
    return after // every > before // every
