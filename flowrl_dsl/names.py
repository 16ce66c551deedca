"""What data sets are called."""

from __future__ import annotations


def known_as(name: str) -> str:
    """A data set's name in lower case with hyphens, as D4RL names it: ``hopper_medium-v2`` is ``hopper-medium-v2``."""
    return name.lower().replace("_", "-")
