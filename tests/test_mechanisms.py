"""What mechanisms make of a known Q without networks: held against closed forms, and against what must be true of each."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.graph.particles import mean_shift
from flowrl_dsl.testing.known_answers import SHAPES, Answer, centres, coverage, sliced_wasserstein
from flowrl_dsl.testing.mechanisms import (
    NOISE,
    SHARE,
    _mean_shift,
    best_squashed_gaussian,
    blurred_climb,
    grid_entropy,
    noisy_slope,
    of_entropy,
    repelled,
    squashed_entropy,
)


def mean_value(actions: np.ndarray, shape: str) -> float:
    return float(np.mean(known_value(jnp.asarray(actions), shape)))


def test_quadrature_is_exact_for_the_moments_of_a_normal() -> None:
    assert SHARE.sum() == pytest.approx(1)
    np.testing.assert_allclose(SHARE @ NOISE**2, [1, 1], rtol=1e-9)
    np.testing.assert_allclose(SHARE @ NOISE**6, [15, 15], rtol=1e-9)
    np.testing.assert_allclose(SHARE @ (NOISE[:, 0] * NOISE[:, 1]), 0, atol=1e-12)


def test_entropy_of_a_squashed_gaussian() -> None:
    """Narrow around 0 it is that of the Gaussian; wide, that of many draws, by -E[log density]."""
    narrow = squashed_entropy(np.zeros((1, 2)), np.full((1, 2), -6.0))
    np.testing.assert_allclose(narrow, np.log(2 * np.pi * np.e) - 12, atol=1e-4)
    mean, log_std = np.array([[0.4, -0.7]]), np.array([[-0.5, -1.0]])
    u = mean + np.exp(log_std) * np.random.default_rng(0).normal(size=(200_000, 2))
    normal = -0.5 * ((u - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    log_density = (normal - np.log1p(-(np.tanh(u) ** 2))).sum(-1)
    np.testing.assert_allclose(squashed_entropy(mean, log_std), -log_density.mean(), atol=0.01)


def test_best_gaussian_sits_on_one_region_and_as_wide_as_it_may() -> None:
    """Near 0.7 of the ring the square root of det of its covariance is that of the entropy -2: exp(-2) / (2 pi e)."""
    drawn = best_squashed_gaussian("ring", -2.0, 20_000)
    assert np.linalg.norm(centres("ring") - drawn.mean(0), axis=-1).min() < 0.05
    assert np.sqrt(np.linalg.det(np.cov(drawn.T))) == pytest.approx(np.exp(-2) / (2 * np.pi * np.e), rel=0.05)


def test_more_entropy_costs_value() -> None:
    means = [mean_value(best_squashed_gaussian("uneven", h, 2000), "uneven") for h in (-4.0, -2.0, 0.0)]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_density_of_an_entropy_has_it_and_the_most_value(shape: str) -> None:
    answer = of_entropy(shape, -1.0)
    assert grid_entropy(answer) == pytest.approx(-1.0, abs=1e-6)
    gaussian = best_squashed_gaussian(shape, -1.0, 4000)
    assert mean_value(gaussian, shape) < answer.expected()


def test_entropy_of_even_actions_is_that_of_the_square() -> None:
    assert grid_entropy(Answer.of("ring", 0.0)) == pytest.approx(np.log(4))


def test_climbing_ends_on_every_best_action_of_the_ring() -> None:
    drawn = blurred_climb("ring", 500)
    assert coverage(drawn, Answer.of("ring"), "ring") == 1.0
    nearest = np.linalg.norm(drawn[:, None] - centres("ring"), axis=-1).min(1)
    assert np.quantile(nearest, 0.95) < 0.06


def test_points_that_repel_each_other_rest_on_every_best_action_of_the_ring() -> None:
    rest = repelled("ring", 128, updates=300)
    assert coverage(rest, Answer.of("ring"), "ring") == 1.0
    assert np.linalg.norm(rest[:, None] - centres("ring"), axis=-1).min(1).max() < 0.05


def test_mean_shift_is_that_of_the_language() -> None:
    groups = np.random.default_rng(0).uniform(-1, 1, (3, 32, 2))
    found = _mean_shift(groups)
    for n in (0, 17, 31):
        point, others = groups[:, n : n + 1], np.delete(groups, n, axis=1)
        np.testing.assert_allclose(found[:, n], mean_shift(jnp.asarray(point), jnp.asarray(others), 0.05, -2), atol=1e-5)


def test_slopes_of_noisy_actions_have_the_symmetry_of_the_ring() -> None:
    """A quarter of a turn changes nothing but the draws, and all lie within the bounds of actions."""
    n = 2000
    drawn, other = noisy_slope("ring", 1.0, n), noisy_slope("ring", 1.0, n, seed=1)
    turned = drawn @ np.array([[0, 1], [-1, 0]])
    chance = sliced_wasserstein(drawn, other)
    assert sliced_wasserstein(turned, other) < 3 * chance
    assert np.abs(drawn).max() <= 1


def test_without_a_slope_the_noise_decides() -> None:
    """eps = 0: the clean action is a_t / alpha, bounded, so that nearly all end where early noise, hardly kept, put them."""
    drawn = noisy_slope("ring", 0.0, 500)
    assert (np.abs(drawn) > 0.999).mean() > 0.2
