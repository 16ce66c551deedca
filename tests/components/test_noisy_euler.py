"""Steps of a flow with noise of learned size: densities, entropies, moments.  test_denoising_steps.py has its programs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.samplers.noisy_euler import (
    noise_between,
    noisy_euler_chain,
    noisy_euler_entropy,
    noisy_euler_log_prob,
)

TIMES = jnp.linspace(0.0, 1.0, 4)
"""The ends of three steps."""
LOW, HIGH = 0.1, 0.4


def velocity(a_t, t):
    """Towards 0.5, faster late: linear in the action, so that chains are Gaussian."""
    return (1 + jnp.asarray(t)[..., None]) * (0.5 - a_t)


def noise(t):
    """Another size for each of two components, falling with time."""
    return jnp.stack([1 - 2 * jnp.asarray(t), 0.3 * jnp.ones_like(t)], axis=-1)


def by_loop(chain: np.ndarray, a: np.ndarray, clip: float | None) -> np.ndarray:
    """One step and one component at a time, in float64; a step starts at the time k / K."""
    found, steps = np.zeros(chain.shape), chain.shape[1]
    for row, k, i in np.ndindex(*chain.shape):
        t, x = k / steps, float(chain[row, k, i])
        mean = x + (1 + t) * (0.5 - x) / steps
        mean = mean if clip is None else min(max(mean, -clip), clip)
        share = (1 + np.tanh((1 - 2 * t, 0.3)[i])) / 2
        std = LOW ** (1 - share) * HIGH**share
        y = float(chain[row, k + 1, i] if k + 1 < steps else a[row, i])
        found[row, k, i] = -0.5 * ((y - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    return found


def drawn(count: int, clip: float | None = None) -> tuple[jax.Array, jax.Array]:
    start = jax.random.normal(jax.random.PRNGKey(1), (count, 2))
    a, chain = noisy_euler_chain(velocity, start, jax.random.PRNGKey(2), TIMES, noise, LOW, HIGH, clip)
    np.testing.assert_array_equal(chain[:, 0], start)
    return a, chain


@pytest.mark.parametrize("clip", [None, 0.3])
def test_the_density_of_every_step_against_a_loop(clip: float | None) -> None:
    a, chain = drawn(6, clip)
    found = noisy_euler_log_prob(velocity, chain, a, TIMES, noise, LOW, HIGH, clip)
    np.testing.assert_allclose(found, by_loop(np.asarray(chain), np.asarray(a), clip), rtol=1e-4, atol=1e-4)


def test_chains_of_a_linear_field_have_their_marginal_in_closed_form() -> None:
    mean, variance = np.zeros(2), np.ones(2)
    for k in range(3):
        slope = 1 - (1 + k / 3) / 3
        mean = slope * mean + (1 - slope) * 0.5
        variance = slope**2 * variance + np.asarray(noise_between(noise(k / 3), LOW, HIGH)) ** 2
    a = np.asarray(drawn(40_000)[0])
    np.testing.assert_allclose(a.mean(axis=0), mean, atol=4 * np.sqrt(variance.max() / 40_000))
    np.testing.assert_allclose(a.var(axis=0), variance, rtol=4 * np.sqrt(2 / 40_000))


def test_the_ratio_of_two_chains_is_one_in_expectation_and_entropy_is_the_mean_of_minus_the_log_density() -> None:
    a, chain = drawn(40_000)
    then = noisy_euler_log_prob(velocity, chain, a, TIMES, noise, LOW, HIGH)
    now = noisy_euler_log_prob(lambda x, t: velocity(x, t) + 0.1, chain, a, TIMES, lambda t: 0.9 * noise(t), LOW, HIGH)
    ratio = np.exp(np.sum(np.asarray(now - then, np.float64), axis=(-2, -1)))
    assert ratio.std() > 0.05
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / np.sqrt(len(ratio)))
    entropy = noisy_euler_entropy(TIMES[:-1], noise, LOW, HIGH)
    np.testing.assert_allclose(-np.mean(then, axis=0), entropy, atol=5 * np.sqrt(0.5 / 40_000))


def test_the_noise_stays_between_its_bounds() -> None:
    found = np.asarray(noise_between(jnp.array([-1e3, -1.0, 0.0, 1.0, 1e3]), LOW, HIGH))
    np.testing.assert_allclose(found[[0, 2, 4]], [LOW, np.sqrt(LOW * HIGH), HIGH], rtol=1e-6)
    assert np.all(np.diff(found) > 0)
