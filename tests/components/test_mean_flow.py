"""Mean flow: the identity of average velocities in closed form, and a whole tiny problem against loops in float64."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.backbones.mean_flow import mean_flow_target
from tests import reference
from tests.components.losses import ROWS, f64, run, small_time
from tests.helpers import BATCH, adam, algorithm, component, drawn, improve, policy, scalar

SHAPE = (BATCH, 2)


def tiny(bound: float):
    options = {"time": small_time(), "obs": (4, 4), "bound": scalar("policy.backbone.bound", bound)}
    backbone = component("backbone", "mean_flow", **options)
    step = component("sampler", "one_step", clip=scalar("policy.sampler.clip", 1.0))
    return policy(backbone, sampler=step, optimizer=adam("policy.optimizer"))


@cache
def regressed(bound: float):
    return run(algorithm(improve("weighted_regression", particles=drawn(2)), policy=tiny(bound)), gradient=True)


def function(net):
    """The kernel's target where g is a function of (z, t)."""

    def target(z, t, a, noise, bound=100.0):
        given = SimpleNamespace(apply=lambda params, z, t, s: net(z, t))
        arrays = [jnp.asarray(x, "f") for x in (z, t)]
        return f64(mean_flow_target(given, None, *arrays, None, jnp.asarray(a, "f"), jnp.asarray(noise, "f"), bound))

    return target


def test_noised_actions_lie_on_the_straight_way_from_action_to_noise():
    seen, _ = regressed(5.0)
    a, noise, t, alpha, a_t = (f64(seen[name]) for name in ("proposals", "noise", "t", "alpha", "a_t"))
    assert len(np.unique(t)) == t.size and 0 <= t.min() < 0.4 < t.max() <= 1
    for i in np.ndindex(SHAPE):
        assert alpha[i] == pytest.approx(1 - t[i], abs=1e-6)
        np.testing.assert_allclose(a_t[i], (1 - t[i]) * a[i] + t[i] * noise[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bound", [5.0, 0.5])
def test_the_network_regresses_to_the_identity_of_average_velocities(bound):
    """The derivative along (v, 1) by central differences."""
    seen, p = regressed(bound)
    a, noise, t, a_t, w = (f64(seen[name]) for name in ("proposals", "noise", "t", "a_t", "weight"))
    total, h, clipped = 0.0, 1e-5, 0
    for i in np.ndindex(SHAPE):
        v = noise[i] - a[i]

        def g(x, s=ROWS["s"][i[0]], z=a_t[i], v=v, now=t[i]):
            return reference.denoiser(p["policy"], z + x * v, now + x, s)

        target = a_t[i] + (t[i] - 1) * v - t[i] * (g(h) - g(-h)) / (2 * h)
        clipped += np.sum(np.abs(target) > bound)
        total += w[i] * np.mean((g(0.0) - np.clip(target, -bound, bound)) ** 2)
        np.testing.assert_allclose(seen["g_target"][i], np.clip(target, -bound, bound), rtol=2e-3, atol=2e-3)
    assert (clipped > 0) == (bound < 1)
    assert float(seen.outputs["loss"]) == pytest.approx(total / BATCH, rel=2e-3)


def test_no_gradient_flows_through_the_target():
    """The gradient with respect to the bias of the output is that of a regression to constants."""
    seen, _ = regressed(5.0)
    error, w = f64(seen["g"]) - f64(seen["g_target"]), f64(seen["weight"])
    expected = np.mean(np.sum(w[..., None] * 2 * error / error.shape[-1], axis=1), axis=0)
    got = seen.outputs["gradient"]["trunk"]["head"]["bias"]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_actions_are_the_clipped_output_at_time_one():
    seen, p = regressed(5.0)
    prior, got = f64(seen["proposals_prior"]), f64(seen["proposals"])
    for i in np.ndindex(SHAPE):
        expected = np.clip(reference.denoiser(p["policy"], prior[i], 1.0, ROWS["s"][i[0]]), -1, 1)
        np.testing.assert_allclose(got[i], expected, rtol=1e-3, atol=1e-3)
    assert np.abs(got).max() <= 1


def test_a_single_action_is_a_fixed_point():
    """All ways to m are straight: v = (z - m) / t, which is its own average, so that g = z - v is its own target."""
    rng, m = np.random.default_rng(0), np.array([0.3, -0.8])
    noise, t = rng.normal(size=(20, 2)), rng.uniform(0.1, 1.0, size=20)
    z, a = (1 - t)[:, None] * m + t[:, None] * noise, np.broadcast_to(m, noise.shape)
    target = function(lambda z, t: z - (z - jnp.asarray(m, "f")) / t[..., None])
    np.testing.assert_allclose(target(z, t, a, noise), z - (noise - m), atol=1e-4)
    np.testing.assert_allclose(target(noise, np.ones(20), a, noise), a, atol=1e-5)


def test_the_average_velocity_of_a_linear_field_is_a_fixed_point():
    """Actions N(0, scale^2): at time t, z is N(0, (1 - t)^2 scale^2 + t^2), and the field E[v | z] carries it from
    z scale / std(t) at time 0, so that g(z, t) = z - z (1 - scale / std(t)) / t.  The target is linear in v, and its mean
    is that at the mean of v.
    """
    rng, scale = np.random.default_rng(1), 0.4
    z, t = rng.normal(size=(30, 2)), rng.uniform(0.05, 1.0, 30)
    variance = (1 - t) ** 2 * scale**2 + t**2
    mean_v = ((t - (1 - t) * scale**2) / variance)[:, None] * z

    def g(z, t):
        std = jnp.sqrt((1 - t) ** 2 * scale**2 + t**2)
        return z - z * ((1 - scale / std) / t)[..., None]

    got = function(g)(z, t, np.zeros_like(z), mean_v)
    np.testing.assert_allclose(got, f64(g(z, t)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(f64(g(z, np.ones(30))), scale * z, atol=1e-6)  # one call has the deviation of the data


def test_targets_are_bounded():
    target = function(lambda z, t: 100 * t[..., None] * z)
    assert np.abs(target(np.ones((3, 2)), np.ones(3), np.zeros((3, 2)), np.ones((3, 2)), bound=5.0)).max() == 5.0
