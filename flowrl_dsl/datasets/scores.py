"""Normalised scores: 0 for the return of a random policy, 100 for that of an expert."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from flowrl_dsl.names import known_as


class Reference(NamedTuple):
    """Undiscounted returns of a random and of an expert policy on one task."""

    random: float
    expert: float

    def score(self, returns: float | np.ndarray) -> float | np.ndarray:
        """100 (return - random) / (expert - random)."""
        return 100.0 * (returns - self.random) / (self.expert - self.random)


D4RL = {
    # Gym-MuJoCo, versions 0 to 2; the expert is a soft actor-critic trained to the end
    "halfcheetah": Reference(-280.178953, 12135.0),
    "hopper": Reference(-20.272305, 3234.3),
    "walker2d": Reference(1.629008, 4592.3),
    "ant": Reference(-325.6, 3879.7),
    # Adroit, versions 0 and 1
    "pen": Reference(96.262799, 3076.8331017826877),
    "hammer": Reference(-274.856578, 12794.134825156867),
    "door": Reference(-56.512833, 2880.5693087298737),
    "relocate": Reference(-6.425911, 4233.877797728884),
    # one for each of four subtasks
    "kitchen": Reference(0.0, 4.0),
    # one for the goal; not for the rewards shifted by -1 that many methods train on
    "antmaze": Reference(0.0, 1.0),
    # Maze2D version 1
    "maze2d-umaze": Reference(23.85, 161.86),
    "maze2d-medium": Reference(13.13, 277.39),
    "maze2d-large": Reference(6.7, 273.99),
    "maze2d-umaze-dense": Reference(68.537689, 193.66285642381482),
    "maze2d-medium-dense": Reference(44.264742, 297.4552547777125),
    "maze2d-large-dense": Reference(30.569041, 303.4857382709002),
}
"""The scores of D4RL (Fu et al., arXiv:2004.07219): REF_MIN_SCORE and REF_MAX_SCORE in d4rl/infos.py of
https://github.com/Farama-Foundation/D4RL, which are the same for all data sets of a family."""

_KINDS = r"random|medium|expert|full|human|cloned|complete|partial|mixed|umaze|large|medium-replay|medium-expert"
_NAME = re.compile(rf"(?P<maze>maze2d-[a-z]+(?:-dense)?)-v1|(?P<family>[a-z0-9]+)-(?:{_KINDS})(?:-[a-z]+)*-v[0-2]")


def family_of(name: str) -> str | None:
    """The family of a D4RL data set by its name, such as ``hopper-medium-v2`` or ``hopper_medium-v2``; None for others."""
    found = _NAME.fullmatch(known_as(name))
    family = found and (found["maze"] or found["family"])
    return family if family in D4RL else None


def normalized_score(family: str, returns: float | np.ndarray) -> float | np.ndarray:
    """100 (return - random) / (expert - random) with the reference returns of a family of :data:`D4RL`.

    Raises KeyError for a family without reference returns.
    """
    return D4RL[family].score(returns)
