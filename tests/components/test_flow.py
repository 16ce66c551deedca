"""The flow backbone and its samplers on a whole tiny problem, against loops in float64."""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.backbones.flow import noise_of_velocity
from flowrl_dsl.formula import Formula
from tests import reference
from tests.components.losses import ROWS, f64, flow, run
from tests.helpers import BATCH, A, algorithm, drawn, ew, improve, policy, sampler, var


def velocity(params, s):
    return lambda a, t: reference.denoiser(params, a, t, s)


@cache
def regressed():
    """Weighted regression on two proposals of each state, with times from a narrow range."""
    block = improve("weighted_regression", particles=drawn(2))
    return run(algorithm(block, policy=policy(flow(t_min=0.2, t_max=0.7), sampler=sampler("midpoint"))))


def test_noised_actions_lie_on_the_straight_way_from_noise_to_action():
    seen, _ = regressed()
    a, noise, t, sigma, a_t = (f64(seen[name]) for name in ("proposals", "noise", "t", "sigma", "a_t"))
    assert t.shape == (BATCH, 2) and t.min() >= 0.2 and t.max() <= 0.7 and len(np.unique(t)) == t.size
    for i in np.ndindex(BATCH, 2):
        assert sigma[i] == pytest.approx(1 - t[i], rel=1e-5)
        np.testing.assert_allclose(a_t[i], (1 - t[i]) * noise[i] + t[i] * a[i], rtol=1e-4, atol=1e-5)


def test_the_velocity_regresses_to_action_minus_noise():
    seen, p = regressed()
    a, noise, t, a_t, w = (f64(seen[name]) for name in ("proposals", "noise", "t", "a_t", "weight"))
    total = 0.0
    for i in np.ndindex(BATCH, 2):
        v = velocity(p["policy"], ROWS["s"][i[0]])(a_t[i], t[i])
        total += w[i] * np.mean((v - (a[i] - noise[i])) ** 2)
    assert float(seen.outputs["loss"]) == pytest.approx(total / BATCH, rel=1e-3)


@pytest.mark.parametrize(
    "name, steps, clip", [("euler", 3, None), ("midpoint", 2, 1.0), ("heun", 2, 0.3), ("ralston", 2, None)]
)
def test_drawn_actions_equal_the_loop(name, steps, clip):
    if name == "midpoint":
        seen, p = regressed()
    else:
        block = improve("weighted_regression", particles=drawn(2))
        seen, p = run(algorithm(block, policy=policy(flow(), sampler=sampler(name, steps, clip))))
    prior, got = f64(seen["proposals_prior"]), f64(seen["proposals"])
    for i in np.ndindex(BATCH, 2):
        follow = velocity(p["policy"], ROWS["s"][i[0]])
        np.testing.assert_allclose(got[i], getattr(reference, name)(follow, prior[i], steps, clip), rtol=2e-3, atol=2e-3)
    assert clip is None or np.abs(got).max() <= np.float32(clip)


def test_the_noise_prediction_is_the_start_of_the_straight_way():
    """eps = a_t - t v: score matching with a target regresses it, not the velocity."""
    target = ew("mul", var("alpha", "batch"), var("noise", "batch", "action"))
    seen, p = run(
        algorithm(improve("score_matching", target=Formula(target)), policy=policy(flow(), sampler=sampler("euler")))
    )
    t, a_t, noise = (f64(seen[name]) for name in ("t", "a_t", "noise"))
    errors = []
    for i in range(BATCH):
        eps = a_t[i] - t[i] * velocity(p["policy"], ROWS["s"][i])(a_t[i], t[i])
        np.testing.assert_allclose(seen["eps"][i], eps, rtol=1e-3, atol=1e-4)
        errors.append((eps - t[i] * noise[i]) ** 2)  # alpha is t
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_velocity_regresses_to_a_formula():
    straight = ew("div", ew("sub", A, var("a_t", "batch", "action")), var("sigma", "batch"))
    block = improve("score_matching", target=None, velocity=Formula(straight))
    seen, p = run(algorithm(block, policy=policy(flow(t_max=0.9), sampler=sampler("euler"))))
    t, a_t = f64(seen["t"]), f64(seen["a_t"])
    errors = [velocity(p["policy"], ROWS["s"][i])(a_t[i], t[i]) - (ROWS["a"][i] - a_t[i]) / (1 - t[i]) for i in range(BATCH)]
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(np.square(errors)), rel=1e-3)


def test_the_exact_velocity_gives_the_exact_noise():
    rng = np.random.default_rng(0)
    a, noise, t = rng.uniform(-1, 1, (5, 2)), rng.normal(size=(5, 2)), rng.uniform(size=(5, 1))
    got = noise_of_velocity(*(jnp.asarray(x, "f") for x in (t * a + (1 - t) * noise, a - noise, t)))
    np.testing.assert_allclose(got, noise, atol=1e-5)
