"""A small program with the interface that `flowrl_dsl.lowering` gives the runtime: a linear policy, a linear Q."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.components.samplings.uniform import Uniform
from flowrl_dsl.components.sources.ring import Ring
from flowrl_dsl.lowering.program import Data
from flowrl_dsl.record import STEP
from flowrl_dsl.runtime.settings import Settings

BATCH = 16
_COUNTS = {"steps": 600, "warmup": 50, "replay": 300, "updates": 1, "envs": 1, "action_repeat": 1}
_COUNTS |= {"evaluate_every": 250, "episodes": 2, "checkpoint_every": 100, "log_every": 50}


def toy_settings(task: str, seed: int = 0, **counts: int) -> Settings:
    """A short run, with these counts in place of its own."""
    return Settings(task=task, seed=seed, **(_COUNTS | counts))


@dataclass
class ToyReport:
    node: str
    line: str
    value: str
    batch: dict[str, np.ndarray]


def _features(s: jax.Array, a: jax.Array) -> jax.Array:
    return jnp.concatenate([jnp.tanh(s), a, jnp.ones_like(a[:, :1])], axis=-1)


def _loss(weights: jax.Array, batch: dict[str, jax.Array], discount: Any) -> jax.Array:
    q = _features(batch["s"], batch["a"]) @ weights
    after = _features(batch["s_next"], jnp.zeros_like(batch["a"])) @ jax.lax.stop_gradient(weights)
    return jnp.mean((q - batch["r"] - discount * (1 - batch["d"]) * after) ** 2)


@dataclass
class ToyProgram:
    """``blow_up_at`` makes the loss of that update infinite."""

    obs_size: int
    action_size: int
    blow_up_at: int = -1
    chunk: int = 1
    layout: None = None
    entries: tuple[str, ...] = ()
    name: str = "toy"
    hyper: dict[str, float] = field(default_factory=lambda: {"rate": 1e-3, "discount": 0.9})
    data: Data = field(default_factory=lambda: Data(STEP, Ring(sampling=Uniform()), _COUNTS["replay"], BATCH))

    @property
    def axis_sizes(self) -> dict[str, int]:
        return {"obs": self.obs_size, "action": self.action_size}

    def __post_init__(self) -> None:
        self._update = jax.jit(self._updates, donate_argnums=0)
        self._act = jax.jit(self._action, static_argnums=3)

    def init(self, seed: int) -> dict[str, Any]:
        key, one, two = jax.random.split(jax.random.PRNGKey(seed), 3)
        width = self.obs_size + self.action_size + 1
        return {
            "key": key,
            "step": jnp.int32(0),
            "bad_update": jnp.int32(-1),
            "nets": {
                "q": 0.1 * jax.random.normal(one, (width,)),
                "policy": 0.1 * jax.random.normal(two, (self.obs_size, self.action_size)),
            },
        }

    def _batch(self, state: dict[str, Any], replay: dict[str, jax.Array]) -> dict[str, jax.Array]:
        key = jax.random.fold_in(jax.random.fold_in(state["key"], 7), state["step"])
        rows = jax.random.randint(key, (BATCH,), 0, replay["size"])
        return {name: replay[name][rows] for name in ("s", "a", "r", "d", "s_next")}

    def _faulty(self, state: dict[str, Any]) -> jax.Array:
        return jnp.where(state["step"] == self.blow_up_at, jnp.inf, 1.0)

    def _one(self, state: dict[str, Any], replay: dict[str, jax.Array], hyper: dict[str, Any]) -> tuple:
        batch, nets = self._batch(state, replay), state["nets"]
        loss, slope = jax.value_and_grad(_loss)(nets["q"], batch, hyper["discount"])
        loss = loss * self._faulty(state)
        q = nets["q"] - hyper["rate"] * slope * self._faulty(state)
        uphill = jnp.tanh(batch["s"]).T @ jnp.tile(q[self.obs_size : -1], (BATCH, 1)) / BATCH
        policy = nets["policy"] + hyper["rate"] * uphill
        finite = jnp.isfinite(loss) & jnp.isfinite(q).all()
        bad = jnp.where((state["bad_update"] < 0) & ~finite, state["step"], state["bad_update"])
        new = state | {"step": state["step"] + 1, "bad_update": bad, "nets": {"q": q, "policy": policy}}
        return new, {"critic.loss": loss, "policy.norm": jnp.linalg.norm(policy), "never": jnp.float32(0)}

    def _updates(self, state: dict[str, Any], replay: dict[str, jax.Array], n: jax.Array, hyper: Any) -> tuple:
        start = {name: jnp.float32(0) for name in ("critic.loss", "policy.norm", "never")}

        def body(_: jax.Array, carry: tuple) -> tuple:
            state, sums = carry
            state, metrics = self._one(state, replay, hyper)
            return state, jax.tree.map(jnp.add, sums, metrics)

        state, sums = jax.lax.fori_loop(0, n, body, (state, start))
        ran = {f"ran.{name}": jnp.float32(name != "never") for name in sums}
        return state, jax.tree.map(lambda total: total / n, sums) | ran

    def differs_in_numbers_alone(self, other: ToyProgram) -> bool:
        return (self.obs_size, self.action_size, self.data) == (other.obs_size, other.action_size, other.data)

    def on_device(self, hyper: Any) -> dict[str, jax.Array]:
        return {name: jnp.asarray(value, jnp.float32) for name, value in hyper.items()}

    def joined(self, storage: Any = 0) -> ToyProgram:
        many = copy.copy(self)
        many._update = jax.jit(jax.vmap(self._updates, in_axes=(0, 0, None, 0)), donate_argnums=0)
        each = {mode: jax.jit(jax.vmap(partial(self._action, mode=mode), in_axes=(0, 0, None))) for mode in ("explore",)}
        many._act = lambda state, obs, counter, mode: each[mode](state, obs, counter)
        return many

    def update(self, state: Any, replay: Any, n: int, hyper: Any) -> tuple:
        return self._update(state, replay, np.int32(n), hyper)

    def _action(self, state: dict[str, Any], obs: jax.Array, counter: jax.Array, mode: str) -> dict[str, jax.Array]:
        mean = jnp.tanh(obs @ state["nets"]["policy"])
        noise = jax.random.normal(jax.random.fold_in(state["key"], counter), mean.shape)
        return {"action": jnp.clip(mean + (0.3 * noise if mode == "explore" else 0), -1, 1)}

    def act(self, state: Any, obs: np.ndarray, counter: int, mode: str, hyper: Any) -> dict[str, jax.Array]:
        return self._act(state, obs, np.int32(counter), mode)

    def diagnose(self, state: Any, replay: Any, hyper: Any) -> ToyReport | None:
        return self.diagnose_batch(state, self._batch(state, replay), hyper)

    def diagnose_batch(self, state: Any, batch: Any, hyper: Any) -> ToyReport | None:
        loss = _loss(state["nets"]["q"], batch, hyper["discount"]) * self._faulty(state)
        if bool(jnp.isfinite(loss)):
            return None
        return ToyReport("critic.loss", "toy.flowrl:3:5", "inf in 1 of 1", {k: np.asarray(v) for k, v in batch.items()})


@cache
def toy_program(*sizes: int) -> ToyProgram:
    """One program, compiled once, for all tests with these sizes."""
    return ToyProgram(*sizes)
