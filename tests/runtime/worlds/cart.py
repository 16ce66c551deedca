"""A world as a plugin adds it, in one file: a cart between two walls.  Nothing heavy is imported before a copy is made."""

from __future__ import annotations

from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register
from flowrl_dsl.runtime.worlds.base import WorldKind

LIMIT, WALL = 12, 1.0


class Cart:
    """A double integrator: position, speed; an episode truly ends at the wall and is cut off after ``LIMIT`` frames."""

    observation_size, action_size = 3, 1

    def init(self, key):
        state = {"x": jax.random.uniform(key, (2,), minval=-0.1, maxval=0.1), "t": jnp.int32(0)}
        return state, self._observed(state)

    def step(self, state, action, key):
        x, v = state["x"]
        v = v + 0.2 * action[0] + 0.01 * jax.random.normal(key)
        state = {"x": jnp.stack([x + 0.2 * v, v]), "t": state["t"] + 1}
        distance = jnp.abs(state["x"][0])
        return state, self._observed(state), 1 - distance, distance > WALL, state["t"] >= LIMIT

    @staticmethod
    def _observed(state):
        return jnp.append(state["x"], state["t"] / LIMIT)


@register
class Carts(WorldKind):
    """``cart/walls``."""

    name = "cart"

    def make(self, task, seeds, action_repeat):
        from flowrl_dsl.runtime.errors import RunError
        from flowrl_dsl.runtime.worlds.pure import PureVector

        if task != "cart/walls":
            raise RunError("FRL0401", f'unknown task "{task}"', 'did you mean "cart/walls"?')
        return PureVector(task, Cart(), seeds, action_repeat)
