"""Reverse samples: actions in [-1, 1] that noise could have turned into a_t, and expectations over them.

With the center m = a_t/alpha and the width c = sigma/alpha, a_hat is a normal N(m, c^2) cut off outside of [-1, 1]; with
x = (-1 - m)/c, y = (1 - m)/c, density f, distribution F and Z = F(y) - F(x),

    mean = m + c (f(x) - f(y)) / Z
    variance = c^2 (1 + (x f(x) - y f(y)) / Z - ((f(x) - f(y)) / Z)^2).
"""

from __future__ import annotations

from math import erfc, exp, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.mechanisms.score_matching import reverse_samples
from flowrl_dsl.formula import Formula
from tests import reference
from tests.components.losses import EDM_DATA, ROWS, edm_policy, f64, flow, run, small_time
from tests.helpers import (
    BATCH,
    TEMPERATURE,
    S,
    algorithm,
    along,
    component,
    ew,
    grad,
    improve,
    net,
    policy,
    red,
    sampler,
    var,
)

DRAW = jax.jit(reverse_samples, static_argnums=4)
N = 40_000


def draw(a_t, alpha, sigma, count=N, seed=0):
    """Samples of one component of one action."""
    key = jax.random.PRNGKey(seed)
    values = (np.full((1, 1), a_t, "f"), np.full(1, alpha, "f"), np.full(1, sigma, "f"))
    return (f64(x)[0, :, 0] for x in DRAW(key, *values, count))


def moments(a_t, alpha, sigma):
    """Mean and standard deviation in closed form; the mirror image where that makes the tails' difference exact."""
    if a_t > 0:
        mean, std = moments(-a_t, alpha, sigma)
        return -mean, std
    m, c = a_t / alpha, sigma / alpha
    x, y = (-1 - m) / c, (1 - m) / c
    f_x, f_y = (exp(-z * z / 2) / sqrt(2 * pi) for z in (x, y))
    mass = (erfc(x / sqrt(2)) - erfc(y / sqrt(2))) / 2
    shift = (f_x - f_y) / mass
    return m + c * shift, c * sqrt(1 + (x * f_x - y * f_y) / mass - shift**2)


CASES = [
    (0.0, 0.8, 0.6), (0.5, 0.8, 0.6), (-1.3, 0.8, 0.6), (2.0, 0.3, 0.95), (-0.9, 0.99, 0.14), (1.2, 0.99, 0.14),
    (-4.0, 0.9, 0.44), (3.0, 0.05, 0.9987), (0.4, 1.0, 3.0), (-1.05, 0.9999, 0.0141), (1.6, 0.995, 0.1),
]  # fmt: skip


@pytest.mark.parametrize("a_t, alpha, sigma", CASES)
def test_moments_are_those_of_the_cut_normal(a_t, alpha, sigma):
    a_hat, _ = draw(a_t, alpha, sigma)
    mean, std = moments(a_t, alpha, sigma)
    assert a_hat.mean() == pytest.approx(mean, abs=5 * std / sqrt(N))
    assert a_hat.std() == pytest.approx(std, rel=0.04)
    assert len(np.unique(a_hat)) > N / 10


@pytest.mark.parametrize("a_t, alpha, sigma", [(1.5, 0.995, 0.0316), (-4.0, 0.99999, 0.0045), (4.0, 0.98, 0.2)])
def test_far_out_the_end_is_left_exponentially(a_t, alpha, sigma):
    """More than 10 sigma away the density falls from its end like exp(-low x): mean distance 1/low, in units of sigma."""
    low = (abs(a_t) - alpha) / sigma
    a_hat, _ = draw(a_t, alpha, sigma)
    distance = (1 - np.sign(a_t) * a_hat) * alpha / sigma
    assert distance.mean() == pytest.approx(1 / low, rel=0.03)
    assert np.sort(distance)[N // 2] == pytest.approx(np.log(2) / low, rel=0.05)


@pytest.mark.parametrize("alpha", [1e-6, 1e-4, 5e-3])
@pytest.mark.parametrize("a_t", [-2.0, 0.3, 4.0])
def test_almost_pure_noise_says_nothing_about_the_action(a_t, alpha):
    a_hat, _ = draw(a_t, alpha, np.sqrt(1 - alpha**2))
    counts, _ = np.histogram(a_hat, 10, (-1, 1))
    # the density leans by exp(a_t alpha a), which is at most 2 % here
    assert np.abs(counts - N / 10).max() < 5 * sqrt(N / 10) + 0.02 * N / 10


def test_every_sample_has_noise_of_its_own():
    key, a_t = jax.random.PRNGKey(0), jnp.zeros((3, 2))
    a_hat, noise_hat = DRAW(key, a_t, jnp.full(3, 0.8), jnp.full(3, 0.6), 5)
    assert a_hat.shape == noise_hat.shape == (3, 5, 2)
    assert len(np.unique(a_hat)) == a_hat.size


SCHEDULES = {"cosine": reference.cosine_alpha, "linear": reference.linear_alpha}


@st.composite
def processes(draw):
    """(alpha, sigma) of a real process: the diffusion schedules at all their times, flow, EDM, almost nothing of either."""
    kind = draw(st.sampled_from(["cosine", "linear", "flow", "edm", "ends"]))
    if kind == "edm":
        return 1.0, draw(st.floats(1e-4, 300.0))
    t = draw(st.floats(1e-3, 0.999))
    if kind == "flow":
        return t, 1 - t
    tiny = draw(st.sampled_from([1e-7, 1e-5, 1e-3]))
    kept = draw(st.sampled_from([tiny, sqrt(1 - tiny**2), 1.0])) if kind == "ends" else SCHEDULES[kind](t)
    return kept, sqrt(1 - kept**2)


@settings(max_examples=200, deadline=None)
@given(processes(), st.floats(-4, 4), st.integers(0, 1000))
def test_actions_are_actions_and_fit_their_noise(process, a_t, seed):
    alpha, sigma = (float(np.float32(x)) for x in process)
    a_t = float(np.float32(a_t))
    if sigma < 1e-6:
        a_t = float(np.clip(a_t, -alpha, alpha))  # nothing else can be made without noise
    a_hat, noise_hat = draw(a_t, alpha, sigma, 64, seed)
    assert np.isfinite(a_hat).all() and np.abs(a_hat).max() <= 1
    assert np.isfinite(noise_hat).all()
    np.testing.assert_allclose(alpha * a_hat + sigma * noise_hat, a_t, atol=5e-6 + 1e-6 * sigma)


@settings(max_examples=60, deadline=None)
@given(processes(), st.floats(-1, 1), st.floats(-4, 4))
def test_gradients_with_respect_to_the_noisy_action_are_finite(process, a, noise):
    alpha, sigma = process
    values = np.full((1, 1), alpha * a + sigma * noise, "f"), np.full(1, alpha, "f"), np.full(1, sigma, "f")
    assert np.isfinite(SLOPE(*values)).all()


SLOPE = jax.jit(jax.grad(lambda *values: sum(jnp.sum(x) for x in reverse_samples(jax.random.PRNGKey(0), *values, 32))))


# expectations over them, on a whole tiny problem

A_HAT, NOISE_HAT = (var(name, "batch", "reverse", "action") for name in ("a_hat", "noise_hat"))
Q_HAT = red("min", net("Q", S, A_HAT), "ensemble")
WEIGHT = along("softmax", ew("div", Q_HAT, TEMPERATURE), "reverse")
NOISE_EXPECTATION = Formula(red("sum", ew("mul", WEIGHT, NOISE_HAT), "reverse"))


def check_reverse(seen, count, alpha, sigma):
    a_hat, noise_hat, a_t = (f64(seen[name]) for name in ("a_hat", "noise_hat", "a_t"))
    assert a_hat.shape == noise_hat.shape == (BATCH, count, 2) and np.abs(a_hat).max() <= 1
    for i, m in np.ndindex(BATCH, count):
        np.testing.assert_allclose(alpha[i] * a_hat[i, m] + sigma[i] * noise_hat[i, m], a_t[i], rtol=1e-4, atol=1e-5)
    return a_hat, noise_hat, a_t


def expectation(p, i, a_hat, values):
    """sum_m w_m values_m, w = softmax of min Q / temperature over the reverse samples of one state."""
    q = [reference.q_values(p["critic"], ROWS["s"][i], a_hat[i, m]).min() / 0.5 for m in range(len(a_hat[i]))]
    return sum(w * values[i, m] for m, w in enumerate(reference.softmax(np.array(q))))


@pytest.mark.parametrize("backbone", ["diffusion", "edm"])
def test_the_noise_expectation_equals_the_loop(backbone):
    made_of = {"policy": edm_policy()} if backbone == "edm" else {}
    seen, p = run(algorithm(improve("score_matching", target=NOISE_EXPECTATION, reverse=6), **made_of))
    t = f64(seen["t"])
    kept = np.array([1.0 if backbone == "edm" else reference.cosine_alpha(x) for x in t])
    sigma = t if backbone == "edm" else np.sqrt(1 - kept**2)
    a_hat, noise_hat, a_t = check_reverse(seen, 6, kept, sigma)
    errors = []
    for i in range(BATCH):
        target = expectation(p, i, a_hat, noise_hat)
        np.testing.assert_allclose(seen["target"][i], target, rtol=1e-3, atol=1e-3)
        if backbone == "edm":
            denoised = reference.edm_denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i], EDM_DATA)
            errors.append((a_t[i] - denoised) / t[i] - target)
        else:
            errors.append(reference.denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i]) - target)
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(np.square(errors)), rel=2e-3)


def test_the_velocity_expectation_of_a_flow_equals_the_loop():
    """velocity = sum_m w_m (a_hat_m - noise_hat_m)"""
    straight = Formula(red("sum", ew("mul", WEIGHT, ew("sub", A_HAT, NOISE_HAT)), "reverse"))
    block = improve("score_matching", target=None, velocity=straight, reverse=6)
    seen, p = run(algorithm(block, policy=policy(flow(t_min=0.1, t_max=0.9), sampler=sampler("euler"))))
    t = f64(seen["t"])
    a_hat, noise_hat, a_t = check_reverse(seen, 6, t, 1 - t)
    errors = []
    for i in range(BATCH):
        target = expectation(p, i, a_hat, a_hat - noise_hat)
        np.testing.assert_allclose(seen["target"][i], target, rtol=1e-3, atol=1e-3)
        errors.append(reference.denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i]) - target)
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(np.square(errors)), rel=2e-3)


def test_the_gradient_expectation_equals_the_loop():
    """target = -sigma/alpha mean_m grad Q(s, a_hat_m): the gradient is taken at each sample."""
    g = grad(red("mean", net("Q", S, A_HAT), "ensemble"), A_HAT)
    factor = ew("neg", ew("div", var("sigma", "batch"), var("alpha", "batch")))
    target = Formula(ew("mul", factor, red("mean", g, "reverse")))
    schedule = component("noise_schedule", "linear", t_max=0.5)
    backbone = component("backbone", "diffusion", schedule=schedule, time=small_time(), obs=(4, 4))
    seen, p = run(algorithm(improve("score_matching", target=target, reverse=3), policy=policy(backbone)))
    kept = np.array([reference.linear_alpha(x) for x in f64(seen["t"])])
    sigma = np.sqrt(1 - kept**2)
    a_hat, _, _ = check_reverse(seen, 3, kept, sigma)
    for i in range(BATCH):
        slopes = [
            reference.gradient(lambda a, i=i: reference.q_values(p["critic"], ROWS["s"][i], a).mean(), a_hat[i, m])
            for m in range(3)
        ]
        expected = -sigma[i] / kept[i] * np.mean(slopes, 0)
        np.testing.assert_allclose(seen["target"][i], expected, rtol=3e-3, atol=1e-3)
