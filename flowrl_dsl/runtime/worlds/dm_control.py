"""DeepMind Control tasks: ``dm_control/DOMAIN-TASK``.

Observations are the entries of the observation dictionary in their order, flattened.  An episode that ends with
discount 0 is terminal; one that ends with a positive discount has reached its time limit and is truncated.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import register
from flowrl_dsl.runtime import renderer
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.plain import is_plain
from flowrl_dsl.runtime.worlds.arguments import accepted_by, refused
from flowrl_dsl.runtime.worlds.base import Filmed, Rescale, Task, World, WorldKind
from flowrl_dsl.runtime.worlds.mujoco_state import MujocoState, quiet
from flowrl_dsl.runtime.worlds.vector import SyncVector


@register
class DmControl(WorldKind):
    """Tasks of the DeepMind Control Suite."""

    name = "dm_control"
    paper = "arXiv:1801.00690"
    packages = ("dm_control",)
    cure = "pip install dm-control, with Python 3.11 or 3.12"
    configurable = True

    def tasks(self) -> list[Task]:
        return [Task(f"{self.name}/{domain}-{name}") for domain, name in _imported(self.name)[0].ALL_TASKS]

    def make(
        self, task: str, seeds: Sequence[int], action_repeat: int, arguments: Mapping[str, Any] = MappingProxyType({})
    ) -> World:
        return SyncVector(task, [DmControlEnv(task, seed, arguments) for seed in seeds], seeds, action_repeat, reusable=True)

    def before_filming(self) -> None:
        # dm_control looks for its renderer when it is imported
        renderer.choose()

    def film(self, task: str, seed: int, action_repeat: int, size: tuple[int, int], arguments: Mapping[str, Any]) -> Filmed:
        single = DmControlEnv(task, seed, arguments)
        world = SyncVector(task, [single], [seed], action_repeat)
        return Filmed(world, partial(single.frame, *size), single.steps_per_second / action_repeat)


class DmControlEnv:
    """One copy of a task; always exact."""

    exact = True

    def __init__(self, task: str, seed: int, arguments: Mapping[str, Any] = MappingProxyType({})):
        suite, self._unstable = _imported(task)
        domain, name = _find(task, suite.ALL_TASKS)
        quiet()
        self._task = task
        # the seed is set at construction because some domains (lqr) draw their model there
        try:
            self._env = suite.load(domain, name, task_kwargs={"random": seed, **arguments})
        except Exception as error:
            if not arguments:
                raise
            accepted = accepted_by([getattr(suite, domain).SUITE[name]], apart_from=("random", "environment_kwargs"))
            raise refused(task, arguments, accepted, error) from error
        spec = self._env.action_spec()
        self.rescale = Rescale(task, _full(spec.minimum, spec), _full(spec.maximum, spec), spec.dtype)
        self.action_size = int(np.prod(spec.shape))
        shapes = [value.shape for value in self._env.observation_spec().values()]
        self.observation_size = int(sum(np.prod(shape) for shape in shapes))
        self._mujoco = MujocoState(self._env.physics.model.ptr, self._env.physics.data.ptr)

    def reset(self, seed: int | None = None) -> np.ndarray:
        if seed is not None:
            self._env.task.random.seed(seed)
        return _flatten(self._env.reset().observation)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        try:
            step = self._env.step(self.rescale(action))
        except self._unstable as error:
            raise RunError("FRL0406", f"the simulation of {self._task} became unstable: {error}") from error
        terminal = step.last() and step.discount == 0
        return _flatten(step.observation), float(step.reward), bool(terminal), bool(step.last() and not terminal)

    def snapshot(self) -> dict[str, Any]:
        env, task = self._env, self._env.task
        return {
            "physics": self._mujoco.snapshot(),
            "random": task.random.get_state(legacy=False),
            "task": {name: value for name, value in vars(task).items() if is_plain(value)},
            "steps": env._step_count,
            "over": env._reset_next_step,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        # a step here begins with the second half of a physics step: its first half was done by the step before
        self._mujoco.restore(snapshot["physics"], constraints=True)
        self._env.task.random.set_state(snapshot["random"])
        vars(self._env.task).update(snapshot["task"])
        self._env._step_count = snapshot["steps"]
        self._env._reset_next_step = snapshot["over"]

    @property
    def steps_per_second(self) -> float:
        """The speed of the task in real time."""
        return 1 / self._env.control_timestep()

    def frame(self, width: int, height: int) -> np.ndarray:
        """The image of the present state by the first camera of the model."""
        return self._env.physics.render(height, width, camera_id=0)

    def close(self) -> None:
        self._env.close()


def _imported(task: str) -> tuple[Any, type[Exception]]:
    """The package's suite of tasks and its exception for an unstable simulation."""
    try:
        with warnings.catch_warnings():
            # without a display its renderer, unused here, prints a warning on import
            warnings.simplefilter("ignore")
            from dm_control import suite
            from dm_control.rl.control import PhysicsError
    except ImportError as error:
        hint = "pip install dm-control; on Python 3.13, where labmaze has no wheel, use Python 3.11 or 3.12"
        raise RunError("FRL0405", f"{task} needs dm-control, which cannot be imported", str(error), hint) from error
    return suite, PhysicsError


def _find(task: str, tasks: Iterable[tuple[str, str]]) -> tuple[str, str]:
    known = {f"{DmControl.name}/{domain}-{name}": (domain, name) for domain, name in tasks}
    if task not in known:
        raise RunError("FRL0401", f'unknown task "{task}"', did_you_mean(task, known))
    return known[task]


def _full(bound: np.ndarray, spec: Any) -> np.ndarray:
    return np.broadcast_to(bound, spec.shape)


def _flatten(observation: dict[str, Any]) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float32)
