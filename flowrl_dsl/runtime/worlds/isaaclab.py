"""IsaacLab: ``isaaclab/ID``, simulated without Kit and without a renderer, on PyTorch.

IsaacLab has one environment in a process.  So each world here is a process of its own, which imports the simulator and
answers requests with arrays of NumPy; training and evaluations are apart, and nothing of the simulator is in this one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.record import Layout
from flowrl_dsl.registry import register
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.arguments import split, written
from flowrl_dsl.runtime.worlds.base import Rescale, Stepped, Task, World, WorldKind, seed_of, signed_seed
from flowrl_dsl.runtime.worlds.boundary import Boundary, Violation

USUAL = "policy"
"""The group of observations that IsaacLab passes to the policy; ``critic`` is that of values, where a task has one."""
ASSETS = "ISAACSIM_ASSET_ROOT"
OWN = {"physics": "newton_mjwarp", "device": None, "action_bound": 1.0, "observation": USUAL}
"""Arguments that are no fields of a task's configuration, with their defaults: a device of None is the first GPU, if any."""
_PATIENCE = 20.0
"""Seconds that a simulation may take to close."""


@register
class IsaacLab(WorldKind):
    """Tasks of IsaacLab.  Their arguments are ``physics``, ``device``, ``action_bound``, and fields of their configuration.

    Where a task declares no bounds of its actions, they are those of ``action_bound``, beside 0.
    """

    name = "isaaclab"
    paper = "arXiv:2511.04831"
    packages = ("isaaclab", "isaaclab_tasks")
    cure = "pip install isaaclab==3.0.0 in an environment of Python 3.12; docs/worlds.md has the commands"
    configurable = selects = True

    def make(
        self,
        task: str,
        seeds: Sequence[int],
        action_repeat: int,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        entries: tuple[str, ...] = (),
    ) -> World:
        if action_repeat != 1:
            hint = "leave out train.action_repeat: --env decimation=4 sets the physics steps of an action"
            raise RunError("FRL0408", f"{task} holds each action for the frames of its own configuration", hint)
        return Simulated(written(task, arguments), seeds, entries)

    def tasks(self) -> list[Task]:
        with closing(_Process()) as process:
            names = process.ask("names", {})
        models = f"models of its robots, which IsaacLab fetches when a task is made; {ASSETS} names a folder of them"
        needs = "" if os.environ.get(ASSETS) else models
        return [Task(f"{self.name}/{name}", needs) for name in names]


class Facts(NamedTuple):
    """What a task is: the sizes of its groups of observations, the bounds of its actions [A], and how a time limit counts.

    With a ``finite`` horizon an episode that runs out of time has ended.
    """

    sizes: dict[str, int]
    low: np.ndarray
    high: np.ndarray
    finite: bool


class Simulated:
    """A :class:`~flowrl_dsl.runtime.worlds.base.World` of copies that one simulation steps together.

    The simulation starts when it is reset.  It is not exact: a restored world starts new episodes.  Copies that are not
    active are simulated on, and nothing is reported of them.
    """

    exact = reusable = False
    pure = None

    def __init__(self, task: str, seeds: Sequence[int], entries: Sequence[str]):
        self.task, self.count = task, len(seeds)
        self._seed, self._begun = seeds[0], 0
        self._boundary = Boundary(task)
        facts = _facts(task)
        usual = split(task)[1].get("observation", OWN["observation"])
        if usual not in facts.sizes:
            known = ", ".join(f"{name} [{size}]" for name, size in facts.sizes.items())
            raise RunError("FRL0408", f'{task} has no observation "{usual}"', f"it observes {known}")
        sizes = {name: size for name, size in facts.sizes.items() if name == usual or name in entries}
        self.layout = Layout.of(sizes, usual=(usual,), known=tuple(facts.sizes))
        self.observation_size, self.action_size = self.layout.size, len(facts.low)
        self.rescale = Rescale(task, facts.low, facts.high, np.float32)
        self._finite = facts.finite
        self._process: _Process | None = None
        self._obs = np.zeros((self.count, self.observation_size), np.float32)
        self._returns, self._lengths = np.zeros(self.count), np.zeros(self.count, np.int64)

    def reset(self) -> np.ndarray:
        return self._restarted(self._seed)

    def _restarted(self, seed: int) -> np.ndarray:
        if self._process is None:
            self._process = _Process()
            self._ask("make", {"task": self.task, "count": self.count, "seed": seed}, "when it was made")
        found = self._ask("reset", {"seed": seed}, "at a reset")
        self._returns[:] = self._lengths[:] = 0
        self._obs = self._joined(found, "at a reset")
        self._check_finite(self._obs, np.zeros(self.count), "at a reset")
        return self._obs

    def step(self, actions: Any, active: np.ndarray | None = None) -> Stepped:
        going = np.ones(self.count, bool) if active is None else np.asarray(active, bool)
        when = f"at step {int(self._lengths.max(initial=0)) + 1} of an episode"
        found = self._ask("step", {"actions": self.rescale(np.asarray(actions, np.float32))}, when)
        reward = np.where(going, self._column(found["reward"], "reward", when), 0).astype(np.float32)
        ends, cuts = (self._column(found[name], name, when).astype(bool) & going for name in ("terminated", "truncated"))
        terminal = ends | cuts if self._finite else ends
        done = ends | cuts
        obs = np.where(going[:, None], self._joined(found["obs"], when), self._obs)
        next_obs = obs.copy()
        if done.any():
            next_obs[done] = self._joined(found["final"], when)[done]
        self._check_finite(next_obs, reward, when)
        self._check_finite(obs, reward, when)
        self._returns += reward
        self._lengths += going
        finished = [(float(self._returns[k]), int(self._lengths[k])) for k in np.flatnonzero(done)]
        self._returns[done] = self._lengths[done] = 0
        self._begun += len(finished)
        self._obs = obs
        return Stepped(obs, next_obs, reward, terminal, cuts & ~terminal, finished)

    def _ask(self, request: str, arguments: dict[str, Any], when: str) -> Any:
        assert self._process is not None
        try:
            return self._process.ask(request, arguments)
        except Failed as error:
            raise error.diagnostic(self.task, when) from error

    def _joined(self, groups: Mapping[str, np.ndarray], when: str) -> np.ndarray:
        """The entries of the layout side by side: [N, O]."""
        for name, size in self.layout.sizes:
            if groups[name].shape != (self.count, size):
                found = f"an observation {name} of shape {groups[name].shape}"
                raise self._boundary.failed(Violation("FRL0404", found, f"its shape was {(self.count, size)}"), when)
        return np.concatenate([groups[name] for name, _ in self.layout.sizes], axis=1)

    def _column(self, found: np.ndarray, name: str, when: str) -> np.ndarray:
        """A number for each copy."""
        if found.size != self.count:
            problem = Violation("FRL0409", f"{name} of shape {found.shape}", f"there are {self.count} copies")
            raise self._boundary.failed(problem, when)
        return found.reshape(self.count)

    def _check_finite(self, obs: np.ndarray, reward: np.ndarray, when: str) -> None:
        bad = np.flatnonzero(~(np.isfinite(obs).all(axis=1) & np.isfinite(reward)))
        if len(bad):
            raise self._boundary.not_finite(obs[bad[0]], float(reward[bad[0]]), f"{when} in copy {bad[0]}")

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        return self._returns.copy(), self._lengths.copy()

    def snapshot(self) -> dict[str, Any]:
        return {"task": self.task, "begun": self._begun}

    def restore(self, snapshot: dict[str, Any]) -> np.ndarray:
        self._begun = int(snapshot["begun"]) + 1
        return self._restarted(seed_of(self._seed, self._begun))

    def notices(self) -> list[str]:
        return []

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


@lru_cache(maxsize=8)
def _facts(task: str) -> Facts:
    """The facts of a task with its arguments, by a simulation of one copy."""
    lacking = [package for package in IsaacLab.packages if find_spec(package) is None]
    if lacking:
        raise RunError("FRL0491", f"{lacking[0]} is not installed", IsaacLab.cure)
    with closing(_Process()) as process:
        try:
            process.ask("make", {"task": task, "count": 1, "seed": 0})
            return Facts(*process.ask("facts", {}))
        except Failed as error:
            raise error.diagnostic(task, "when it was made") from error


class Failed(Exception):
    """An exception of the simulator, or the end of its process: the name of its kind, its message and notes."""

    def __init__(self, kind: str, message: str, notes: Sequence[str] = ()):
        super().__init__(message)
        self.kind, self.message, self.notes = kind, message, tuple(notes)

    def diagnostic(self, task: str, when: str) -> RunError:
        name, arguments = split(task)
        if self.kind == _UNKNOWN:
            known = [f"{IsaacLab.name}/{one}" for one in self.notes]
            return RunError("FRL0401", f'unknown task "{name}"', did_you_mean(name, known))
        if self.kind == _ACTIONS:
            return RunError("FRL0402", f"{name} has action space {self.message}; only continuous boxes are supported")
        if arguments and when == "when it was made":
            accepted = f"arguments are {', '.join(OWN)}, and fields of its configuration such as episode_length_s"
            return RunError("FRL0408", f"{task} cannot be made: {self.kind}: {self.message}", accepted, *self.notes)
        return RunError("FRL0405", f"{task} failed {when}: {self.kind}: {self.message}", *self.notes)


class _Process:
    """The process of a simulation, which ends with its connection."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        self._opened = ExitStack()
        self._output = self._opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        code = f"from flowrl_dsl.runtime.worlds.isaaclab import serve; serve({theirs.fileno()})"
        output: Any = {"stdin": subprocess.DEVNULL, "stdout": self._output, "stderr": subprocess.STDOUT}
        self._child = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], **output)
        theirs.close()

    def ask(self, request: str, arguments: dict[str, Any]) -> Any:
        """The answer to a request; raises :class:`Failed`."""
        try:
            self._connection.send((request, arguments))
            state, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_PATIENCE)
            message = f"its process ended with exit code {self._child.returncode}"
            self._output.seek(0)
            printed = self._output.read().decode(errors="replace").strip().splitlines()[-1:]
            raise Failed("SimulatorEnded", message, [f"it printed: {line}" for line in printed]) from error
        if state == "failed":
            raise Failed(*answer)
        return answer

    def close(self) -> None:
        """Let the simulation close; a process that does not end by then is ended."""
        self._connection.close()
        try:
            self._child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._opened.close()


# in the process of the simulation

_UNKNOWN, _ACTIONS = "UnknownTask", "NotContinuous"


def serve(handle: int) -> None:
    """Answer the requests of a connection until it is closed."""
    # Ctrl-C is the user's message to the training, which closes the connection when it has saved a checkpoint
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection, simulation = Connection(handle), _Simulation()
    while True:
        try:
            request, arguments = connection.recv()
        except (EOFError, OSError):
            break
        try:
            answer = "done", getattr(simulation, request)(**arguments)
        except Failed as error:
            answer = "failed", (error.kind, error.message, error.notes)
        except BaseException as error:  # licence checks and simulators leave by sys.exit
            frames = traceback.extract_tb(error.__traceback__)
            answer = "failed", (type(error).__name__, str(error), [f"raised at {frames[-1].filename}:{frames[-1].lineno}"])
        connection.send(answer)
    simulation.close()
    # threads of simulators may keep a process from ending
    os._exit(0)


class _Simulation:
    """An environment of IsaacLab, by methods that take and return arrays of NumPy; all of these are copies."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._env: Any = None

    def names(self) -> list[str]:
        """The tasks of IsaacLab."""
        import gymnasium
        import isaaclab_tasks

        home = isaaclab_tasks.__name__
        specs = gymnasium.registry.values()
        return sorted(spec.id for spec in specs if home in str(spec.kwargs.get("env_cfg_entry_point", "")))

    def make(self, task: str, count: int, seed: int) -> None:
        """Start the simulation of so many copies."""
        whole, arguments = split(task)
        name, known = whole.partition("/")[2], self.names()
        if name not in known:
            raise Failed(_UNKNOWN, name, known)
        import gymnasium
        import torch
        from isaaclab.app import launch_simulation
        from isaaclab_tasks.utils import parse_env_cfg

        own = {key: arguments.get(key, default) for key, default in OWN.items()}
        overrides = [f"env.{key}={value}" for key, value in arguments.items() if key not in OWN]
        overrides += [] if own["physics"] is None else [f"physics={own['physics']}"]
        device = own["device"] or ("cuda:0" if torch.cuda.is_available() else "cpu")
        cfg = parse_env_cfg(name, device=device, num_envs=count, overrides=overrides)
        # the observation that an episode ended with is computed before its copy is reset
        cfg.seed, cfg.compute_final_obs = seed, True
        self._opened.enter_context(launch_simulation(cfg, {"visualizer": "none"}))
        self._env, self._cfg, self._bound = gymnasium.make(name, cfg=cfg).unwrapped, cfg, float(own["action_bound"])

    def facts(self) -> tuple[Any, ...]:
        """Those of :class:`Facts`."""
        import gymnasium

        space = self._env.single_action_space
        if not isinstance(space, gymnasium.spaces.Box):
            raise Failed(_ACTIONS, str(space))
        groups = self.reset(0)
        low, high = (np.ravel(bound).astype(np.float64) for bound in (space.low, space.high))
        free = ~(np.isfinite(low) & np.isfinite(high))
        low[free], high[free] = -self._bound, self._bound
        sizes = {name: group.shape[1] for name, group in groups.items()}
        return sizes, low, high, bool(getattr(self._cfg, "is_finite_horizon", False))

    def reset(self, seed: int) -> dict[str, np.ndarray]:
        """Begin an episode in every copy."""
        return _groups(self._env.reset(seed=signed_seed(seed))[0])

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        """Step all copies; those that are done begin again, and ``final`` are the observations before that."""
        import torch

        obs, reward, terminated, truncated, extras = self._env.step(torch.as_tensor(actions, device=self._env.device))
        found: dict[str, Any] = {"reward": _array(reward), "terminated": _array(terminated), "truncated": _array(truncated)}
        if (found["terminated"].astype(bool) | found["truncated"].astype(bool)).any():
            final = extras.get("final_obs")
            if final is None or any(_same_memory(final.get(name), value) for name, value in obs.items()):
                raise RuntimeError("the last observation of an episode is lost: IsaacLab 3 gives it by compute_final_obs")
            found["final"] = _groups(final)
        return found | {"obs": _groups(obs)}

    def close(self) -> None:
        """Close environment and runtime; what fails then costs nothing."""
        with suppress(Exception):
            if self._env is not None:
                self._env.close()
            self._opened.close()


def _groups(obs: Any) -> dict[str, np.ndarray]:
    """The groups of observations as float32 vectors [N, ...], in the order of their names."""
    groups = obs if isinstance(obs, Mapping) else {USUAL: obs}
    return {name: _vectors(groups[name]) for name in sorted(groups)}


def _vectors(group: Any) -> np.ndarray:
    """One group as vectors, the terms of a dictionary or a tuple side by side."""
    if isinstance(group, Mapping | tuple | list):
        terms = group.values() if isinstance(group, Mapping) else group
        return np.concatenate([_vectors(term) for term in terms], axis=1)
    array = _array(group)
    return array.reshape(len(array), -1).astype(np.float32)


def _array(tensor: Any) -> np.ndarray:
    """A copy of a tensor, whose memory the simulator writes again in its next step."""
    return np.array(tensor.detach().cpu().numpy(), copy=True)


def _same_memory(one: Any, other: Any) -> bool:
    """Whether two groups are views of the same numbers."""
    return hasattr(one, "data_ptr") and hasattr(other, "data_ptr") and one.data_ptr() == other.data_ptr()
