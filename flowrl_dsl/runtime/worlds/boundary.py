"""The boundary round the code of a task: its exceptions become diagnostics, and its results are checked.

Tasks are third-party code.  A message names the task, the step, the entry of the observation, and the file of the task.
"""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import numpy as np

from flowrl_dsl.runtime.errors import RunError


class Violation(Exception):
    """A result that breaks the interface of a task, raised where neither the task nor the step is known.

    ``found`` completes "the task returned ...", ``expected`` is the rule that it breaks.
    """

    def __init__(self, code: str, found: str, expected: str):
        super().__init__(f"{found}, but {expected}")
        self.code, self.found, self.expected = code, found, expected


class Boundary:
    """Diagnostics of one task.  ``task`` is the name the user gave, ``origin`` the file that defines it, if known."""

    def __init__(self, task: str, origin: str = ""):
        self._task = task
        self._origin = f"the task is defined in {origin}" if origin else ""
        self._file = origin

    def failed(self, error: BaseException, when: str) -> RunError:
        """The diagnostic for an exception raised by the task, or for a :class:`Violation`."""
        if isinstance(error, RunError):
            return error
        if isinstance(error, Violation):
            return RunError(error.code, f"{self._task} returned {error.found} {when}, but {error.expected}", self._origin)
        frames = traceback.extract_tb(error.__traceback__)
        # the innermost line of the task itself, below which there is the code that it calls
        own = [frame for frame in frames if frame.filename == self._file] or frames
        place = f"raised at {own[-1].filename}:{own[-1].lineno}" if own else ""
        message = f"{self._task} failed {when}: {type(error).__name__}: {error}"
        hint = "training renders nothing: MUJOCO_GL=disabled leaves OpenGL out" if "/OpenGL/" in place else ""
        return RunError("FRL0405", message, place, "" if self._file in place else self._origin, hint)

    def not_finite(self, obs: np.ndarray, reward: float, when: str) -> RunError:
        """FRL0406 for an observation [O] or a reward that is infinite or NaN as a 32-bit number."""
        bad = np.flatnonzero(~np.isfinite(obs))
        found = f"a non-finite observation {when}: entry {bad[0]} is {obs[bad[0]]}" if len(bad) else ""
        return RunError("FRL0406", f"{self._task} returned {found or f'the reward {reward} {when}'}", self._origin)


def origin_of(task: object) -> str:
    """The file that defines the class of a task; empty where there is none, as for a class made at a prompt."""
    try:
        return inspect.getsourcefile(type(task)) or ""
    except TypeError:
        return ""


def vector(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An observation of exactly this shape as a flat float32 vector."""
    found = np.asarray(value, np.float32)
    if found.shape != shape:
        expected = f"its observation space has shape {shape}"
        raise Violation("FRL0404", f"an observation of shape {found.shape}", expected)
    return found.reshape(-1)


def number(value: Any) -> float:
    """A reward: one number, in Python's type or an array's without axes."""
    if isinstance(value, float | int | np.floating | np.integer):
        return float(value)
    if getattr(value, "shape", None) != ():
        raise Violation("FRL0409", f"the reward {_brief(value)}", "a reward is one number")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """``terminated`` or ``truncated``: one truth value."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if not isinstance(value, int | np.integer) and getattr(value, "shape", None) != ():
        raise Violation("FRL0409", f"{name} = {_brief(value)}", f"{name} is true or false")
    return bool(value)


def _brief(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
