"""Brax: ``brax/NAME``, simulated on the device by one of its backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from inspect import signature
from types import MappingProxyType
from typing import Any

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import register
from flowrl_dsl.runtime.errors import RunError, require_extra
from flowrl_dsl.runtime.worlds.arguments import accepted_by, refused, split, written
from flowrl_dsl.runtime.worlds.base import Task, World, WorldKind

_FRAMES = 1000
"""The time limit of Brax's own training, where ``episode_length`` gives no other."""
_OWN = {"episode_length": f"={_FRAMES}", "observation": "=state"}
"""The arguments that are not those of the constructor of a task."""


@register
class Brax(WorldKind):
    """Tasks of Brax.  Their arguments are those of their constructors, such as ``backend``, and ``episode_length``."""

    name = "brax"
    paper = "arXiv:2106.13281"
    packages = ("brax",)
    cure = "pip install 'flowrl-dsl[brax]'"
    configurable = selects = True

    def make(
        self,
        task: str,
        seeds: Sequence[int],
        action_repeat: int,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        entries: tuple[str, ...] = (),
    ) -> World:
        from flowrl_dsl.runtime.worlds.pure import PureVector

        return PureVector(task, _dynamics(written(task, arguments), entries), seeds, action_repeat)

    def tasks(self) -> list[Task]:
        return [Task(f"{self.name}/{name}", _lacking(name)) for name in _imported()._envs]


def _lacking(name: str) -> str:
    """What the installed packages lack for a task that calls more of them than they have; empty for most tasks."""
    import jax

    if name == "swimmer" and "a_min" not in signature(jax.numpy.clip).parameters:
        return f"a version of jax whose clip has the argument a_min, which {jax.__version__} has not"
    return ""


def _imported() -> Any:
    require_extra("brax", *Brax.packages)
    from brax import envs

    from flowrl_dsl.runtime.worlds.mujoco_state import quiet

    quiet()
    return envs


@lru_cache(maxsize=8)
def _dynamics(task: str, entries: tuple[str, ...] = ()) -> Any:
    """The dynamics of a task with its arguments, which observe these entries as well."""
    from flowrl_dsl.runtime.worlds.states import States

    envs = _imported()
    name, arguments = split(task)
    known = {f"{Brax.name}/{one}": one for one in envs._envs}
    if name not in known:
        raise RunError("FRL0401", f'unknown task "{name}"', did_you_mean(name, known))
    passed = {key: value for key, value in arguments.items() if key not in _OWN}
    frames = arguments.get("episode_length", _FRAMES)
    try:
        if not isinstance(frames, int) or frames < 1:
            raise ValueError("episode_length is a number of frames")
        environment = envs.get_environment(known[name], **passed)
    except Exception as error:
        if not arguments:
            raise
        accepted = accepted_by([envs._envs[known[name]].__init__], apart_from=("self",))
        raise refused(name, arguments, accepted | {"n_frames": ""} | _OWN, error) from error
    return States(name, environment, frames, arguments.get("observation"), entries)
