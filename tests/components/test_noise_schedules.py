from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.backbones.diffusion import sigma_of
from flowrl_dsl.components.denoising import diffuse
from flowrl_dsl.lowering.evaluate import evaluate
from tests import reference
from tests.helpers import component

ALPHAS = {"cosine": reference.cosine_alpha, "linear": reference.linear_alpha}


def alpha_of(name: str, **options):
    return evaluate(component("noise_schedule", name, **options).alpha(), ())


@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.05, 0.3, 0.5, 0.77, 0.9946])
def test_alpha_is_the_published_closed_form(name, t):
    assert float(alpha_of(name)(jnp.float32(t))) == pytest.approx(ALPHAS[name](t), rel=2e-5, abs=1e-6)


def test_closed_forms_at_special_times():
    cosine, linear = alpha_of("cosine"), alpha_of("linear")
    assert float(cosine(0.0)) == float(linear(0.0)) == 1.0
    assert float(cosine(1.0)) == pytest.approx(0.0, abs=1e-6)
    assert float(linear(1.0)) == pytest.approx(np.exp(-(20 - 0.1) / 4 - 0.05), rel=1e-5)
    # constant noise rate: alpha^2 = exp(-beta t)
    assert float(alpha_of("linear", beta_min=3.0, beta_max=3.0)(0.5)) ** 2 == pytest.approx(np.exp(-1.5), rel=1e-5)
    # the offset s moves the whole curve: without it the schedule is cos(pi t / 2)
    assert float(alpha_of("cosine", s=1e-9)(0.5)) == pytest.approx(np.sqrt(0.5), rel=1e-5)


@pytest.mark.parametrize("name", ALPHAS)
def test_the_linear_rate_is_the_derivative_of_the_log(name):
    """beta(t) = -2 d log alpha / dt is positive, and a straight line from beta_min to beta_max for ``linear``."""
    t = np.linspace(0.01, 0.99, 50)
    h = 1e-5
    rate = np.array([-2 * (np.log(ALPHAS[name](x + h)) - np.log(ALPHAS[name](x - h))) / (2 * h) for x in t])
    assert (rate > 0).all()
    if name == "linear":
        np.testing.assert_allclose(rate, 0.1 + 19.9 * t, rtol=1e-4)


@pytest.mark.parametrize("name", ALPHAS)
def test_noise_grows_over_the_whole_range_and_preserves_variance(name):
    schedule = component("noise_schedule", name)
    t = jnp.linspace(schedule.t_min, schedule.t_max, 400)
    alpha = alpha_of(name)(t)
    sigma = sigma_of(alpha)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1.0, atol=1e-6)
    assert (np.diff(alpha) < 0).all() and (np.diff(sigma) >= 0).all()
    assert 0 < sigma[0] < 0.02 and 0 < alpha[-1] < 0.01


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 0.99), st.floats(-1, 1), st.floats(-3, 3))
def test_diffusion_is_a_rotation_that_can_be_undone(t, a, noise):
    alpha = alpha_of("cosine")(jnp.full((1,), t))
    sigma = sigma_of(alpha)
    a, noise = jnp.full((1, 1), a), jnp.full((1, 1), noise)
    a_t = diffuse(a, noise, alpha, sigma)
    np.testing.assert_allclose((a_t - sigma[:, None] * noise) / alpha[:, None], a, atol=2e-4)
    # alpha and sigma are cosine and sine of one angle: the orthogonal combination has the same length
    other = alpha[:, None] * noise - sigma[:, None] * a
    np.testing.assert_allclose(a_t**2 + other**2, a**2 + noise**2, atol=1e-4)


def test_diffuse_keeps_the_axes_of_particles():
    a = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("f")
    noise = np.random.default_rng(1).normal(size=(3, 4, 2)).astype("f")
    alpha = np.random.default_rng(2).uniform(0.1, 0.9, (3, 4)).astype("f")
    got = diffuse(a, noise, alpha, sigma_of(alpha))
    for i in np.ndindex(3, 4):
        np.testing.assert_allclose(got[i], alpha[i] * a[i] + np.sqrt(1 - alpha[i] ** 2) * noise[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("t", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("name", ALPHAS)
def test_sigma_is_a_number_however_little_noise_there_is(name, t):
    """alpha may round to a little more than 1: no root of a negative number."""
    sigma = sigma_of(alpha_of(name)(jnp.linspace(t, 2 * t, 100)))
    assert np.isfinite(sigma).all()
