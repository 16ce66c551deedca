"""The sampler that rates its paths, against loops and against the log-density it bounds."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.denoising import time_grid
from flowrl_dsl.components.noise_schedules.cosine import cosine_alpha
from flowrl_dsl.components.samplers.path import diffusion_path, log_normal
from tests import reference
from tests.helpers import QUICK

ALPHA = partial(cosine_alpha, s=0.008)


def slow_log_normal(x, mean, std):
    return float(np.sum(-0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)))


def test_log_normal():
    x, mean = np.array([0.3, -0.2]), np.array([0.1, 0.4])
    assert float(log_normal(x, mean, 0.5)) == pytest.approx(slow_log_normal(x, mean, 0.5), rel=1e-5)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_each_step_equals_the_loop(clip):
    key, start = jax.random.PRNGKey(3), np.random.default_rng(0).normal(size=(2, 2)).astype("f")
    times = reference.times(0.05, 0.9, 3)
    noises = np.array([jax.random.normal(k, (2, 2)) for k in jax.random.split(key, 3)], np.float64)
    a, ratio = diffusion_path(lambda u, t: 0.8 * jnp.tanh(u + t), ALPHA, jnp.asarray(start), key, jnp.asarray(times), clip)
    for row in range(2):
        u_t = start[row].astype(np.float64)
        expected = slow_log_normal(u_t, 0.0, 1.0)
        for k in range(3):
            abar_t, abar_u = (reference.cosine_alpha(t) ** 2 for t in times[k : k + 2])
            beta = 1 - abar_t / abar_u
            clean = (u_t - np.sqrt(1 - abar_t) * 0.8 * np.tanh(u_t + times[k])) / np.sqrt(abar_t)
            clean = clean if clip is None else np.clip(clean, -clip, clip)
            mean = (np.sqrt(abar_u) * beta * clean + np.sqrt(1 - beta) * (1 - abar_u) * u_t) / (1 - abar_t)
            u_u = mean + np.sqrt(beta) * noises[k, row]
            expected += slow_log_normal(u_u, mean, np.sqrt(beta))
            expected -= slow_log_normal(u_t, np.sqrt(1 - beta) * u_u, np.sqrt(beta))
            u_t = u_u
        expected -= np.log(1 - np.tanh(u_t) ** 2).sum()
        np.testing.assert_allclose(a[row], np.tanh(u_t), rtol=1e-4, atol=1e-5)
        assert float(ratio[row]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_ratio_bounds_the_log_density_from_above_and_meets_it_with_many_steps():
    """For a Gaussian u_0 ~ N(m, s^2) the noise prediction is exact, and E[log p(a)] is known but for the tanh."""
    m, s, n = 0.3, 0.4, 4000

    def eps(u, t):
        kept = ALPHA(t)
        sigma = jnp.sqrt(1 - kept**2)
        return sigma * (u - kept * m) / (kept**2 * s**2 + sigma**2)

    gaps = []
    for steps in (10, 40, 160):
        draw = jax.jit(partial(diffusion_path, eps, ALPHA, times=time_grid(0.9946, 1e-3, steps)), compiler_options=QUICK)
        a, ratio = draw(jax.random.normal(jax.random.PRNGKey(0), (n, 1)), jax.random.PRNGKey(1))
        u = np.arctanh(np.clip(np.asarray(a, np.float64)[:, 0], -1 + 1e-7, 1 - 1e-7))
        spread = u.std()
        # the chain's end is Gaussian: its density from its own moments
        density = (
            -0.5 * ((u - u.mean()) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi) - np.log(1 - np.tanh(u) ** 2)
        )
        gaps.append(float(np.mean(np.asarray(ratio) - density)))
    assert gaps[0] > gaps[1] > gaps[2] > -0.02 and gaps[2] < 0.1, gaps


def test_large_values_keep_the_density_finite():
    a, ratio = diffusion_path(
        lambda u, t: 0 * u, ALPHA, jnp.full((1, 2), 50.0), jax.random.PRNGKey(0), time_grid(0.99, 0.01, 4)
    )
    assert np.isfinite(ratio).all() and np.abs(a).max() <= 1
