"""What data sets are called."""

from __future__ import annotations


def known_as(name: str) -> str:
    """A data set's name in lower case with hyphens, as D4RL names it: ``hopper_medium-v2`` is ``hopper-medium-v2``."""
    return name.lower().replace("_", "-")


def in_one_word(name: str) -> str:
    """The id of a Minari data set as D4RL would name it, its name after the last part of its namespace.

    ``D4RL/antmaze/umaze-v1`` is ``antmaze-umaze-v1``.
    """
    return "-".join(known_as(name).split("/")[-2:])
