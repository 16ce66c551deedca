from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.backbones.diffusion import sigma_of
from flowrl_dsl.components.denoising import diffuse
from flowrl_dsl.components.samplers.ddim import ddim
from flowrl_dsl.components.samplers.ddpm import ddpm
from flowrl_dsl.lowering.evaluate import evaluate
from tests import reference
from tests.helpers import QUICK, component

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


# discrete schedules


def cosine_betas(levels, s, most):
    def f(t):
        return np.cos(np.pi / 2 * (t + s) / (1 + s)) ** 2

    return [min(1 - f(k / levels) / f((k - 1) / levels), most) for k in range(1, levels + 1)]


def vp_betas(levels, low, high):
    return [1 - np.exp(-low / levels - (high - low) * (2 * k - 1) / (2 * levels**2)) for k in range(1, levels + 1)]


DISCRETE = {
    "discrete_linear": ({"levels": 7, "beta_min": 0.05, "beta_max": 0.5}, [0.05 + 0.45 * k / 6 for k in range(7)]),
    "discrete_cosine": ({"levels": 20, "s": 0.02, "beta_max": 0.9}, cosine_betas(20, 0.02, 0.9)),
    "discrete_vp": ({"levels": 5, "b_min": 0.2, "b_max": 9.0}, vp_betas(5, 0.2, 9.0)),
}


def discrete(name):
    return component("noise_schedule", name, **DISCRETE[name][0])


def slow_alpha(name, k):
    """sqrt of the product of 1 - beta_j up to level k"""
    kept = 1.0
    for beta in DISCRETE[name][1][:k]:
        kept *= 1 - beta
    return np.sqrt(kept)


@pytest.mark.parametrize("name", DISCRETE)
def test_alpha_of_a_level_is_the_root_of_the_product(name):
    levels = DISCRETE[name][0]["levels"]
    alpha = evaluate(discrete(name).alpha(), ())(jnp.arange(levels + 1) / levels)
    np.testing.assert_allclose(alpha, [slow_alpha(name, k) for k in range(levels + 1)], rtol=2e-5)
    assert alpha[0] == 1 and (np.diff(alpha) < 0).all() and alpha[-1] > 0


def test_the_bound_on_a_step_of_the_cosine_schedule_holds_at_its_end():
    """Without it the last level would be pure noise, with an alpha of 0 that samplers divide by."""
    betas = evaluate(discrete("discrete_cosine").betas(), ())
    assert float(betas[-1]) == pytest.approx(0.9) and (np.asarray(betas[:-1]) < 0.9).all()
    assert cosine_betas(20, 0.02, 1.0)[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("levels", [1, 5, 1000])
def test_discrete_vp_lies_on_the_continuous_linear_schedule(levels):
    t = jnp.arange(levels + 1) / levels
    discrete_vp = alpha_of("discrete_vp", levels=levels, b_min=0.1, b_max=10.0)(t)
    linear = alpha_of("linear", beta_min=0.1, beta_max=10.0)(t)
    np.testing.assert_allclose(discrete_vp, linear, rtol=1e-4)


@pytest.mark.parametrize("levels, steps", [(5, 5), (20, 20), (20, 6), (1000, 15), (7, 1)])
def test_the_steps_of_a_discrete_schedule_fall_from_1_to_0_on_its_levels(levels, steps):
    times = np.asarray(evaluate(component("noise_schedule", "discrete_vp", levels=levels).times(steps), ()), np.float64)
    assert len(times) == steps + 1 and times[0] == 1 and times[-1] == 0
    assert (np.diff(times) < 0).all()
    np.testing.assert_allclose(times * levels, np.round(times * levels), atol=1e-4)
    # evenly, to within the rounding to a level
    assert np.abs(times - np.linspace(1, 0, steps + 1)).max() <= 0.5 / levels + 1e-6


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_sampler_of_more_steps_than_levels_takes_each_level_once(sampler):
    """Not one of them twice: a step from no noise to no noise would divide by it."""
    schedule = component("noise_schedule", "discrete_vp", levels=3)
    alpha, start, key = evaluate(schedule.alpha(), ()), jnp.array([[0.3, -0.2]]), jax.random.PRNGKey(0)
    draw = partial(ddpm, key=key) if sampler == "ddpm" else ddim
    as_many, more = (
        draw(lambda a, t: 0.1 * a, alpha, start, times=evaluate(schedule.times(n), ()), clip=1.0) for n in (3, 20)
    )
    assert np.isfinite(more).all()
    np.testing.assert_array_equal(more, as_many)


@pytest.mark.parametrize("name", DISCRETE)
def test_training_draws_every_level_with_noise_alike(name):
    levels, n = DISCRETE[name][0]["levels"], 20_000
    t = np.asarray(evaluate(discrete(name).draw(), (jax.random.PRNGKey(0), jnp.zeros((n // 4, 4, 2)))), np.float64)
    assert t.shape == (n // 4, 4)
    np.testing.assert_allclose(t * levels, np.round(t * levels), atol=1e-4)
    counts = np.bincount(np.round(t * levels).astype(int).ravel(), minlength=levels + 1)
    assert len(counts) == levels + 1 and counts[0] == 0
    assert np.abs(counts[1:] - n / levels).max() < 5 * np.sqrt(n / levels)


@pytest.mark.parametrize("name, steps", [("discrete_vp", 5), ("discrete_cosine", 20), ("discrete_linear", 3)])
def test_ddpm_over_a_discrete_schedule_equals_the_loop_and_ends_without_noise(name, steps):
    """Also where the sampler skips levels; its last step, to level 0, lands on the predicted clean action."""
    schedule, levels = discrete(name), DISCRETE[name][0]["levels"]
    start, key = np.random.default_rng(0).normal(size=(3, 2)).astype("f"), jax.random.PRNGKey(3)

    def eps(a, t, np=jnp):
        return np.sin(3 * a + t)

    times, alpha = evaluate(schedule.times(steps), ()), evaluate(schedule.alpha(), ())
    got = jax.jit(lambda a: ddpm(eps, alpha, a, key, times, 0.8), compiler_options=QUICK)(start)
    noises = np.array([jax.random.normal(k, (3, 2)) for k in jax.random.split(key, steps)], np.float64)
    grid = [float(np.round(t * levels) / levels) for t in np.asarray(times, np.float64)]
    for row in range(3):
        eps_of, alpha_at = partial(eps, np=np), lambda t: slow_alpha(name, round(t * levels))
        expected = reference.ddpm(eps_of, alpha_at, start[row].astype(np.float64), noises[:, row], grid, 0.8)
        np.testing.assert_allclose(got[row], expected, rtol=2e-3, atol=2e-3)


def test_ddpm_adds_no_noise_on_the_last_step_of_a_discrete_schedule():
    """One step over all levels: the predicted clean action, whatever the key."""
    schedule = component("noise_schedule", "discrete_vp")
    times, alpha = evaluate(schedule.times(1), ()), evaluate(schedule.alpha(), ())
    start = jnp.array([[0.3, -0.2]])
    once, again = (ddpm(lambda a, t: 0.1 * a, alpha, start, jax.random.PRNGKey(k), times) for k in (0, 1))
    np.testing.assert_array_equal(once, again)
    kept = float(alpha(1.0))
    np.testing.assert_allclose(once, (1 - 0.1 * np.sqrt(1 - kept**2)) * np.asarray(start) / kept, rtol=1e-4)
