"""The interfaces of MuJoCo Playground and Brax, as packages of one small environment each, where they are not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from flowrl_dsl.runtime.worlds import brax, playground

WALL = 0.6


class State(NamedTuple):
    """As of both simulators; a named tuple is a tree of arrays."""

    data: Any
    obs: Any
    reward: Any
    done: Any
    metrics: dict[str, Any]
    info: dict[str, Any]


class Slide:
    """A point that actions push along a line: an episode truly ends at a wall.

    As environments of both simulators do, it starts with weak types and writes into the dictionaries of its states.
    """

    action_size = 1

    def __init__(self, dictionary: bool, push: float = 0.1):
        self._dictionary, self._push = dictionary, push

    def reset(self, rng: jax.Array) -> State:
        rng, own = jax.random.split(rng)
        x = jax.random.uniform(own, (1,), minval=-0.1, maxval=0.1)
        reward, done = jnp.zeros(2)
        return State(
            {"x": x, "v": jnp.asarray(0.0)}, self._observed(x), reward, done, {"far": jnp.asarray(0.0)}, {"rng": rng}
        )

    def step(self, state: State, action: jax.Array) -> State:
        rng, own = jax.random.split(state.info["rng"])
        x = state.data["x"] + self._push * action + 0.001 * jax.random.normal(own)
        state.metrics["far"] = jnp.abs(x[0])
        state.info["rng"] = rng
        reward = 1 - jnp.abs(x[0])
        done = jnp.where(jnp.abs(x[0]) > WALL, 1.0, 0.0)
        return State({"x": x, "v": action[0]}, self._observed(x), reward, done, state.metrics, state.info)

    def _observed(self, x: jax.Array) -> Any:
        if not self._dictionary:
            return jnp.concatenate([x, x**2])
        return {"state": jnp.concatenate([x, jnp.ones(1)]), "privileged_state": jnp.concatenate([x, x**2, x**3])}


class Config(dict):
    """Entries as of a configuration: also attributes, and of fixed names and types."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def change(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            if name not in self:
                raise KeyError(f"Key {name} does not exist")
            if not isinstance(value, type(self[name])):
                raise TypeError(f"{name} is no {type(self[name]).__name__}")
            self[name] = value


class Registry(ModuleType):
    ALL_ENVS = ("Slide", "Robot")

    @staticmethod
    def get_default_config(name: str) -> Config:
        return Config(episode_length=8, action_repeat=1, impl="warp", push=0.1)

    @staticmethod
    def load(name: str, config: Config, overrides: dict[str, Any]) -> Slide:
        if name == "Robot":
            raise FileNotFoundError("git")
        config.change(overrides)
        assert config.impl == "jax"
        return Slide(dictionary=True, push=config.push)


class Backend(Slide):
    def __init__(self, backend: str = "generalized", push: float = 0.1):
        if backend not in ("generalized", "spring"):
            raise ValueError("backend should be in generalized, spring")
        super().__init__(dictionary=False, push=push)


@contextmanager
def installed() -> Iterator[None]:
    """Both packages, for as long as the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        package, brax_package, envs = _module("mujoco_playground"), _module("brax"), _module("brax.envs")
        package.registry = Registry("registry")
        package.dm_control_suite = ModuleType("dm_control_suite")
        package.dm_control_suite.ALL_ENVS = ("Slide",)
        package.__file__ = str(Path(__file__).parent / "nowhere" / "__init__.py")
        envs._envs = {"slide": Backend}
        envs.get_environment = lambda name, **arguments: envs._envs[name](**arguments)
        brax_package.envs = envs
        for module in (package, brax_package, envs):
            patch.setitem(sys.modules, module.__name__, module)
        forget()
        yield
    forget()


def _module(name: str) -> Any:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    return module


def forget() -> None:
    for kind in (playground, brax):
        kind._dynamics.cache_clear()
