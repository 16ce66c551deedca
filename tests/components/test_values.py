"""State values where the answer is known: one state, exact action values, and a table of its actions.

With every action of the table in each batch, V is the number that minimises the mean of the fit: an equation in one unknown.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.driver import build_program
from flowrl_dsl.testing.texts import check_valid

ROWS, TAU, ALPHA, UPDATES = 64, 0.8, 0.4, 1500
SPEC = """
algorithm fitted {{
  regime = offline
  critic {{ kind = known(uneven, height = 0.2) }}
  value {{ fit = {fit}  network = mlp([8], activation = tanh)  optimizer = adam(cosine(2e-2 -> 1e-5, over = {updates})) }}
  policy {{ backbone = deterministic  network = mlp([4]) }}
  improve imitation {{ weight = V(s) }}
  act {{ evaluate = mean }}
  train {{ batch = {rows}  sampling = epochs }}
}}
"""
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (ROWS, 2)).astype(np.float32)
Q = 0.2 * np.asarray(known_value(jnp.asarray(ACTIONS), "uneven"), np.float64)


def expectile_slope(v: float) -> float:
    """Zero at the expectile: mean |tau - 1[q < v]| (q - v)."""
    return float(np.mean(np.where(v < Q, TAU, 1 - TAU) * (Q - v)))


def sparse_slope(v: float) -> float:
    """Zero where the positive parts of 1 + (q - v) / (2 alpha) have mean 1."""
    return float(np.mean(np.maximum(1 + (Q - v) / (2 * ALPHA), 0))) - 1


def exponential_slope(v: float) -> float:
    """Zero at alpha log mean exp(q / alpha)."""
    return ALPHA * float(np.log(np.mean(np.exp(Q / ALPHA)))) - v


FITS: dict[str, tuple[str, Callable[[float], float]]] = {
    "expectile": (f"expectile(mean(Q(s, a), over = ensemble) - V(s), {TAU})", expectile_slope),
    "sparse": (f"sparse_fit(mean(Q(s, a), over = ensemble), V(s), {ALPHA})", sparse_slope),
    "exponential": (f"exponential_fit(mean(Q(s, a), over = ensemble), V(s), {ALPHA})", exponential_slope),
}


def root(slope: Callable[[float], float], low: float = -20.0, high: float = 20.0) -> float:
    """Where a decreasing function is zero, by bisection."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low


@pytest.mark.parametrize("name", FITS)
def test_values_end_at_the_minimum_of_their_fit(name: str) -> None:
    fit, slope = FITS[name]
    program = build_program(check_valid(SPEC.format(fit=fit, updates=UPDATES, rows=ROWS)), 1, 2, capacity=ROWS)
    ones = np.ones(ROWS, np.float32)
    storage = {"s": ones[:, None], "a": ACTIONS, "r": 0 * ones, "d": ones, "end": ones, "s_next": ones[:, None]}
    counts = {"size": jnp.int32(ROWS), "total": jnp.int32(ROWS)}
    state, _ = program.update(program.init(0), {**storage, **counts}, UPDATES, program.hyper)
    head, hidden = state["value"]["head"], state["value"]
    h = np.tanh(np.asarray(hidden["first"]["s"])[0] + np.asarray(hidden["bias"]))
    v = float(h @ np.asarray(head["kernel"])[:, 0] + np.asarray(head["bias"])[0])
    assert v == pytest.approx(root(slope), abs=2e-3)


def test_the_three_answers_differ() -> None:
    """Else a test that passes would not show which equation was solved."""
    answers = sorted(root(slope) for _, slope in FITS.values())
    assert min(np.diff(answers)) > 0.02
