"""MuJoCo Playground: ``playground/NAME``, simulated on the device by MJX."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import register
from flowrl_dsl.runtime.errors import RunError, require_extra
from flowrl_dsl.runtime.worlds.arguments import Arguments, refused, split, written
from flowrl_dsl.runtime.worlds.base import Task, World, WorldKind

_ROBOTS = "https://github.com/google-deepmind/mujoco_menagerie"
_OWN = "observation"


@register
class Playground(WorldKind):
    """Tasks of MuJoCo Playground.  Their arguments are entries of their configuration, such as ``episode_length``."""

    name = "playground"
    paper = "arXiv:2502.08844"
    packages = ("mujoco_playground",)
    cure = "pip install 'flowrl-dsl[playground]'"
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

        dynamics, frames = _dynamics(written(task, arguments), entries)
        return PureVector(task, dynamics, seeds, action_repeat * frames)

    def tasks(self) -> list[Task]:
        package = _imported()
        simple = package.registry.ALL_ENVS if _robots(package).exists() else package.dm_control_suite.ALL_ENVS
        robots = f"robots of MuJoCo Menagerie, which git clones when the first of these tasks is made: {_ROBOTS}"
        names = package.registry.ALL_ENVS
        return [Task(f"{self.name}/{name}", _lacking(name) or ("" if name in simple else robots)) for name in names]


def _lacking(name: str) -> str:
    """What the installed packages lack for a task that calls more of them than they have; empty for most tasks."""
    import mujoco

    if name.startswith("Reacher") and not hasattr(mujoco.MjSpec, "find_body"):
        return f"a version of mujoco whose MjSpec has find_body, which {mujoco.__version__} has not"
    return ""


def _imported() -> Any:
    require_extra("playground", *Playground.packages)
    import mujoco_playground

    from flowrl_dsl.runtime.worlds.mujoco_state import quiet

    quiet()
    return mujoco_playground


@lru_cache(maxsize=8)
def _dynamics(task: str, entries: tuple[str, ...] = ()) -> tuple[Any, int]:
    """The dynamics of a task with its arguments, and the number of frames for which it holds an action.

    Its observations contain these entries as well.
    """
    from flowrl_dsl.runtime.worlds.states import States

    registry = _imported().registry
    name, arguments = split(task)
    known = {f"{Playground.name}/{one}": one for one in registry.ALL_ENVS}
    if name not in known:
        raise RunError("FRL0401", f'unknown task "{name}"', did_you_mean(name, known))
    config = registry.get_default_config(known[name])
    environment = _loaded(name, known[name], config, {key: arguments[key] for key in arguments if key != _OWN})
    # making the environment has changed its configuration by the arguments
    states = States(name, environment, config.episode_length, arguments.get(_OWN), entries)
    return states, config.get("action_repeat", 1)


def _loaded(task: str, name: str, config: Any, changed: Arguments) -> Any:
    """The environment with these changes of its configuration."""
    package = _imported()
    # the other implementation of MJX is no function of JAX arrays
    pure = {"impl": "jax"} if "impl" in config else {}
    try:
        return package.registry.load(name, config, pure | dict(changed))
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        message = f"{task} needs robots of MuJoCo Menagerie, which could not be cloned: {error}"
        raise RunError("FRL0405", message, f"git clone {_ROBOTS} {_robots(package)}") from error
    except Exception as error:
        if not changed:
            raise
        accepted = {key: f"={value!r}" for key, value in config.items() if isinstance(value, bool | int | float | str)}
        raise refused(task, changed, {**accepted, _OWN: "=state"}, error) from error


def _robots(package: Any) -> Path:
    """The folder in which Playground looks for the robots of its other suites."""
    return Path(package.__file__).parent / "external_deps" / "mujoco_menagerie"
