"""Energy policies: Langevin steps, noise-conditioned values, and the second step of the critic that shapes its slope."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.critics.noise_conditioned import blurred, noisier_level
from flowrl_dsl.components.random_numbers import uniform_actions
from flowrl_dsl.components.samplers.annealed_langevin import annealed_levels, annealed_sizes
from flowrl_dsl.components.samplers.langevin import langevin
from tests import reference
from tests.helpers import batch, loss_of, nclql, random_state, run_step

LOW, HIGH, LEVELS = 0.01, 0.2, 3


# Langevin steps


def test_each_step_equals_the_loop():
    centre, beta = np.array([0.4, -0.2]), 3.0
    levels, sizes = jnp.array([0.0, 0.5, 1.0, 1.0]), jnp.array([0.1, 0.05, 0.02, 0.01])
    start = np.random.default_rng(0).normal(size=(3, 2)).astype("f")
    key = jax.random.PRNGKey(1)
    noises = np.array([jax.random.normal(k, (3, 2)) for k in jax.random.split(key, 4)], np.float64)

    for unit_slope in (False, True):
        got = langevin(
            lambda a, level: -jnp.sum((a - centre) ** 2, -1) * (1 + level), start, key, levels, sizes, beta, unit_slope
        )
        for row in range(3):
            a = np.clip(start[row].astype(np.float64), -1, 1)
            for k in range(4):
                g = -2 * (a - centre) * (1 + float(levels[k]))
                g = g / np.linalg.norm(g) if unit_slope else g
                a = np.clip(a + float(sizes[k]) / 2 * beta * g + np.sqrt(float(sizes[k])) * noises[k, row], -1, 1)
            np.testing.assert_allclose(got[row], a, rtol=1e-4, atol=1e-5)


def test_small_steps_draw_from_the_density_of_the_energy():
    """Q = -|a - m|^2 / 2 and beta 100 give the Gaussian N(m, 1/100), far from the bounds."""
    n, steps, size, m = 4000, 400, 2e-3, 0.3
    start = jnp.zeros((n, 1))
    draw = jax.jit(
        lambda key: langevin(
            lambda a, level: -jnp.sum((a - m) ** 2, -1) / 2, start, key, jnp.ones(steps), jnp.full(steps, size), 100.0, False
        )
    )
    a = np.asarray(draw(jax.random.PRNGKey(0)), np.float64)[:, 0]
    # an Euler chain of a Gaussian has variance 1 / (beta (1 - beta size / 4)); 5 standard errors of both estimates
    variance = 0.01 / (1 - 100 * size / 4)
    assert a.mean() == pytest.approx(m, abs=5 * np.sqrt(variance / n))
    assert a.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))


@settings(max_examples=20, deadline=None)
@given(st.floats(-1e6, 1e6), st.booleans(), st.integers(0, 100))
def test_actions_stay_in_bounds_and_finite(slope, unit_slope, seed):
    start = jax.random.normal(jax.random.PRNGKey(seed), (5, 2)) * 3
    a = langevin(
        lambda a, level: slope * jnp.sum(a, -1),
        start,
        jax.random.PRNGKey(seed),
        jnp.ones(2),
        jnp.full(2, 0.1),
        10.0,
        unit_slope,
    )
    assert np.isfinite(a).all() and np.abs(a).max() <= 1


def test_annealed_steps_are_shorter_from_level_to_level():
    np.testing.assert_allclose(annealed_levels(3, 2), [0, 0, 0.5, 0.5, 1, 1])
    sigma = [0.1, 0.01, 0.001]
    expected = [1e-4 * (s / 0.001) ** 2 for s in sigma for _ in range(2)]
    np.testing.assert_allclose(annealed_sizes(3, 2, 1e-4, 100.0), expected, rtol=1e-4)


# noise-conditioned values


def test_sigma_falls_geometrically_and_the_last_level_is_never_drawn():
    a, noise = jnp.zeros((3, 1)), jnp.ones((3, 1))
    np.testing.assert_allclose(
        blurred(a, noise, jnp.array([0.0, 0.5, 1.0]), 0.001, 0.1)[:, 0], [0.1, 0.01, 0.001], rtol=1e-4
    )
    drawn = np.asarray(noisier_level(jax.random.PRNGKey(0), jnp.zeros((3000, 1)), 4))
    np.testing.assert_allclose(np.unique(drawn), [0, 1 / 3, 2 / 3], rtol=1e-6)
    assert all(abs((drawn == level).mean() - 1 / 3) < 5 * np.sqrt(2 / 9 / 3000) for level in np.unique(drawn))


def q_at(params, s, a, level):
    """Q_e(s, a, level) of each member for one state and action; the networks read features of the index of the level."""
    members = params["trunk"]["bias"].shape[0]
    pick = lambda tree, e: {k: pick(v, e) for k, v in tree.items()} if isinstance(tree, dict) else tree[e]  # noqa: E731
    found = []
    for e in range(members):
        own = pick(params, e)
        features = reference.positional(own["embedding"], level * (LEVELS - 1), 4, fastest=1.0)
        found.append(reference.mlp(own["trunk"], [s, a, features], ["s", "a", "level"], "tanh")[0])
    return np.array(found)


@pytest.mark.parametrize("stepped", [False, True])
def test_the_denoising_loss_equals_the_loop(stepped):
    """The target is that of the critic before the update, also where the critic has made its own step since."""
    alg, data = nclql(), batch(3)
    state = random_state(alg, 4)
    newer = random_state(alg, 5)["critic"] if stepped else None
    seen = loss_of(alg, state, data, newer={} if newer is None else {"critic": newer})
    rows, params = reference.f64(data), reference.f64(state["critic"] if newer is None else newer)
    before = reference.f64(state["critic"])
    level, noise = (np.asarray(seen[name], np.float64) for name in ("level", "noise"))
    total = 0.0
    for i in range(len(level)):
        noisy = rows["a"][i] + LOW * (HIGH / LOW) ** (1 - level[i]) * noise[i]
        clean = q_at(before, rows["s"][i], rows["a"][i], 1.0).mean()
        total += ((q_at(params, rows["s"][i], noisy, level[i]) - clean) ** 2).mean()
    assert float(seen.outputs["loss"]) == pytest.approx(total / len(level), rel=1e-3)


def test_energy_policies_start_from_uniform_actions():
    """Every component of the initial actions within [-1, 1], and spread as a uniform number is."""
    seen = run_step(nclql(), random_state(nclql(), 4), batch(3))
    prior = np.asarray(seen.named("a_next_prior"), np.float64)
    assert np.abs(prior).max() <= 1 and np.abs(prior).max() > 0.5
    many = np.asarray(uniform_actions(jax.random.PRNGKey(0), jnp.zeros((4000, 3)), 2))
    assert many.shape == (4000, 2) and many.var() == pytest.approx(1 / 3, rel=0.05)
