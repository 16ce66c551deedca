"""Consistency policies: the boundary condition, the law of the levels, and a whole tiny problem against loops in float64."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.backbones.consistency import consistency_direction, consistent_action, karras_level
from flowrl_dsl.components.backbones.edm import edm_input, edm_time
from flowrl_dsl.components.samplers.one_step import one_step
from flowrl_dsl.formula import Formula
from tests import reference
from tests.components.losses import ROWS, f64, run, small_time
from tests.helpers import BATCH, algorithm, component, drawn, improve, policy, scalar, var

SHAPE = (BATCH, 2)
LEAST, MOST, DATA, RHO, LEVELS = 0.05, 4.0, 0.4, 3.0, 5


def tiny(bound: float | None = 1.0):
    levels = {"sigma_min": LEAST, "sigma_max": MOST, "sigma_data": DATA, "rho": RHO, "levels": LEVELS}
    limit = None if bound is None else scalar("policy.backbone.bound", bound)
    backbone = component("backbone", "consistency", time=small_time(), obs=(4, 4), bound=limit, **levels)
    return policy(backbone, sampler=component("sampler", "one_step", clip=scalar("policy.sampler.clip", 1.0)))


def denoised(params, a_t, sigma, s):
    """D as published, one row."""
    f = reference.denoiser(params, a_t / np.sqrt(sigma**2 + DATA**2), np.log(sigma) / 4, s)
    skip = DATA**2 / ((sigma - LEAST) ** 2 + DATA**2)
    return skip * a_t + (sigma - LEAST) * DATA / np.sqrt(sigma**2 + DATA**2) * f


@cache
def regressed(bound: float | None):
    return run(algorithm(improve("weighted_regression", particles=drawn(2)), policy=tiny(bound)))


@settings(max_examples=40, deadline=None)
@given(st.floats(-1, 1), st.floats(-1e3, 1e3), st.floats(1e-3, 0.1), st.floats(0.1, 1))
def test_at_the_lowest_level_it_is_the_identity_whatever_the_network(a, f, least, data):
    least = float(np.float32(least))
    assert float(consistent_action(jnp.float32(a), f, least, least, data)) == float(np.float32(a))


def test_far_from_the_lowest_level_only_the_network_counts():
    """c_skip falls to 0 and c_out rises to sigma_data."""
    assert float(consistent_action(jnp.float32(80.0), 0.7, 80.0, 0.002, 0.5)) == pytest.approx(0.5 * 0.7, abs=4e-3)


def test_levels_are_those_of_the_grid_above_the_lowest_and_equally_likely():
    levels = f64(karras_level(jax.random.PRNGKey(0), jnp.zeros((4000, 2)), 0.002, 80.0, 7.0, 5))
    grid = [(80 ** (1 / 7) + k / 4 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for k in range(5)]
    nearest = np.abs(np.log(levels)[:, None] - np.log(grid)).argmin(axis=1)
    np.testing.assert_allclose(levels, np.array(grid)[nearest], rtol=1e-4)
    np.testing.assert_allclose(np.bincount(nearest, minlength=5) / 4000, [0.25] * 4 + [0], atol=5 * np.sqrt(0.19 / 4000))


@pytest.mark.parametrize("bound", [None, 1.0])
def test_the_loss_is_the_weighted_reconstruction_of_the_loop(bound):
    seen, p = regressed(bound)
    a, noise, t, a_t, w = (f64(seen[name]) for name in ("proposals", "noise", "t", "a_t", "weight"))
    np.testing.assert_array_equal(seen["alpha"], np.ones(SHAPE))
    total, outside = 0.0, 0
    for i in np.ndindex(SHAPE):
        np.testing.assert_allclose(a_t[i], a[i] + t[i] * noise[i], rtol=1e-4, atol=1e-5)
        clean = denoised(p["policy"], a_t[i], t[i], ROWS["s"][i[0]])
        outside += np.sum(np.abs(clean) > 1)
        clean = clean if bound is None else np.clip(clean, -bound, bound)
        total += w[i] * (1 / t[i] ** 2 + 1 / DATA**2) * np.mean((clean - a[i]) ** 2)
    assert outside > 0  # the bound matters
    assert float(seen.outputs["loss"]) == pytest.approx(total / BATCH, rel=2e-3)


def test_actions_are_drawn_in_one_call_at_the_highest_level():
    seen, p = regressed(1.0)
    prior, got = f64(seen["proposals_prior"]), f64(seen["proposals"])
    for i in np.ndindex(SHAPE):
        expected = np.clip(denoised(p["policy"], MOST * prior[i], MOST, ROWS["s"][i[0]]), -1, 1)
        np.testing.assert_allclose(got[i], expected, rtol=1e-3, atol=1e-3)
    assert np.abs(got).mean() > 0.1


@pytest.mark.parametrize("sigma", [0.5, 80.0])
def test_one_step_ends_at_the_denoised_action(sigma):
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)

    def network(x, c):
        return jnp.sin(3 * x) + c

    f = network(edm_input(sigma * z, sigma, 0.5), edm_time(sigma))
    got = one_step(consistency_direction(network, 0.002, 0.5), z, times=jnp.array([sigma, 0.0]))
    np.testing.assert_allclose(got, consistent_action(sigma * z, f, sigma, 0.002, 0.5), rtol=1e-4, atol=1e-5)


def test_the_noise_prediction_is_what_the_denoiser_removes():
    target = Formula(var("noise", "batch", "action"))
    seen, p = run(algorithm(improve("score_matching", target=target), policy=tiny()))
    noise, sigma, a_t = (f64(seen[name]) for name in ("noise", "t", "a_t"))
    errors = [
        ((a_t[i] - denoised(p["policy"], a_t[i], sigma[i], ROWS["s"][i])) / sigma[i] - noise[i]) ** 2 for i in range(BATCH)
    ]
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(errors), rel=2e-3)
