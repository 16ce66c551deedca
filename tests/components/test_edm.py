"""The preconditioned denoiser and its sampler: closed forms, and a whole tiny problem against loops in float64."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.backbones.edm import edm_input, edm_noise, edm_target, log_normal_level
from flowrl_dsl.formula import Formula
from tests import reference
from tests.components.losses import EDM_DATA as DATA
from tests.components.losses import ROWS, edm_policy, f64, run
from tests.helpers import BATCH, algorithm, drawn, improve, var


def coefficients(sigma):
    """c_skip, c_out and c_in as published."""
    total = sigma**2 + DATA**2
    return DATA**2 / total, sigma * DATA / np.sqrt(total), 1 / np.sqrt(total)


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-3, 80.0), st.floats(-1, 1), st.floats(-3, 3), st.floats(-3, 3))
def test_noise_and_target_are_those_of_the_published_denoiser(sigma, a, noise, f):
    sigma, a, noise, f = (float(np.float32(x)) for x in (sigma, a, noise, f))
    a_t = a + sigma * noise
    skip, out, scale = coefficients(sigma)
    assert float(edm_input(a_t, sigma, DATA)) == pytest.approx(scale * a_t, rel=1e-5, abs=1e-6)
    eps = float(edm_noise(jnp.float32(a_t), f, sigma, DATA))
    assert eps == pytest.approx((a_t - (skip * a_t + out * f)) / sigma, rel=1e-4, abs=1e-5)
    target = float(edm_target(a, noise, sigma, DATA))
    assert target == pytest.approx((a - skip * a_t) / out, rel=1e-4, abs=1e-5)
    # a network that says its target makes the denoiser exact
    assert float(edm_noise(jnp.float32(a_t), target, sigma, DATA)) == pytest.approx(noise, rel=1e-3, abs=1e-4)


def test_inputs_and_targets_have_unit_variance_at_every_level():
    """Where actions have the standard deviation sigma_data: what the coefficients are made for."""
    rng = np.random.default_rng(0)
    a, noise = DATA * rng.normal(size=(2, 40_000)) / [[1.0], [DATA]]
    for sigma in (0.01, 0.4, 30.0):
        assert np.std(edm_input(a + sigma * noise, sigma, DATA)) == pytest.approx(1.0, abs=0.02)
        assert np.std(edm_target(a, noise, sigma, DATA)) == pytest.approx(1.0, abs=0.02)


def test_noise_levels_are_log_normal_one_for_each_action():
    levels = log_normal_level(jax.random.PRNGKey(0), jnp.zeros((5000, 4, 2)), -1.2, 1.2)
    assert levels.shape == (5000, 4)
    log = np.log(f64(levels))
    assert log.mean() == pytest.approx(-1.2, abs=5 * 1.2 / np.sqrt(20_000))
    assert log.std() == pytest.approx(1.2, abs=5 * 1.2 / np.sqrt(40_000))
    assert np.mean(log < -1.2 - 1.2) == pytest.approx(0.1587, abs=5 * np.sqrt(0.16 / 20_000))


@cache
def regressed():
    return run(algorithm(improve("weighted_regression", particles=drawn(2)), policy=edm_policy()))


def test_noised_actions_and_the_regression_of_the_network_equal_the_loop():
    seen, p = regressed()
    a, noise, t, a_t, w = (f64(seen[name]) for name in ("proposals", "noise", "t", "a_t", "weight"))
    np.testing.assert_array_equal(seen["alpha"], np.ones((BATCH, 2)))
    assert len(np.unique(t)) == t.size and 0 < t.min() < 0.6 < t.max()
    total = 0.0
    for i in np.ndindex(BATCH, 2):
        np.testing.assert_allclose(a_t[i], a[i] + t[i] * noise[i], rtol=1e-4, atol=1e-5)
        denoised = reference.edm_denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i[0]], DATA)
        # the published weight of the denoiser's error, 1 / c_out^2
        total += w[i] * (t[i] ** 2 + DATA**2) / (t[i] * DATA) ** 2 * np.mean((denoised - a[i]) ** 2)
    assert float(seen.outputs["loss"]) == pytest.approx(total / BATCH, rel=2e-3)


def test_drawn_actions_equal_the_loop():
    seen, p = regressed()
    prior, got = f64(seen["proposals_prior"]), f64(seen["proposals"])
    levels = reference.noise_levels(4.0, 0.05, 3, 3.0)
    for i in np.ndindex(BATCH, 2):

        def denoise(a, sigma, s=ROWS["s"][i[0]]):
            return reference.edm_denoiser(p["policy"], a, sigma, s, DATA)

        np.testing.assert_allclose(got[i], reference.edm_heun(denoise, prior[i], levels, 1.0), rtol=2e-3, atol=2e-3)
    assert np.abs(got).mean() > 0.1 and np.abs(got).max() <= 1


def test_score_matching_regresses_the_noise_of_the_denoiser():
    target = Formula(var("noise", "batch", "action"))
    seen, p = run(algorithm(improve("score_matching", target=target), policy=edm_policy()))
    noise, sigma, a_t = (f64(seen[name]) for name in ("noise", "t", "a_t"))
    errors = []
    for i in range(BATCH):
        denoised = reference.edm_denoiser(p["policy"], a_t[i], sigma[i], ROWS["s"][i], DATA)
        errors.append(((a_t[i] - denoised) / sigma[i] - noise[i]) ** 2)
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(errors), rel=2e-3)
