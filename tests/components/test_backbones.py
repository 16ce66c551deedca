from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.backbones.deterministic import deterministic_action
from flowrl_dsl.components.backbones.gaussian import bounded_log_std, gaussian_draw, gaussian_log_density
from flowrl_dsl.components.backbones.generator import generate, straight_through_clip
from flowrl_dsl.components.backbones.tanh_gaussian import (
    gaussian_head,
    tanh_gaussian_density,
    tanh_gaussian_draw,
    tanh_gaussian_log_prob,
)
from flowrl_dsl.components.denoising import denoise, denoise_given, denoiser, observation_features, uniform_time
from flowrl_dsl.components.embeddings.fourier import fourier_features
from flowrl_dsl.components.networks.mlp import mlp
from flowrl_dsl.components.random_numbers import gaussian_noise
from flowrl_dsl.formula import Formula
from tests import reference
from tests.components.losses import ROWS, run
from tests.helpers import A as A_
from tests.helpers import S as S_
from tests.helpers import algorithm, component, ew, improve, net, policy, random_params, red

RNG = np.random.default_rng(0)
S, A_T, T = RNG.normal(size=(4, 3)).astype("f"), RNG.normal(size=(4, 2)).astype("f"), RNG.uniform(0, 1, 4).astype("f")
PARTICLES = RNG.normal(size=(4, 5, 2)).astype("f")


def make_denoiser(obs=True):
    embedding = observation_features((4, 6)) if obs else None
    trunk = mlp((("a", 2), ("t", 4), ("s", 6 if obs else 3)), (8, 8), 2, "mish", False)
    net = denoiser(trunk, fourier_features(4, 0.2, 4), embedding)
    return net, random_params(net, A_T, T, S)


NET, PARAMS = make_denoiser()


def test_the_denoiser_equals_the_loop():
    got = denoise(NET, PARAMS, A_T, T, S)
    p = reference.f64(PARAMS)
    for i in range(4):
        expected = reference.denoiser(p, A_T[i], float(T[i]), S[i])
        np.testing.assert_allclose(got[i], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("obs", [True, False])
def test_the_observation_computed_once_gives_the_same_prediction(obs):
    net, params = (NET, PARAMS) if obs else make_denoiser(obs=False)
    given_s = denoise_given(net, params, S)
    np.testing.assert_allclose(given_s(A_T, jnp.asarray(T)), denoise(net, params, A_T, T, S), rtol=1e-4, atol=1e-5)


def test_a_scalar_time_is_the_same_time_for_all():
    scalar = denoise_given(NET, PARAMS, S)(A_T, jnp.float32(0.3))
    array = denoise(NET, PARAMS, A_T, jnp.full(4, 0.3), S)
    np.testing.assert_allclose(scalar, array, rtol=1e-4, atol=1e-5)


def test_particles_share_the_observation():
    got = denoise_given(NET, PARAMS, S[:, None])(PARTICLES, jnp.float32(0.3))
    assert got.shape == PARTICLES.shape
    for j in range(5):
        alone = denoise(NET, PARAMS, PARTICLES[:, j], jnp.full(4, 0.3), S)
        np.testing.assert_allclose(got[:, j], alone, rtol=1e-4, atol=1e-5)


def test_times_are_uniform_between_the_ends_one_for_each_action():
    t = np.asarray(uniform_time(jax.random.PRNGKey(0), jnp.zeros((100, 40, 2)), (0.2, 0.8)))
    assert t.shape == (100, 40) and t.min() >= 0.2 and t.max() <= 0.8
    counts, _ = np.histogram(t, 6, (0.2, 0.8))
    assert np.abs(counts - 4000 / 6).max() < 5 * np.sqrt(4000 / 6)


# tanh Gaussian


def exact_log_prob(u, mean, log_std):
    """By the change of variables, in float64: log N(u; mean, std^2) - log |d tanh(u) / du|."""
    normal = -0.5 * ((u - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    # 1 - tanh(u)^2 = 1 / cosh(u)^2, log cosh(u) = |u| + log(1 + e^(-2|u|)) - log 2
    return (normal + 2 * (np.abs(u) + np.log1p(np.exp(-2 * np.abs(u))) - np.log(2))).sum(-1)


@pytest.mark.parametrize("mean, log_std", [(0.0, -1.0), (1.0, -0.5), (-2.0, -2.0), (0.3, 0.0)])
def test_the_density_integrates_to_one(mean, log_std):
    """Over the action, on a grid that is fine at both ends: a = tanh(u), u equally spaced."""
    u = np.linspace(-7.0, 7.0, 20_001)
    a = np.tanh(u)
    head = jnp.full((1, 1), mean), jnp.full((1, 1), log_std)
    density = np.exp(np.asarray(tanh_gaussian_density(head, jnp.asarray(a[:, None], "f")), np.float64))
    assert np.sum((density[1:] + density[:-1]) / 2 * np.diff(a)) == pytest.approx(1.0, abs=3e-3)


def test_the_density_is_the_slope_of_the_distribution_function():
    """P(tanh(u) < x) = Phi((atanh x - mean) / std), differentiated numerically."""
    from math import erf

    mean, std, h = 0.4, 0.7, 1e-5
    for x in (-0.9, -0.2, 0.5, 0.95):
        below = [0.5 * (1 + erf((np.arctanh(y) - mean) / (std * np.sqrt(2)))) for y in (x - h, x + h)]
        head = jnp.full((1,), mean), jnp.full((1,), np.log(std))
        density = float(jnp.exp(tanh_gaussian_density(head, jnp.full((1,), x))))
        assert density == pytest.approx((below[1] - below[0]) / (2 * h), rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.floats(-8, 8), st.floats(-5, 2), st.floats(-3, 3))
def test_the_log_density_of_a_draw_is_exact(mean, log_std, noise):
    mean, log_std, noise = (np.full((1, 1), x, "f") for x in (mean, log_std, noise))
    a, log_prob = tanh_gaussian_draw((mean, log_std), noise)
    wide = [x.astype(np.float64) for x in (mean, log_std, noise)]
    u = wide[0] + np.exp(wide[1]) * wide[2]
    np.testing.assert_allclose(a, np.tanh(u), atol=1e-6)
    # u carries the rounding of the mean, which log_std = -5 magnifies
    np.testing.assert_allclose(log_prob, exact_log_prob(u, *wide[:2]), rtol=1e-3, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 0), st.floats(-1, 1))
def test_a_drawn_action_has_the_density_that_came_with_the_draw(mean, log_std, noise):
    head = tuple(jnp.full((1, 2), x) for x in (mean, log_std))
    a, log_prob = tanh_gaussian_draw(head, jnp.array([[noise, -noise]]))
    np.testing.assert_allclose(tanh_gaussian_density(head, a), log_prob, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("mean", [-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4])
@pytest.mark.parametrize("log_std", [-5.0, 2.0])
def test_extreme_means_give_finite_densities_and_gradients(mean, log_std):
    def f(mean, log_std):
        a, log_prob = tanh_gaussian_draw((mean, log_std), jnp.array([0.5]))
        return log_prob + jnp.sum(a) + tanh_gaussian_density((mean, log_std), jnp.array([1.0])) * 1e-9

    head = jnp.full((1,), mean), jnp.full((1,), log_std)
    value, slopes = jax.value_and_grad(f, argnums=(0, 1))(*head)
    assert np.isfinite(value) and all(np.isfinite(x).all() for x in slopes)
    _, log_prob = tanh_gaussian_draw(head, jnp.array([0.5]))
    u = np.array([mean + np.exp(log_std) * 0.5])
    assert float(log_prob) == pytest.approx(exact_log_prob(u, mean, log_std), rel=1e-3, abs=0.1)


def test_actions_at_the_very_ends_have_finite_densities():
    head = jnp.zeros((3, 1)), jnp.zeros((3, 1))
    a = jnp.array([[-1.0], [1.0], [0.0]])
    log_prob, slope = jax.value_and_grad(lambda x: jnp.sum(tanh_gaussian_density(head, x)))(a)
    assert np.isfinite(log_prob) and np.isfinite(slope).all()


def test_log_std_stays_between_its_bounds_and_uses_them():
    net = mlp((("s", 3),), (8,), 4, "tanh", False)
    params = random_params(net, {"s": S})
    out = np.asarray(net.apply({"params": params}, {"s": S}), np.float64)
    mean, log_std = gaussian_head(net, params, S, -5.0, 2.0)
    np.testing.assert_allclose(mean, out[:, :2], atol=1e-6)
    # the customary way to write it: low + (high - low) (tanh(x) + 1) / 2
    np.testing.assert_allclose(log_std, -5 + 7 * (np.tanh(out[:, 2:]) + 1) / 2, rtol=1e-4, atol=1e-5)
    big = jax.tree.map(lambda p: 1e3 * p, params)
    _, log_std = gaussian_head(net, big, S, -5.0, 2.0)
    assert float(log_std.min()) == pytest.approx(-5.0) and float(log_std.max()) == pytest.approx(2.0)


def test_log_prob_sums_over_components_only():
    u = jnp.asarray(RNG.normal(size=(4, 5, 2)), "f")
    mean, log_std = jnp.zeros((4, 1, 2)), jnp.zeros((4, 1, 2))
    got = tanh_gaussian_log_prob(u, mean, log_std)
    assert got.shape == (4, 5)
    np.testing.assert_allclose(got, exact_log_prob(np.asarray(u, np.float64), 0.0, np.zeros(2)), rtol=1e-4)


# deterministic


# Gaussian


def gaussian_params(log_std):
    return {"log_std": jnp.asarray(log_std, "f")}


def test_the_gaussian_density_integrates_to_one_and_has_its_moments():
    """On a grid far beyond the actions: nothing is cut off."""
    line = np.linspace(-8, 8, 4001)
    density = np.exp(gaussian_log_density(line[:, None].astype("f"), jnp.float32(0.4), gaussian_params([-0.3])))
    weight = np.asarray(density, np.float64) * (line[1] - line[0])
    assert weight.sum() == pytest.approx(1, abs=1e-4)
    assert weight @ line == pytest.approx(0.4, abs=1e-3)
    assert weight @ (line - 0.4) ** 2 == pytest.approx(np.exp(-0.6), abs=1e-3)


def test_a_gaussian_draw_is_clipped_straight_through_and_rated_before_the_clip():
    mean, log_std, noise = np.array([[0.5, -0.9]]), np.array([0.2, -1.0]), np.array([[1.5, 0.4], [-0.3, -2.0]])
    a, density = gaussian_draw(jnp.asarray(mean, "f"), gaussian_params(log_std), jnp.asarray(noise, "f"))
    u = mean + np.exp(log_std) * noise
    assert (np.abs(u) > 1).any() and (np.abs(u) < 1).any()
    np.testing.assert_allclose(a, np.clip(u, -1, 1), rtol=1e-5)
    expected = -0.5 * (noise**2).sum(1) - log_std.sum() - np.log(2 * np.pi)
    np.testing.assert_allclose(density, expected, rtol=1e-5)
    slope = jax.grad(lambda p: jnp.sum(gaussian_draw(jnp.asarray(mean, "f"), p, jnp.asarray(noise, "f"))[0]))
    np.testing.assert_allclose(slope(gaussian_params(log_std))["log_std"], (np.exp(log_std) * noise).sum(0), rtol=1e-5)


@pytest.mark.parametrize("squash", [True, False])
def test_a_whole_loss_of_a_gaussian_policy_equals_the_loop(squash):
    """Maximum entropy, so that actions and their densities count, and the same density of given actions."""
    backbone = component("backbone", "gaussian", std=0.7, squash=squash)
    objective = ew("sub", red("min", net("Q", S_, A_), "ensemble"), ew("mul", 0.5, net("draw_log_prob", S_, A_)))
    seen, p = run(
        algorithm(improve("reparameterized", objective=Formula(objective)), policy=policy(backbone)), gradient=True
    )
    noise = np.asarray(seen["action_noise"], np.float64)

    def loss(params):
        total = 0.0
        for s, z in zip(ROWS["s"], noise, strict=True):
            mean = reference.mlp(params["mean"], [s], ["s"], "mish")
            u = (np.tanh(mean) if squash else mean) + np.exp(params["log_std"]) * z
            density = np.sum(-0.5 * z**2 - params["log_std"] - 0.5 * np.log(2 * np.pi))
            total -= (reference.q_values(p["critic"], s, np.clip(u, -1, 1)).min() - 0.5 * density) / len(noise)
        return total

    assert float(seen.outputs["loss"]) == pytest.approx(loss(p["policy"]), rel=1e-3)
    assert np.isfinite(seen.outputs["gradient"]["log_std"]).all() and np.abs(seen.outputs["gradient"]["log_std"]).max() > 0


def test_deterministic_actions_are_tanh_of_the_network_and_equal_for_all_particles():
    net = mlp((("s", 3),), (8,), 2, "tanh", False)
    params = random_params(net, {"s": S})
    a = deterministic_action(net, params, S)
    for i in range(4):
        expected = np.tanh(reference.mlp(reference.f64(params), [S[i]], ["s"], "tanh"))
        np.testing.assert_allclose(a[i], expected, rtol=1e-4, atol=1e-6)
    many = deterministic_action(net, params, S, 3)
    assert many.shape == (4, 3, 2)
    np.testing.assert_array_equal(many, np.broadcast_to(np.asarray(a)[:, None], (4, 3, 2)))


# generator

GENERATOR = mlp((("z", 5), ("s", 3)), (8,), 2, "mish", False)
GENERATOR_PARAMS = random_params(GENERATOR, {"z": np.zeros((1, 5)), "s": S}, scale=0.8)


@pytest.mark.parametrize("particles", [None, 6])
def test_the_generator_equals_the_loop(particles):
    """One draw of noise for each action; the clip of the result is at work."""
    key = jax.random.PRNGKey(2)
    a = np.asarray(generate(GENERATOR, GENERATOR_PARAMS, S, key, 5, particles))
    z = np.asarray(gaussian_noise(key, S, 5, particles), np.float64)
    assert a.shape == (*z.shape[:-1], 2) and len(np.unique(z)) == z.size
    raw = np.zeros(a.shape)
    for i in np.ndindex(z.shape[:-1]):
        raw[i] = reference.mlp(reference.f64(GENERATOR_PARAMS), [z[i], S[i[0]]], ["z", "s"], "mish")
    np.testing.assert_allclose(a, np.clip(raw, -1, 1), rtol=1e-4, atol=1e-5)
    assert (np.abs(raw) > 1).any() and (np.abs(raw) < 1).any() and np.abs(a).max() <= 1


def test_the_noise_of_the_generator_is_standard_normal():
    """Through a linear network that adds up its noise: f = sum_i z_i / sqrt 5 + s_1."""

    class Sum:
        def apply(self, params, inputs):
            return jnp.sum(inputs["z"], -1, keepdims=True) / jnp.sqrt(5.0) * 0.2 + inputs["s"][..., :1] * 0.01

    a = np.asarray(generate(Sum(), {}, np.array([[0.0, 1, 2], [10.0, 0, 0]], "f"), jax.random.PRNGKey(0), 5, 4000))
    np.testing.assert_allclose(a.mean((1, 2)), [0.0, 0.1], atol=0.02)
    np.testing.assert_allclose(a.std((1, 2)), [0.2, 0.2], rtol=0.05)


@pytest.mark.parametrize("x", [-3.0, -1.0, 0.3, 1.0, 1.3, 1e6])
def test_the_clip_is_straight_through(x):
    value, slope = jax.value_and_grad(straight_through_clip)(np.float32(x))
    assert float(value) == np.clip(np.float32(x), -1, 1) and float(slope) == 1.0


def test_a_bounded_log_std_is_the_clipped_one_and_has_no_gradient_beyond():
    params = {"mean": {}, "log_std": jnp.array([-7.0, 0.5, 3.0])}
    np.testing.assert_array_equal(bounded_log_std(params, -5.0, 2.0)["log_std"], [-5.0, 0.5, 2.0])
    np.testing.assert_array_equal(bounded_log_std(params, None, 2.0)["log_std"], [-7.0, 0.5, 2.0])
    slope = jax.grad(lambda x: jnp.sum(bounded_log_std({"log_std": x}, -5.0, 2.0)["log_std"]))(params["log_std"])
    np.testing.assert_array_equal(slope, [0.0, 1.0, 0.0])


def test_bounds_of_the_log_std_are_in_order():
    with pytest.raises(ValueError, match="log_std_max must be greater"):
        component("backbone", "gaussian", log_std_min=1.0, log_std_max=-1.0)
