"""The acting function of a trained policy, as a function of observations and noise alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from flowrl_dsl.export.lifting import Draw, Lifted, Loop
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.runtime.errors import RunError

ROWS = "n"
"""The symbolic number of observations."""
_KEY = "key"


class Acting:
    """``a = f(weights, s, noise)``: actions [n, A] within the bounds of the task for observations [n, O].

    A policy that chooses chunks of h actions returns all of them, [n, h, A], to be taken one after another.

    Attributes:
        weights: the arrays that acting reads, by path: parameters of networks, moments of the normalizer.
        draws: the random draws by name, ``normal_0``, ``uniform_1``, ...; their shapes contain the symbolic n.
        observation_size, action_shape: O, and the shape of what is chosen at once: [A], or [h, A].
        entries: of dictionary observations, those on which actions depend, which alone are passed; else empty.
    """

    def __init__(self, program: Program, state: Mapping[str, Any], low: Any, high: Any, mode: str):
        """The function ``program.act`` in a mode, for a state and bounds of actions [A].

        Raises FRL0490 if an action depends on keys otherwise than by draws of normal and uniform numbers.
        """
        self.name, self.mode, self._program = program.name, mode, program
        self.observation_size, self.entries = program.acting_size(mode), program.acting_entries(mode)
        chunk = () if program.chunk == 1 else (program.chunk,)
        self.action_shape = (*chunk, program.action_size)
        self._low, self._high = (np.asarray(bound, np.float32) for bound in (low, high))
        read = {group: value for group, value in state.items() if group in program.acting_groups}
        self._key = read.pop(_KEY, np.zeros(2, np.uint32))
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(read)
        self.weights = {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}
        self._hyper = {name: np.float32(value) for name, value in program.hyper.items()}
        (self._rows,) = export.symbolic_shape(ROWS)
        self._traced: dict[Any, Lifted] = {}
        self.draws: dict[str, Draw] = {f"{draw.kind}_{i}": draw for i, draw in enumerate(self._lifted(self._rows).draws)}

    def __call__(self, weights: Sequence[Any], obs: Any, noise: Sequence[Any], loop: Loop = jax.lax.scan) -> Any:
        """Actions for observations and noise; the arrays are in the order of ``weights`` and ``draws``.

        ``loop`` computes the loops of samplers.
        """
        return self._lifted(obs.shape[0])([*weights, obs], noise, loop)[0]

    def examples(self) -> tuple[list[Any], Any, list[Any]]:
        """Shapes of the arguments, with the symbolic number of observations."""
        noise = [jax.ShapeDtypeStruct(draw.shape, jnp.float32) for draw in self.draws.values()]
        return *self._shapes(self._rows), noise

    def random_inputs(self, rows: int) -> dict[str, np.ndarray]:
        """Observations ``obs`` and noise by name for this number of observations, always the same."""
        rng = np.random.default_rng(0)
        found = {"obs": rng.standard_normal((rows, self.observation_size), np.float32)}
        for name, draw in zip(self.draws, self._lifted(rows).draws, strict=True):
            numbers = rng.standard_normal if draw.kind == "normal" else rng.random
            found[name] = numbers(draw.shape, np.float32)
        return found

    def _shapes(self, rows: Any) -> tuple[list[Any], Any]:
        weights = [jax.ShapeDtypeStruct(weight.shape, weight.dtype) for weight in self.weights.values()]
        return weights, jax.ShapeDtypeStruct((rows, self.observation_size), jnp.float32)

    def _lifted(self, rows: Any) -> Lifted:
        """The function for this number of observations, a number or a symbol."""
        if rows not in self._traced:
            closed = jax.make_jaxpr(self._keyed)(*self._shapes(rows), self._key, np.int32(0))
            self._traced[rows] = Lifted(closed, [*(False for _ in self.weights), False, True, True])
            if any(self._traced[rows].reached):
                raise not_convertible(self, "it draws numbers that are neither normal nor uniform")
        return self._traced[rows]

    def _keyed(self, weights: Sequence[Any], obs: Any, key: Any, counter: Any) -> Any:
        groups = jax.tree.unflatten(self._structure, weights) | {_KEY: key}
        obs = self._program.placed(self.mode, obs)
        action = self._program.jit_act[self.mode](groups, obs, counter, self._hyper)["action"]
        action = jnp.reshape(action, (obs.shape[0], *self.action_shape)) if len(self.action_shape) > 1 else action
        return jnp.clip(self._low + (action + 1) / 2 * (self._high - self._low), self._low, self._high)


def not_convertible(acting: Acting, why: str) -> RunError:
    """FRL0490: the acting function has no form in the format."""
    message = f"the acting function of {acting.name} ({acting.mode}) cannot be exported: {why}"
    return RunError("FRL0490", message, "another format may have it: stablehlo has every operation of jax")
