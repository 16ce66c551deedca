"""Acting functions of shipped specs with tiny networks, and their values and draws by an evaluator of its own."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np

from flowrl_dsl import driver
from flowrl_dsl.export.acting import Acting
from flowrl_dsl.exporting import PASSES
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.testing.traced import Traced
from flowrl_dsl.testing.trials import tiny

OBS, ACTION, ROWS = 3, 2, 5
LOW, HIGH = np.array([-1.0, 0.0]), np.array([2.0, 4.0])
S = np.random.default_rng(0).normal(size=(ROWS, OBS)).astype(np.float32)


@cache
def program(spec: str) -> tuple[Program, dict[str, Any]]:
    """The program as it is exported, and a state whose weights are random."""
    found = driver.build_program(tiny(spec), OBS, ACTION, passes=PASSES, capacity=1)
    rng = np.random.default_rng(1)

    def leaf(shape: Any) -> np.ndarray:
        filled = 0.2 * rng.normal(size=shape.shape) if shape.dtype == np.float32 else np.ones(shape.shape)
        return filled.astype(shape.dtype)

    state = jax.tree.map(leaf, jax.eval_shape(lambda: found.init(0)))
    if "normalizer" in state:
        state["normalizer"] = jax.tree.map(np.abs, state["normalizer"])
    return found, state


def acting(spec: str, mode: str) -> Acting:
    return Acting(*program(spec), LOW, HIGH, mode)


def by_keys(spec: str, mode: str, draws: dict[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The actions of the program, evaluated by NumPy one operation at a time, and the noise that its keys drew.

    ``draws`` are those of the acting function: the bits of one draw, or of each step of a loop, in the same order.
    """
    found, state = program(spec)
    bits: list[np.ndarray] = []

    def seen(shape: Any, scope: str, drawn: np.ndarray) -> np.ndarray:
        bits.append(drawn)
        return drawn

    def act(state: Any, obs: Any, hyper: Any) -> Any:
        return found.jit_act[mode](state, obs, np.int32(0), hyper)["action"]

    read = {group: state[group] for group in found.acting_groups}
    hyper = {name: np.float32(value) for name, value in found.hyper.items()}
    action = Traced(act, read, S, hyper)(read, S, hyper, draw=seen)
    noise = {name: _noise(draw, bits) for name, draw in draws.items()}
    assert bits == []
    chunk = () if found.chunk == 1 else (found.chunk,)
    action = np.reshape(action, (ROWS, *chunk, len(LOW)))
    return LOW + (np.clip(action, -1, 1) + 1) / 2 * (HIGH - LOW), noise


def _noise(draw: Any, bits: list[np.ndarray]) -> np.ndarray:
    """The numbers of a draw from the bits at the front of the list, which are taken from it."""
    shape = tuple(size if isinstance(size, int) else ROWS for size in draw.shape)
    drawn = bits.pop(0)
    if drawn.shape != shape:
        drawn = np.stack([drawn, *(bits.pop(0) for _ in range(shape[0] - 1))])
    u = (drawn >> np.uint32(9) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    if draw.kind == "uniform":
        return u
    low = np.nextafter(np.float32(-1), np.float32(0))
    return np.asarray(np.sqrt(np.float32(2)) * jax.lax.erf_inv(np.maximum(low, u * (1 - low) + low)))
