"""Gymnasium tasks: any registered id with a bounded continuous action and an observation that can be flattened."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from flowrl_dsl.diagnostics import did_you_mean, nearest
from flowrl_dsl.record import Layout
from flowrl_dsl.registry import names_of, register
from flowrl_dsl.runtime import renderer
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.plain import is_plain
from flowrl_dsl.runtime.worlds import given
from flowrl_dsl.runtime.worlds.arguments import accepted_by, refused
from flowrl_dsl.runtime.worlds.base import Filmed, Rescale, Task, World, WorldKind, signed_seed
from flowrl_dsl.runtime.worlds.boundary import Violation, flag, number, origin_of, vector
from flowrl_dsl.runtime.worlds.mujoco_formulas import FORMULAS
from flowrl_dsl.runtime.worlds.vector import SyncVector

_CONTINUOUS = ("MountainCarContinuous-v0", "Pendulum-v1")
"""The ids with continuous actions that Gymnasium has beside those of MuJoCo and need no other package."""
_TRANSPARENT = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")


@register
class Gymnasium(WorldKind):
    """Gymnasium tasks by their ids, ``NAMESPACE/`` included.

    Several copies are stepped together if the results are bit-identical (:mod:`flowrl_dsl.runtime.worlds.batched`).
    """

    name = "gymnasium"
    configurable = True

    def tasks(self) -> list[Task]:
        found = [*_CONTINUOUS, *_newest("gymnasium.envs.mujoco.")]
        return [Task(name) for name in sorted(found)]

    def make(
        self, task: str, seeds: Sequence[int], action_repeat: int, arguments: Mapping[str, Any] = MappingProxyType({})
    ) -> World:
        singles = [GymnasiumEnv(task, arguments) for _ in seeds]
        options: dict[str, Any] = {"reusable": singles[0].reusable, "source": singles[0].task}
        if len(seeds) > 1 and task in FORMULAS and not arguments:
            # mujoco takes long to import: only tasks that use it pay
            from flowrl_dsl.runtime.worlds import batched

            if batched.agrees(task, action_repeat, GymnasiumEnv):
                return batched.BatchedVector(task, singles, seeds, action_repeat, **options)
        return SyncVector(task, singles, seeds, action_repeat, **options)

    def film(self, task: str, seed: int, action_repeat: int, size: tuple[int, int], arguments: Mapping[str, Any]) -> Filmed:
        # pygame opens a window unless it is told that there is no screen
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        single = GymnasiumEnv(task, {**arguments, **_camera(task, size)})
        if single.by_mujoco:
            renderer.choose()
        world = SyncVector(task, [single], [seed], action_repeat, source=single.task)
        return Filmed(world, single.frame, single.frames_per_second / action_repeat)


class GymnasiumEnv:
    """One copy of a Gymnasium task; ``exact`` for MuJoCo tasks whose wrappers store only numbers.

    It is ``reusable`` if the task is also Gymnasium's own: others may keep moments, curricula or pools across episodes.
    """

    def __init__(self, task: str, arguments: Mapping[str, Any] = MappingProxyType({})):
        self._env = _make(task, arguments)
        _check_spaces(task, self._env)
        self.rescale = _rescaling(task, self._env.action_space)
        self._flatten, self.observation_size = _flattening(task, self._env.observation_space)
        self.layout = _layout(self._env.observation_space)
        self._shape = self._env.action_space.shape or ()
        self.action_size = int(np.prod(self._shape))
        self._layers = _layers(self._env)
        self._physics = _physics(self._env)
        wrappers = {type(layer).__name__ for layer in self._layers[:-1]}
        self.exact = self._physics is not None and wrappers <= set(_TRANSPARENT)
        self._own = type(self.task).__module__.startswith("gymnasium.envs.")
        self.reusable = self.exact and self._own

    @property
    def task(self) -> gymnasium.Env:
        """The task itself, without the wrappers around it."""
        return self._layers[-1]

    @property
    def time_limit(self) -> gymnasium.wrappers.TimeLimit | None:
        """The wrapper that counts the frames of an episode."""
        return next((layer for layer in self._layers if isinstance(layer, gymnasium.wrappers.TimeLimit)), None)

    def reset(self, seed: int | None = None) -> np.ndarray:
        if seed is not None and not self._own:
            seed = signed_seed(seed)
        result = self._env.reset(seed=seed)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise Violation("FRL0409", f"{_kind(result)} from `reset`", "`reset` returns two values: observation, info")
        return self._flatten(result[0])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        return self.step_scaled(self.rescale(action).reshape(self._shape))

    def step_scaled(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """As :meth:`step`, with an action within the task's own bounds."""
        obs, reward, terminal, truncated = self._stepped(action)
        ended = flag("terminated", terminal)
        # an end at the time limit is still an end
        return self._flatten(obs), number(reward), ended, flag("truncated", truncated) and not ended

    def _stepped(self, action: np.ndarray) -> tuple[Any, Any, Any, Any]:
        found = "values that a wrapper of Gymnasium cannot unpack"
        try:
            result = self._env.step(action)
            if isinstance(result, tuple) and len(result) == 5:
                return result[:4]
            found = _kind(result)
        except ValueError as error:
            if not _raised_by_a_wrapper(error):
                raise
        raise Violation("FRL0409", f"{found} from `step`", f"`step` returns five values: {_STEPPED}")

    def snapshot(self) -> dict[str, Any]:
        """Physics, random generator, and the plain attributes of the task and of each wrapper around it."""
        return {
            "physics": self._physics.snapshot(),
            "random": self._env.unwrapped.np_random.bit_generator.state,
            "layers": [_plain_attributes(layer) for layer in self._layers],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        self._physics.restore(snapshot["physics"], constraints=False)
        self._env.unwrapped.np_random.bit_generator.state = snapshot["random"]
        for layer, attributes in zip(self._layers, snapshot["layers"], strict=True):
            vars(layer).update(attributes)

    @property
    def by_mujoco(self) -> bool:
        """Whether the task is simulated, and drawn, by MuJoCo."""
        return self._physics is not None

    @property
    def frames_per_second(self) -> float:
        """The speed of the task in real time, by its metadata."""
        return float(self.task.metadata.get("render_fps", _USUAL_RATE))

    def frame(self) -> np.ndarray:
        """The image of the present state; raises FRL0480 for a missing package, FRL0482 for a task without pictures."""
        try:
            image = self._env.render()
        except gymnasium.error.DependencyNotInstalled as error:
            hint = "pip install 'flowrl-dsl[video]' brings pygame, with which tasks of Box2D and classic control draw"
            raise RunError("FRL0480", f"a picture of the task needs a package: {error}", hint) from error
        if not isinstance(image, np.ndarray) or image.ndim != 3:
            raise RunError("FRL0482", "the task returned no picture", "`render` returns an array in the mode rgb_array")
        return np.asarray(image, np.uint8)

    def close(self) -> None:
        self._env.close()


_USUAL_RATE = 30
"""Frames per second of a task that does not declare them."""


def _camera(task: str, size: tuple[int, int]) -> dict[str, Any]:
    """The arguments of a task with a camera; raises FRL0482 if its metadata declare no mode ``rgb_array``."""
    try:
        spec = gymnasium.spec(task)
    except gymnasium.error.Error:
        return {"render_mode": "rgb_array"}
    creator: Any = spec.entry_point
    creator = gymnasium.envs.registration.load_env_creator(creator) if isinstance(creator, str) else creator
    modes = getattr(creator, "metadata", {}).get("render_modes", ["rgb_array"])
    if "rgb_array" not in modes:
        raise RunError("FRL0482", f"{task} has no pictures", f"its modes of rendering are {modes or 'none'}")
    mujoco = isinstance(spec.entry_point, str) and "envs.mujoco" in spec.entry_point
    return {"render_mode": "rgb_array"} | ({"width": size[0], "height": size[1]} if mujoco else {})


_STEPPED = "observation, reward, terminated, truncated, info"


def _kind(result: Any) -> str:
    return f"{len(result)} values" if isinstance(result, tuple) else f"a value of type {type(result).__name__}"


def _raised_by_a_wrapper(error: ValueError) -> bool:
    """Whether the exception comes from one of Gymnasium's wrappers, which unpack the results of the task."""
    return "/gymnasium/wrappers/" in traceback.extract_tb(error.__traceback__)[-1].filename


def reward_threshold(task: str) -> float | None:
    """The mean return at which the task counts as solved in Gymnasium's registry."""
    spec = gymnasium.registry.get(task)
    return None if spec is None else spec.reward_threshold


def specification(task: str) -> gymnasium.envs.registration.EnvSpec | None:
    """The task in Gymnasium's registry, if it is there by now."""
    return gymnasium.registry.get(task.rpartition(":")[2])


def _make(task: str, arguments: Mapping[str, Any]) -> gymnasium.Env:
    _quiet_mujoco(task)
    if "" not in sys.path:
        # the module of a task (module:Task-v0) may lie in the working folder; last, so that no file there hides a library
        sys.path.append("")
    try:
        # the checker costs a tenth of a step, and its findings concern the author of the task
        return gymnasium.make(task, disable_env_checker=True, **arguments)
    except (gymnasium.error.UnregisteredEnv, gymnasium.error.DeprecatedEnv) as error:
        raise RunError("FRL0401", f'unknown task "{task}"', _nearest_task(task), str(error).split("\n")[0]) from error
    except gymnasium.error.DependencyNotInstalled as error:
        raise RunError("FRL0405", f"{task} needs a package that is not installed", str(error)) from error
    except Exception as error:
        # gymnasium has no exception class for a malformed name
        if isinstance(error, gymnasium.error.Error) and "Malformed environment ID" in str(error):
            raise RunError("FRL0401", f'unknown task "{task}"', _nearest_task(task)) from error
        if arguments:
            raise refused(task, arguments, _accepted(task), error) from error
        raise


def _accepted(task: str) -> dict[str, str]:
    """The arguments that a task accepts, those that its class hands on to its bases included."""
    spec = gymnasium.spec(task)
    creator: Any = spec.entry_point
    creator = gymnasium.envs.registration.load_env_creator(creator) if isinstance(creator, str) else creator
    classes = [cls for cls in inspect.getmro(creator) if cls is not object] if inspect.isclass(creator) else [creator]
    makers = [vars(cls)["__init__"] for cls in classes if "__init__" in vars(cls)] if inspect.isclass(creator) else classes
    return accepted_by(makers, apart_from=("self",)) | {"max_episode_steps": f"={spec.max_episode_steps}"}


def _quiet_mujoco(task: str) -> None:
    spec = gymnasium.registry.get(task)
    if spec is not None and isinstance(spec.entry_point, str) and "mujoco" in spec.entry_point:
        from flowrl_dsl.runtime.worlds.mujoco_state import quiet

        quiet()


def _newest(module: str) -> list[str]:
    """The newest version of every registered id whose entry point is in a module."""
    found = [spec for spec in gymnasium.registry.values() if str(spec.entry_point).startswith(module)]
    latest = {(spec.namespace, spec.name): spec.id for spec in sorted(found, key=lambda spec: spec.version or 0)}
    return list(latest.values())


def _nearest_task(task: str) -> str:
    """The newest version of the task with the closest name; for an unknown prefix, the known worlds."""
    if task.startswith(f"{given.NAMESPACE}/"):
        return "a Python program made this task: pass its environment again, Run(path).resume(env=...)"
    newest = {name.rpartition("-v")[0]: name for name in sorted(gymnasium.registry)}
    close = nearest(task.rpartition("-v")[0] or task, newest)
    if close is not None:
        return f'did you mean "{newest[close]}"?'
    prefix, slash, _ = task.rpartition("/")
    if slash and prefix not in {spec.namespace for spec in gymnasium.registry.values()}:
        return f'"{prefix}/" is neither a namespace of Gymnasium nor a world; {did_you_mean(prefix, _worlds())}'
    return f"expected an id registered with Gymnasium, or {', '.join(f'{name}/NAME' for name in _worlds())}"


def _worlds() -> list[str]:
    return sorted(names_of(WorldKind.family) - {Gymnasium.name})


def _check_spaces(task: str, env: gymnasium.Env) -> None:
    for name in ("observation_space", "action_space"):
        space = getattr(env, name, None)
        if not isinstance(space, spaces.Space):
            origin = origin_of(env.unwrapped)
            message = f"{task} has no {name}" if space is None else f"the {name} of {task} is {space!r}, not a space"
            raise RunError("FRL0409", message, f"the task is defined in {origin}" if origin else "")


def _rescaling(task: str, space: spaces.Space) -> Rescale:
    if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
        kind = "discrete" if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary) else "other"
        hint = "Pendulum-v1 is a small task with continuous actions" if kind == "discrete" else ""
        raise RunError("FRL0402", f"{task} has action space {space}; only continuous boxes are supported", hint)
    if 0 in space.shape:
        raise RunError("FRL0402", f"{task} has actions of shape {space.shape}: there is nothing to choose")
    return Rescale(task, space.low, space.high, space.dtype)


def _flattening(task: str, space: spaces.Space) -> tuple[Any, int]:
    if isinstance(space, spaces.Box):
        if 0 in space.shape:
            raise RunError("FRL0404", f"{task} has observations of shape {space.shape}: a policy needs at least one number")
        return functools.partial(vector, shape=space.shape), int(np.prod(space.shape))
    flat = spaces.flatten_space(space) if space.is_np_flattenable else None
    if not isinstance(flat, spaces.Box):
        raise RunError("FRL0404", f"{task} has observations {space}, which cannot be flattened to a vector of numbers")
    return functools.partial(_flatten, space, flat.shape), int(np.prod(flat.shape))


def _layout(space: spaces.Space) -> Layout | None:
    """The entries of the flat vector of a dictionary, in the order in which it is flattened."""
    return Layout.of({name: spaces.flatdim(one) for name, one in space.items()}) if isinstance(space, spaces.Dict) else None


def _flatten(space: spaces.Space, shape: tuple[int, ...], obs: Any) -> np.ndarray:
    return vector(spaces.flatten(space, obs), shape)


def _layers(env: gymnasium.Env) -> list[gymnasium.Env]:
    """The wrappers from the outside in, and the task itself."""
    found = [env]
    while isinstance(found[-1], gymnasium.Wrapper):
        found.append(found[-1].env)
    return found


def _physics(env: gymnasium.Env) -> Any:
    model, data = getattr(env.unwrapped, "model", None), getattr(env.unwrapped, "data", None)
    if type(model).__name__ != "MjModel" or type(data).__name__ != "MjData":
        return None
    # mujoco takes long to import: only tasks that use it pay
    from flowrl_dsl.runtime.worlds.mujoco_state import MujocoState

    return MujocoState(model, data)


def _plain_attributes(layer: gymnasium.Env) -> dict[str, Any]:
    return {name: _copy(value) for name, value in vars(layer).items() if is_plain(value)}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray | list | dict) else value
