"""Adjoint matching: closed forms of Gaussian data, exact vjps of paths, and a tiny problem against loops in float64."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.mechanisms.adjoint_matching import adjoint_error, lean_adjoint, memoryless_path
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.spec.helpers import CRITIC, codes, resolve_text, spec

STEPS, ROWS = 3, 6
FLOW = "backbone = flow(time = raw, obs = [])  network = mlp([6], activation = tanh)"
SPEC = f"""
algorithm small {{
  regime = offline
  order  = [critic, behavior, policy] -> targets
  policy behavior {{ {FLOW}  improve imitation {{}} }}
  policy {{ {FLOW}  sampler = euler(2) }}
  critic {{ network = mlp([8], activation = tanh) }}
  improve adjoint_matching {{
    steps = {STEPS} from behavior
    slope = 0.5 * grad(mean(Q(s, clip(a, -1, 1)), over = ensemble), wrt = a)
  }}
  train {{ batch = {ROWS} }}
}}
"""


@cache
def seen() -> Trial:
    return trial(SPEC)


def of(name: str) -> np.ndarray:
    node = f"policy.adjoint_matching.{name}"
    return np.asarray(seen().interpreted[node], np.float64)


def field(owner: str, k: int):
    """The velocity of a flow at the state of row k: one action, in float64."""
    params, s = reference.f64(seen().state[owner]), np.asarray(seen().batch["s"], np.float64)[k]
    return lambda x, t: reference.mlp(params["trunk"], [x, np.array([t]), s], ["a", "t", "s"], "tanh")


def test_the_last_step_of_a_path_follows_the_base_without_noise() -> None:
    x, end = of("states"), of("end")
    assert x.shape == (ROWS, STEPS, 2)
    np.testing.assert_array_equal(x[:, 0], of("path_start"))
    for k in range(ROWS):
        last = x[k, -1] + field("behavior", k)(x[k, -1], 1 - 1 / STEPS) / STEPS
        np.testing.assert_allclose(end[k], last, rtol=1e-4, atol=1e-5)


def test_costates_and_the_loss_equal_the_loop() -> None:
    """The Jacobian of the base by central differences."""
    x, end, h, total = of("states"), of("end"), 1 / STEPS, 0.0
    critic = reference.f64(seen().state["critic"])
    s = np.asarray(seen().batch["s"], np.float64)
    for k in range(ROWS):
        base, tuned = field("behavior", k), field("policy", k)

        def value(a, k=k):
            return 0.5 * reference.q_values(critic, s[k], np.clip(a, -1, 1)).mean()

        costate = -reference.gradient(value, end[k])
        for i in reversed(range(STEPS)):
            t = i * h

            def pulled(x, t=t, costate=costate, base=base):
                return costate @ (2 * base(x, t + h) - x / (t + h))

            costate = costate + h * reference.gradient(pulled, x[k, i])
            np.testing.assert_allclose(of("costate")[k, i], costate, rtol=2e-3, atol=1e-4)
            sigma = np.sqrt(2 * (1 - t + h) / (t + h))
            total += np.sum((2 * (tuned(x[k, i], t) - base(x[k, i], t)) / sigma + sigma * costate) ** 2) / ROWS
    assert float(seen().stepped[1]["policy_loss"]) == pytest.approx(total, rel=2e-3)


def test_paths_are_the_memoryless_process() -> None:
    """With v = 0 each step is x -> x (1 - h / (t + h)) + sqrt(h) sigma z: the first one forgets x_0."""

    def still(x, t):
        return jnp.zeros_like(x)

    x, _ = memoryless_path(still, still, 5 + jnp.zeros((20_000, 1)), jax.random.PRNGKey(0), 2)
    assert float(x[:, 1].mean()) == pytest.approx(0, abs=5 * np.sqrt(3 / 20_000))
    assert float(x[:, 1].var()) == pytest.approx(3.0, rel=0.06)  # h sigma^2 = 2 (1 + h)


def test_the_costate_is_the_vjp_of_the_path_of_a_linear_base() -> None:
    """jax.vjp through all steps of the base's path; its Jacobian does not depend on where the path goes."""
    rng, steps = np.random.default_rng(0), 5
    matrix, slope = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32), jnp.asarray(rng.normal(size=(1, 2)), jnp.float32)

    def base(x, t):
        return (1 + t) * x @ matrix

    def end(x, start):
        for k in range(start, steps):
            t = (k + 1) / steps
            x = x + (2 * base(x, t) - x / t) / steps
        return x

    x = jnp.asarray(rng.normal(size=(1, steps, 2)), jnp.float32)
    found = lean_adjoint(base, x, slope)
    for k in range(steps):
        _, pull = jax.vjp(lambda x, k=k: end(x, k), x[:, k])
        np.testing.assert_allclose(found[:, k], pull(-slope)[0], rtol=2e-3, atol=1e-4)


def gaussian(mean: float, scale: float = 0.6):
    """The velocity of the flow to N(mean, scale^2), E[a - noise | x_t]."""

    def v(x, t):
        variance = t**2 * scale**2 + (1 - t) ** 2
        clean = mean + t * scale**2 / variance * (x - t * mean)
        return (clean - x) / (1 - t)

    return v


def test_the_tilted_gaussian_is_the_minimum() -> None:
    """The base is N(m, s^2), the slope a constant c: the tilted density is N(m + s^2 c, s^2), and its flow has no loss."""
    steps, scale, slope = 400, 0.6, 0.8
    base, tilted = gaussian(0.1, scale), gaussian(0.1 + scale**2 * slope, scale)
    h = 1 / steps
    t = (np.arange(steps) * h)[None]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, steps, 1)), jnp.float32)
    costate = lean_adjoint(lambda x, t: base(x, jnp.minimum(t, 1 - 1e-4)), x, jnp.full((4, 1), slope))
    variance = t**2 * scale**2 + (1 - t) ** 2
    closed = -slope * scale**2 * t / variance
    np.testing.assert_allclose(costate[0, 20:, 0], closed[0, 20:], rtol=0.05, atol=0.02)
    at = jnp.broadcast_to(jnp.asarray(t, jnp.float32), (4, steps))
    v, v_b = (f(x, at[..., None]) for f in (tilted, base))
    best = float(adjoint_error(v, v_b, costate, at))
    assert best < 0.02 * float(adjoint_error(v_b, v_b, costate, at))
    halfway = v_b + 0.5 * (v - v_b)
    assert best < float(adjoint_error(halfway, v_b, costate, at)) / 5


def test_only_a_flow_can_be_the_base(tmp_path) -> None:
    flow = f"policy {{ {FLOW}  sampler = euler(2) }}  policy behavior {{ backbone = gaussian  improve imitation {{}} }}"
    block = "improve adjoint_matching { steps = 2 from behavior  slope = grad(mean(Q(s, a), over = ensemble), wrt = a) }"
    found = resolve_text(tmp_path, spec(flow, CRITIC, block, "regime = offline"))
    assert codes(found) == ["FRL0212"] and "flow_field" in found.diagnostics.errors[0].message
