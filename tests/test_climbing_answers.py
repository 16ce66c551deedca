"""What offline algorithms that climb Q are after, against direct sums over the grid, closed forms and draws."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowrl_dsl.components.noise_schedules.linear import linear_alpha
from flowrl_dsl.testing.climbing_answers import (
    best_edits,
    density_cost,
    flow_of,
    flow_trust,
    peaks_by_size,
    peaks_of,
    peaks_reached,
    peaks_with_cost,
    posterior,
    pulled_to,
    resampling_weight,
    slope_guided,
    trust,
)
from flowrl_dsl.testing.known_answers import sliced_wasserstein
from flowrl_dsl.testing.offline_answers import Problem, best_among

PROBLEM = Problem("ring", "uneven", 0.3)
CELLS, SHARE = PROBLEM.behaviour.cells, PROBLEM.share
AT = [2222, 5050, 7575]
BEST, WIDTH = np.array([-0.5, -0.5]), 0.12
"""The centre of the best bump of Q, and its width."""


def clean(noisy: np.ndarray, alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """E[a | a_t] [n, 2] by the sum over all cells."""
    far = np.square(noisy[:, None] - alpha[:, None, None] * CELLS).sum(-1) / (2 * sigma[:, None] ** 2)
    weight = SHARE * np.exp(far.min(axis=1, keepdims=True) - far)
    return weight @ CELLS / weight.sum(axis=1, keepdims=True)


def slope(actions: np.ndarray, step: float = 1e-2) -> np.ndarray:
    """grad Q [n, 2] by central differences."""
    aside = step * np.eye(2)
    return np.stack([PROBLEM.q_at(actions + one) - PROBLEM.q_at(actions - one) for one in aside], axis=1) / (2 * step)


def test_the_clean_action_is_the_sum_over_all_cells() -> None:
    noisy = np.random.default_rng(0).normal(size=(20, 2))
    for alpha, sigma in ((0.0, 1.0), (0.6, 0.8), (0.9, 0.1)):
        mean, log_p = posterior(PROBLEM, noisy, alpha, sigma)
        np.testing.assert_allclose(mean, clean(noisy, np.full(20, alpha), np.full(20, sigma)), atol=1e-4)
        density = [SHARE @ np.exp(-np.square(one - alpha * CELLS).sum(-1) / (2 * sigma**2)) for one in noisy]
        np.testing.assert_allclose(np.exp(log_p), density, rtol=1e-3, atol=1e-12)


def test_one_step_of_the_flow_ends_at_the_mean_and_many_at_the_density() -> None:
    noise = np.random.default_rng(0).normal(size=(1000, 2))
    np.testing.assert_allclose(flow_of(PROBLEM, noise, steps=1), np.tile(SHARE @ CELLS, (1000, 1)), atol=1e-5)
    halfway = (noise + SHARE @ CELLS) / 2
    expected = halfway + clean(halfway, np.full(1000, 0.5), np.full(1000, 0.5)) - halfway
    np.testing.assert_allclose(flow_of(PROBLEM, noise, steps=2), expected, atol=1e-4)
    assert sliced_wasserstein(flow_of(PROBLEM, noise, steps=60), PROBLEM.behaviour.draw(1000, seed=1)) < 0.03


def test_a_single_level_of_guidance_moves_the_clean_action_by_the_slope() -> None:
    eta, draws = 50.0, 40
    alpha = np.exp(-(0.1 + 9.9 / 2) / 2)
    noisy = np.asarray(jax.random.normal(jax.random.split(jax.random.PRNGKey(3))[0], (draws, 2)), np.float64)
    size = SHARE @ np.abs(PROBLEM.q)
    mean = clean(noisy, np.full(draws, alpha), np.full(draws, np.sqrt(1 - alpha**2)))
    expected = np.clip(mean + (1 - alpha**2) / alpha * slope(noisy) / (2 * eta * size), -1, 1)
    assert np.abs(expected - mean).max() > 0.3
    np.testing.assert_allclose(slope_guided(PROBLEM, eta, draws, seed=3, levels=1), expected, atol=0.02)


def test_the_best_of_proposals_and_of_edits() -> None:
    proposed = PROBLEM.behaviour.draw(60, seed=0).reshape(20, 3, 2)
    expected = [max(row, key=lambda a: PROBLEM.q_at(a[None])[0]) for row in proposed]
    np.testing.assert_array_equal(best_among(PROBLEM, proposed), expected)
    # within reach of the centre of a bump, that one; farther away the corner towards it
    near, far = BEST + np.array([0.03, -0.04]), BEST + 0.2
    found = best_edits(PROBLEM, np.array([near, far, [0.99, 0.99]]), scale=0.05)
    np.testing.assert_allclose(found[:2], [BEST, far - 0.05], atol=0.003)
    assert found.max() <= 1


@pytest.mark.parametrize("strength", [1.0, 5.0, 30.0])
def test_a_pulled_action_is_the_mean_of_its_ends_on_a_parabola(strength: float) -> None:
    """(k c + 2 strength b) / (k + 2 strength), where Q = - k |a - c|^2 / 2 around the centre c of a bump."""
    curvature = PROBLEM.height / WIDTH**2
    taught = BEST + np.random.default_rng(0).uniform(-0.2, 0.2, (30, 2))
    expected = (curvature * BEST + 2 * strength * taught) / (curvature + 2 * strength)
    np.testing.assert_allclose(pulled_to(PROBLEM, taught, strength), expected, atol=0.0101)


def test_resampled_proposals_have_the_weight() -> None:
    np.testing.assert_allclose(resampling_weight(PROBLEM, 0.2, 1), 1.0)
    weight = resampling_weight(PROBLEM, 0.2, 4)
    rng = np.random.default_rng(1)
    q = PROBLEM.q[rng.choice(len(SHARE), (20_000, 4), p=SHARE)]
    e = np.exp(q / 0.2)
    drawn = (e * q).sum(axis=1) / e.sum(axis=1)
    assert SHARE @ weight == pytest.approx(1, abs=0.02)
    assert SHARE @ (weight * PROBLEM.q) == pytest.approx(drawn.mean(), abs=0.04)
    assert drawn.mean() > SHARE @ PROBLEM.q + 0.5


def test_peaks_by_loops() -> None:
    rng = np.random.default_rng(0)
    value, cost, size = rng.normal(size=(3, 5, 5))
    size = np.abs(size) + 0.1
    points = rng.normal(size=(25, 2))
    rows = [(i, j) for i in range(5) for j in range(5)]

    def seen(a: tuple[int, int], c: tuple[int, int]) -> float:
        return value[a] / size[c] - cost[a]

    near = {c: [a for a in rows if max(abs(a[0] - c[0]), abs(a[1] - c[1])) <= 1] for c in rows}
    kept = [c for c in rows if all(seen(a, c) <= seen(c, c) for a in near[c])]
    found = peaks_of(points, value.ravel(), cost.ravel(), size.ravel())
    np.testing.assert_array_equal(found.cells, [points[5 * i + j] for i, j in kept])
    np.testing.assert_array_equal(found.above, [sum(seen(b, c) > seen(c, c) for b in kept) for c in kept])
    assert found.nearest(found.cells[1]) == (1, 0.0)


@pytest.mark.parametrize("problem", [PROBLEM, Problem("moons", "checkerboard", 0.5)], ids=["ring", "moons"])
def test_ascent_in_units_of_its_size_ends_at_a_peak(problem: Problem) -> None:
    peaks = peaks_by_size(problem, scale=2.5, pull=0.5)
    gradient = jax.jit(jax.vmap(jax.grad(problem.value)))
    a = np.random.default_rng(0).uniform(-0.8, 0.8, (30, 2))
    for rate in np.geomspace(1e-2, 1e-4, 400):
        climbed = 2.5 * np.asarray(gradient(a)) / np.abs(problem.q_at(a))[:, None] - (
            a - problem.share @ problem.behaviour.cells
        )
        a = np.clip(a + rate * climbed, -1, 1)
    inside = np.abs(a).max(axis=1) < 0.97
    assert inside.sum() > 10
    assert max(peaks.nearest(one)[1] for one in a[inside]) < 0.03


def test_the_best_peak_within_reach_is_that_of_a_random_search() -> None:
    peaks = peaks_reached(PROBLEM, 1.5, side=41)
    noise = np.random.default_rng(0).uniform(-1.5, 1.5, (3000, 2))
    best = PROBLEM.q_at(flow_of(PROBLEM, noise)).max()
    assert PROBLEM.q_at(peaks.cells[peaks.above == 0])[0] == pytest.approx(best, abs=0.02)
    assert len(peaks.cells) >= 4


@pytest.mark.parametrize("kind", ["edm", "flow"])
def test_losses_at_actions_are_means_over_levels_and_noise(kind: str) -> None:
    rng, found, draws = np.random.default_rng(0), [], 800
    u = (np.arange(draws) + 0.5) / draws
    alpha, sigma = (np.ones(draws), 0.5 * (u / (1 - u)) ** 0.5) if kind == "edm" else (u, 1 - u)
    scale = sigma**-2 + (0.5**-2 if kind == "edm" else 0)
    for a in CELLS[AT]:
        mean = clean(alpha[:, None] * a + sigma[:, None] * rng.normal(size=(draws, 2)), alpha, sigma)
        found.append((np.square(mean - a).mean(axis=1) * scale).mean())
    exact = trust(PROBLEM) if kind == "edm" else flow_trust(PROBLEM)
    np.testing.assert_allclose(exact[AT], found, rtol=0.1)
    assert max(found) > 1.4 * min(found)


def test_the_slope_of_the_cost_is_the_gap_of_the_scores() -> None:
    """E[sigma^2 (eps - noise)], eps of the exact posterior."""
    rng, draws, row = np.random.default_rng(0), 1200, AT[0]
    t, noise = 0.02 + 0.96 * (np.arange(draws) + 0.5) / draws, rng.normal(size=(draws, 2))
    alpha = np.asarray(linear_alpha(t, 0.1, 20.0), np.float64)
    sigma = np.sqrt(1 - alpha**2)
    noisy = alpha[:, None] * CELLS[row] + sigma[:, None] * noise
    eps = (noisy - alpha[:, None] * clean(noisy, alpha, sigma)) / sigma[:, None]
    gap = (sigma[:, None] ** 2 * (eps - noise)).mean(axis=0)
    cost = density_cost(PROBLEM)
    slope = [(cost[row + 100] - cost[row - 100]) / 0.04, (cost[row + 1] - cost[row - 1]) / 0.04]
    assert np.abs(gap).max() > 0.1
    np.testing.assert_allclose(slope, gap, atol=0.05)


def test_the_weight_of_a_cost_moves_the_highest_peak_from_the_best_action() -> None:
    """On the best bump, with the cost |a|^2: k (c - a) = 2 weight a."""
    curvature = PROBLEM.height / WIDTH**2
    for weight in (0.0, 5.0):
        found = peaks_with_cost(PROBLEM, weight, lambda problem: np.square(problem.behaviour.cells).sum(axis=1))
        expected = BEST * curvature / (curvature + 2 * weight)
        highest = found.cells[found.above == 0]
        np.testing.assert_allclose(highest, np.tile(expected, (len(highest), 1)), atol=0.0101)
