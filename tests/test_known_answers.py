"""Problems with known answers: the densities, the distances to them, and one algorithm that must find one."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.critics.known import known_value
from flowrl_dsl.testing.known_answers import (
    SHAPES,
    Answer,
    centres,
    coverage,
    learn,
    sampled_exactly,
    sliced_wasserstein,
)


def slow_value(a: np.ndarray, shape: str) -> float:
    """log sum_i w_i exp(-|a - c_i|^2 / (2 width^2)), one bump at a time."""
    weights = {"uneven": [0.4, 0.3, 0.2, 0.1]}.get(shape, [1.0] * len(centres(shape)))
    width = {"ring": 0.1, "uneven": 0.12, "moons": 0.08}[shape]
    bumps = zip(weights, centres(shape), strict=True)
    return float(np.log(sum(w * np.exp(-((a - c) ** 2).sum() / (2 * width**2)) for w, c in bumps)))


@pytest.mark.parametrize("shape", ["ring", "uneven", "moons"])
def test_values_are_logarithms_of_sums_of_bumps(shape: str) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    got = known_value(jnp.asarray(actions), shape)
    np.testing.assert_allclose(got, [slow_value(a, shape) for a in actions], rtol=1e-4, atol=1e-3)


def test_every_other_field_of_the_checkerboard_is_good() -> None:
    good = centres("checkerboard")
    assert len(good) == 8
    np.testing.assert_allclose(known_value(jnp.asarray(good), "checkerboard"), 2 * np.tanh(3), rtol=1e-4)
    np.testing.assert_allclose(known_value(jnp.asarray(good * [1, -1]), "checkerboard"), -2 * np.tanh(3), rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_have_the_moments_of_the_density(shape: str) -> None:
    answer, n = Answer.of(shape), 20_000
    assert answer.probability.sum() == pytest.approx(1)
    drawn = answer.draw(n, seed=0)
    assert np.abs(drawn).max() <= 1
    np.testing.assert_allclose(drawn.mean(0), answer.probability @ answer.cells, atol=5 / np.sqrt(n))
    assert coverage(drawn, answer, shape) == 1.0


def test_a_sharper_density_expects_more() -> None:
    expected = [Answer.of("ring", sharpness).expected() for sharpness in (0.2, 1.0, 5.0)]
    assert expected == sorted(expected)


def test_coverage_counts_the_regions_that_got_their_share() -> None:
    answer = Answer.of("ring")
    assert coverage(np.tile(centres("ring")[:1], (100, 1)), answer, "ring") == 1 / 8
    assert coverage(np.repeat(centres("ring")[:4], 25, axis=0), answer, "ring") == 0.5
    # shares 0.4, 0.3, 0.2, 0.1 against one quarter each: all have half of theirs
    assert coverage(np.repeat(centres("uneven"), 25, axis=0), Answer.of("uneven"), "uneven") == 1.0


def test_the_distance_of_a_shift_is_the_mean_length_of_its_projections() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2))
    angle = np.pi * (np.arange(64) + 0.5) / 64
    expected = np.abs(0.3 * np.cos(angle) - 0.1 * np.sin(angle)).mean()
    assert sliced_wasserstein(x, x + np.array([0.3, -0.1])) == pytest.approx(expected)
    assert sliced_wasserstein(x, x[::-1]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_exact_score_gives_the_density_back(shape: str) -> None:
    answer, n = Answer.of(shape), 2000
    noise = np.mean([sliced_wasserstein(answer.draw(n, 2 * i), answer.draw(n, 2 * i + 1)) for i in range(5)])
    assert sliced_wasserstein(sampled_exactly(answer, n), answer.draw(n, 99)) < 2.5 * noise


@pytest.mark.slow
def test_sdac_finds_all_modes_of_the_ring() -> None:
    small = ("policy.network=mlp([64, 64], activation = mish)", "policy.backbone.obs=[]", "policy.optimizer=adam(1e-3)")
    found = learn("sdac", "ring", sets=(*small, "temperature=0.1", "score_matching.reverse=64"), updates=1500)
    answer = Answer.of("ring", found.sharpness)
    assert found.sharpness == pytest.approx(1.0)
    assert coverage(found.actions, answer, "ring") == 1.0
    assert sliced_wasserstein(found.actions, answer.draw(2000, 0)) < 0.1
