"""Environments that a Python program made itself, as tasks of Gymnasium: ``python/NAME-v0``."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import gymnasium

from flowrl_dsl.runtime.errors import RunError

NAMESPACE = "python"
Environment = gymnasium.Env | Callable[[], gymnasium.Env]
"""An environment, of which copies are used, or a function (or class) that makes one."""


def task_of(environment: Environment, task: str | None = None) -> str:
    """Register an environment and return its task; ``task`` is the name it has in an existing run.

    Raises FRL0494 for what is neither an environment nor a function, and for an environment that cannot be copied.
    """
    maker = _maker(environment)
    if task is None:
        kind = type(environment.unwrapped) if isinstance(environment, gymnasium.Env) else environment
        task = _free(re.sub(r"\W", "", getattr(kind, "__name__", type(kind).__name__)) or "Environment")
    gymnasium.registry.pop(task, None)
    gymnasium.register(task, entry_point=maker)
    return task


def _maker(environment: Environment) -> Callable[..., gymnasium.Env]:
    if not isinstance(environment, gymnasium.Env):
        if callable(environment):
            return environment
        hint = "pass the id of a task, a gymnasium.Env, or a function that makes one"
        raise RunError("FRL0494", f"{type(environment).__name__} is not an environment", hint)
    try:
        original: Any = copy.deepcopy(environment)
    except Exception as error:  # of any kind: it is anyone's class
        hint = "pass a function that makes it: each copy of the task then has its own"
        message = f"{type(environment.unwrapped).__name__} cannot be copied: {type(error).__name__}: {error}"
        raise RunError("FRL0494", message, hint) from error
    return lambda: copy.deepcopy(original)


def _free(name: str) -> str:
    """The first id of this name that no other environment has."""
    version = 0
    while f"{NAMESPACE}/{name}-v{version}" in gymnasium.registry:
        version += 1
    return f"{NAMESPACE}/{name}-v{version}"
