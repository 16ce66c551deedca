"""The rule of ``for task`` blocks, in specs and in suites."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from flowrl_dsl.names import in_one_word, known_as


def applies(patterns: Iterable[str], task: str | None, data: str | None = None) -> bool:
    """Whether one of the patterns, in which ``*`` is any text, matches the task or the name of the data set.

    A task with arguments, ``NAME(frame_skip=2)``, is also one of its name.  A data set is also known by its name in lower
    case with hyphens, since D4RL's ``hopper-medium-v2`` is a file ``hopper_medium-v2.hdf5``, and by that in one word, since
    its ``antmaze-umaze-v1`` is ``D4RL/antmaze/umaze-v1`` in Minari.
    """
    names = [] if task is None else [task, task.partition("(")[0]]
    names += [] if data is None else [data, known_as(data), in_one_word(data)]
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
