"""Samplers with a score that is known: of a Gaussian target N(mu, C) the noised actions are Gaussian, and

    eps(a_t, t) = sigma_t (alpha_t^2 C + sigma_t^2 I)^{-1} (a_t - alpha_t mu).

The deterministic sampler is then an affine map of its initial noise, so its mean and covariance are exact; the ancestral
one adds Gaussian noise to an affine map, so they are a recursion, and the drawn samples are compared with both.
"""

from __future__ import annotations

import itertools
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.denoising import time_grid
from flowrl_dsl.components.noise_schedules.cosine import cosine_alpha
from flowrl_dsl.components.noise_schedules.linear import linear_alpha
from flowrl_dsl.components.samplers.ddim import ddim
from flowrl_dsl.components.samplers.ddpm import ddpm
from flowrl_dsl.components.samplers.edm_heun import edm_heun, falling_levels
from flowrl_dsl.components.samplers.one_step import one_step
from flowrl_dsl.registry import members_of
from tests import reference
from tests.components import losses
from tests.components.drawing import drawn as drawn_with
from tests.components.drawing import kernel_of, names
from tests.helpers import QUICK, algorithm, component, diffusion, drawn, improve, policy, scalar

MU = np.array([0.3, -0.5])
C = np.array([[0.5, 0.2], [0.2, 0.3]])
TIMES = (1e-3, 0.9946)
ALPHA = {"cosine": partial(cosine_alpha, s=0.008), "linear": partial(linear_alpha, beta_min=0.1, beta_max=20.0)}
REFERENCE = {"cosine": reference.cosine_alpha, "linear": reference.linear_alpha}
DETERMINISTIC = {name: kernel_of(name) for name in names("diffusion_sampler", ordered=True)}
FLOW = {name: kernel_of(name) for name in names("flow_sampler", ordered=True)}


def grid_of(steps, times=TIMES):
    """The times of a sampler's steps, falling."""
    return time_grid(times[1], times[0], steps)


def gaussian_eps(alpha, np=jnp):
    """The noise prediction of the target N(MU, C), for rows of actions."""

    def eps(a_t, t):
        kept = alpha(t)
        sigma = np.sqrt(1 - kept**2)
        return sigma * (a_t - kept * MU) @ np.linalg.inv(kept**2 * C + sigma**2 * np.eye(2))

    return eps


def pushed_forward(alpha, steps):
    """Mean and covariance of ddim's samples: an affine map, known from where it takes three points."""
    points = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    ends = np.asarray(ddim(gaussian_eps(alpha), alpha, points, grid_of(steps)), np.float64)
    linear = (ends[1:] - ends[0]).T
    return ends[0], linear @ linear.T


@pytest.mark.parametrize("name", ALPHA)
def test_ddim_reproduces_a_gaussian_and_its_error_halves_when_steps_double(name):
    alpha = ALPHA[name]
    kept = REFERENCE[name](TIMES[0])
    errors = []
    for steps in (50, 100, 200):
        mean, covariance = pushed_forward(alpha, steps)
        np.testing.assert_allclose(mean, kept * MU, atol=3.0 / steps)
        errors.append(np.abs(covariance - (kept**2 * C + (1 - kept**2) * np.eye(2))).max())
    assert errors[-1] < 0.02
    assert 1.6 < errors[0] / errors[1] < 2.4 and 1.5 < errors[1] / errors[2] < 2.5, errors


def test_ddpm_reproduces_a_gaussian():
    n, steps = 20_000, 200
    start = jax.random.normal(jax.random.PRNGKey(0), (n, 2))
    draw = jax.jit(lambda a, key: ddpm(gaussian_eps(ALPHA["cosine"]), ALPHA["cosine"], a, key, grid_of(steps)))
    a = np.asarray(draw(start, jax.random.PRNGKey(1)), np.float64)
    # 5 standard errors of the estimates, and the bias of the chain, which is of order 1 / steps
    np.testing.assert_allclose(a.mean(0), MU, atol=5 * np.sqrt(0.5 / n) + 2 / steps)
    np.testing.assert_allclose(np.cov(a.T), C, atol=5 * 0.5 * np.sqrt(2 / n) + 2 / steps)


def test_the_bias_of_ddpm_halves_when_steps_double():
    """Exactly, by the recursion of mean and covariance in float64, from the reference's one step."""
    alpha = reference.cosine_alpha
    errors = []
    for steps in (100, 200, 400):
        grid, covariance = reference.times(*TIMES, steps), np.eye(2)
        for k, (t, u) in enumerate(pairwise(grid)):
            step = [
                reference.ddpm(gaussian_eps(alpha, np), alpha, x, np.zeros((2, 2)), [t, u], None)
                for x in (np.zeros(2), *np.eye(2))
            ]
            linear = (np.array(step[1:]) - step[0]).T
            beta = 1 - alpha(t) ** 2 / alpha(u) ** 2
            covariance = linear @ covariance @ linear.T + (beta * np.eye(2) if k < steps - 1 else 0)
        errors.append(np.abs(covariance - C).max())
    assert errors[-1] < 0.02 and 1.5 < errors[0] / errors[1] < 2.5 and 1.5 < errors[1] / errors[2] < 2.5, errors


def crooked(a, t, np=jnp):
    """Some prediction that is far from any Gaussian's."""
    return np.sin(3 * a + t) + 0.3 * a**2


def drawn_by(samplers):
    """What each of the samplers draws from three rows of noise with the crooked prediction, compiled together."""
    start = np.random.default_rng(0).normal(size=(3, 2)).astype("f")
    run = jax.jit(lambda a: {name: f(a) for name, f in samplers.items()}, compiler_options=QUICK)
    return start.astype(np.float64), run(jnp.asarray(start))


@pytest.mark.parametrize(
    "name, steps, clip", [("cosine", 1, 1.0), ("cosine", 2, 0.4), ("cosine", 5, None), ("linear", 5, 0.4)]
)
def test_each_step_equals_the_loop(name, steps, clip):
    times, grid = grid_of(steps, (0.01, 0.9)), reference.times(0.01, 0.9, steps)
    samplers = {k: partial(draw, crooked, ALPHA[name], times=times, clip=clip) for k, draw in DETERMINISTIC.items()}
    start, got = drawn_by(samplers)
    for sampler, row in itertools.product(DETERMINISTIC, range(3)):
        slow = getattr(reference, sampler)
        expected = slow(partial(crooked, np=np), REFERENCE[name], start[row], grid, clip)
        np.testing.assert_allclose(got[sampler][row], expected, rtol=2e-3, atol=2e-3, err_msg=sampler)


@pytest.mark.parametrize("steps, clip", [(1, 1.0), (5, None), (5, 0.4)])
def test_each_step_along_a_velocity_equals_the_loop(steps, clip):
    times = time_grid(0.0, 1.0, steps)
    start, got = drawn_by({k: partial(draw, crooked, times=times, clip=clip) for k, draw in FLOW.items()})
    for sampler, row in itertools.product(FLOW, range(3)):
        expected = getattr(reference, sampler)(partial(crooked, np=np), start[row], steps, clip)
        np.testing.assert_allclose(got[sampler][row], expected, rtol=1e-4, atol=1e-5, err_msg=sampler)


@pytest.mark.parametrize("steps, clip", [(1, 1.0), (2, None), (5, None), (5, 0.4)])
def test_each_step_of_edm_heun_equals_the_loop(steps, clip):
    times, levels = falling_levels(2.0, 0.05, steps, 3.0), reference.noise_levels(2.0, 0.05, steps, 3.0)
    start, got = drawn_by({"edm_heun": partial(edm_heun, crooked, times=times, clip=clip)})
    for row in range(3):
        expected = reference.edm_heun(lambda a, t: a - t * crooked(a, t, np), start[row], levels, clip)
        np.testing.assert_allclose(got["edm_heun"][row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("most, least, steps, rho", [(80.0, 0.002, 18, 7.0), (3.0, 1.0, 3, 1.0), (5.0, 0.1, 1, 7.0)])
def test_noise_levels_fall_from_the_most_to_the_least_and_then_to_none(most, least, steps, rho):
    levels = np.asarray(falling_levels(most, least, steps, rho))
    np.testing.assert_allclose(levels, reference.noise_levels(most, least, steps, rho), rtol=1e-4)
    assert len(levels) == steps + 1 and levels[0] == pytest.approx(most, rel=1e-4) and levels[-1] == 0
    assert steps == 1 or levels[-2] == pytest.approx(least, rel=1e-3)
    assert (np.diff(levels) < 0).all()


@pytest.mark.parametrize("name, steps, clip", [("cosine", 1, 1.0), ("cosine", 4, None), ("linear", 4, 0.4)])
def test_each_step_of_ddpm_equals_the_loop(name, steps, clip):
    start = np.random.default_rng(0).normal(size=(3, 2)).astype("f")
    key = jax.random.PRNGKey(3)
    noises = np.array([jax.random.normal(k, (3, 2)) for k in jax.random.split(key, steps)], np.float64)
    got = ddpm(crooked, ALPHA[name], jnp.asarray(start), key, grid_of(steps, (0.01, 0.9)), clip)
    grid = reference.times(0.01, 0.9, steps)
    for row in range(3):
        eps = partial(crooked, np=np)
        expected = reference.ddpm(eps, REFERENCE[name], start[row].astype(np.float64), noises[:, row], grid, clip)
        np.testing.assert_allclose(got[row], expected, rtol=2e-3, atol=2e-3)


def test_ddpm_adds_no_noise_on_its_last_step():
    start = jnp.ones((2, 2))
    draw = jax.jit(lambda key, times: ddpm(crooked, ALPHA["cosine"], start, key, times))
    once, twice = ([draw(jax.random.PRNGKey(k), grid_of(steps, (0.01, 0.9))) for k in (0, 1)] for steps in (1, 2))
    np.testing.assert_array_equal(*once)
    assert np.abs(twice[0] - twice[1]).max() > 0.01


def test_ddpm_is_a_function_of_its_key():
    draw = jax.jit(lambda key: ddpm(crooked, ALPHA["cosine"], jnp.zeros((2, 2)), key, grid_of(3), 1.0))
    a, b, c = (draw(jax.random.PRNGKey(k)) for k in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@partial(jax.jit, compiler_options=QUICK)
def wild(start, key, slope, clip):
    """What each sampler of noise predictions and velocities draws with one that is far off, by its name."""

    def field(a, t):
        return slope * a + 1e3

    alpha, levels = ALPHA["cosine"], falling_levels(80.0, 0.002, 3, 7.0)
    arguments = {
        "diffusion_sampler": ((field, alpha, start), grid_of(3)),
        "flow_sampler": ((field, start), time_grid(0.0, 1.0, 2)),
        "edm_sampler": ((field, start), levels),
    }
    return {
        (kind, name): drawn_with(name, *args, times=times, key=key, clip=clip)
        for kind, (args, times) in arguments.items()
        for name in names(kind)
    }


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 2.0), st.floats(-50, 50), st.integers(0, 100))
def test_clip_keeps_actions_within_bounds_and_finite(clip, slope, seed):
    start = 3 * np.random.default_rng(seed).normal(size=(4, 2)).astype("f")
    found = wild(start, jax.random.PRNGKey(seed), slope, clip)
    assert {name for _, name in found} | set(names("energy_sampler")) == set(members_of("sampler"))
    for name, a in found.items():
        # the clip of a rated sampler bounds its prediction before the tanh
        bound = 1.0 if members_of("sampler")[name[1]].rated else np.float32(clip)
        assert np.isfinite(a).all() and np.abs(a).max() <= bound, name


@pytest.mark.parametrize("name", ALPHA)
def test_one_step_is_the_mean_action_given_the_noise(name):
    """E[a | z] of a Gaussian target, both by noise prediction and by velocity; clipped where asked for."""
    z, kept = np.random.default_rng(3).normal(size=(5, 2)), REFERENCE[name](TIMES[1])
    gain = kept * C @ np.linalg.inv(kept**2 * C + (1 - kept**2) * np.eye(2))
    expected = MU + (z - kept * MU) @ gain.T
    with jax.enable_x64(True):
        got = one_step(gaussian_eps(ALPHA[name]), ALPHA[name], jnp.asarray(z), times=grid_of(1))
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        bounded = one_step(gaussian_eps(ALPHA[name]), ALPHA[name], jnp.asarray(z), times=grid_of(1), clip=0.3)
        np.testing.assert_allclose(bounded, np.clip(expected, -0.3, 0.3), rtol=1e-6, atol=1e-6)
        # from noise alone, E[a - z | z] = mu - z
        got = one_step(lambda a, t: MU - a, jnp.asarray(z), times=time_grid(0.0, 1.0, 1))
        np.testing.assert_allclose(got, np.tile(MU, (5, 1)), rtol=1e-6)


@pytest.mark.parametrize("name", ["flow", "diffusion"])
def test_one_step_in_a_whole_graph_equals_the_loop(name):
    backbone = losses.flow() if name == "flow" else diffusion()
    bound = scalar("policy.sampler.clip", 1.0)
    block = improve("weighted_regression", particles=drawn(2))
    seen, p = losses.run(algorithm(block, policy=policy(backbone, sampler=component("sampler", "one_step", clip=bound))))
    prior, got = losses.f64(seen["proposals_prior"]), losses.f64(seen["proposals"])
    for i in np.ndindex(prior.shape[:2]):
        z, t = prior[i], 0.0 if name == "flow" else TIMES[1]
        said, kept = reference.denoiser(p["policy"], z, t, losses.ROWS["s"][i[0]]), reference.cosine_alpha(t)
        a = z + said if name == "flow" else (z - np.sqrt(1 - kept**2) * said) / kept
        np.testing.assert_allclose(got[i], np.clip(a, -1, 1), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", [*DETERMINISTIC, "ddpm"])
def test_a_point_target_is_found_in_few_steps(name):
    """eps = (a_t - alpha m)/sigma is exact for a policy that always plays m: even one step finds it."""
    alpha, m = ALPHA["cosine"], jnp.array([0.25, -0.75])

    def eps(a, t):
        return (a - alpha(t) * m) / jnp.sqrt(1 - alpha(t) ** 2)

    start = jax.random.normal(jax.random.PRNGKey(0), (5, 2))
    options = {"key": jax.random.PRNGKey(1)} if name == "ddpm" else {}
    a = (DETERMINISTIC | {"ddpm": ddpm})[name](eps, alpha, start, times=grid_of(20), clip=1.0, **options)
    # what is left is the noise at t_min, and for ddpm none of the step before: at most 3 sigma of it
    np.testing.assert_allclose(a, jnp.broadcast_to(m, a.shape), atol=0.05)


@pytest.mark.parametrize("name", [*FLOW, "edm_heun"])
def test_a_point_target_is_found_exactly_where_no_noise_is_left(name):
    m, start = jnp.array([0.25, -0.75]), jax.random.normal(jax.random.PRNGKey(0), (5, 2))
    if name == "edm_heun":
        a = edm_heun(lambda a, t: (a - m) / t, start, falling_levels(80.0, 0.002, 3, 7.0), 1.0)
    else:
        # beyond the start, which some of them clip too
        a = FLOW[name](lambda a, t: m - start, start, time_grid(0.0, 1.0, 3), clip=10.0)
    np.testing.assert_allclose(a, jnp.broadcast_to(m, a.shape), atol=1e-5)


def test_gradients_through_the_loop_are_the_gradients_of_the_loop():
    """The policy's parameters reach the action through every step, and through the clipping where it does not bind."""
    start = jnp.array([[0.3, -0.2]])
    noises = np.array([jax.random.normal(k, (1, 2)) for k in jax.random.split(jax.random.PRNGKey(0), 3)], np.float64)
    grid = reference.times(0.1, 0.8, 3)

    def total(theta):
        times = grid_of(3, (0.1, 0.8))
        return jnp.sum(ddpm(lambda a, t: theta * jnp.tanh(a), ALPHA["cosine"], start, jax.random.PRNGKey(0), times, 5.0))

    def slow(theta):
        a = np.array([0.3, -0.2])
        return reference.ddpm(lambda a, t: theta[0] * np.tanh(a), REFERENCE["cosine"], a, noises[:, 0], grid, 5.0).sum()

    expected = reference.gradient(slow, np.array([0.7]))[0]
    assert float(jax.jit(jax.grad(total))(0.7)) == pytest.approx(expected, rel=1e-3)


def test_the_posterior_variance_is_that_of_the_forward_process_given_the_clean_action():
    """Two steps from zero with eps = 0: the spread of the result comes from the noise of the first step alone."""

    def alpha(t):
        return jnp.sqrt(1 - 0.9 * t)

    def spread(**options):
        a_T = jnp.zeros((20_000, 1))
        a = ddpm(lambda a, t: jnp.zeros_like(a), alpha, a_T, jax.random.PRNGKey(1), jnp.array([1.0, 0.5, 0.0]), **options)
        return float(jnp.std(a))

    abar_t, abar_u = 0.1, 0.55
    posterior = (1 - abar_t / abar_u) * (1 - abar_u) / (1 - abar_t)
    assert spread(posterior=True) == pytest.approx(np.sqrt(posterior / abar_u), rel=0.03)
    assert spread() == pytest.approx(np.sqrt((1 - abar_t / abar_u) / abar_u), rel=0.03)
