"""The entropy of a policy by a mixture of Gaussians: the fit against a slow loop, its bound where it is known exactly."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.estimators.mixture import (
    fit_mixture,
    mixture_bound,
    mixture_entropy,
    mixture_parameters,
    mixture_shares,
    mixture_start,
)
from flowrl_dsl.formula import Formula
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lowering.schedule import Choose, Compute, schedule
from flowrl_dsl.registry import Drawn
from tests import reference
from tests.helpers import (
    QUICK,
    SIZES,
    Seen,
    algorithm,
    batch,
    both,
    component,
    every,
    ew,
    graphs_of,
    improve,
    kept,
    learned,
    policy,
    program_of,
    random_state,
    same,
    sampler,
    scalar,
    seq,
    var,
)

KEY = jax.random.PRNGKey(3)
RNG = np.random.default_rng(5)
jit = partial(jax.jit, compiler_options=QUICK)
COVARIANCE = np.array([[0.5, 0.2, 0.0], [0.2, 0.3, -0.1], [0.0, -0.1, 0.4]])
ENTROPY = jit(lambda key, a: mixture_entropy(key, a, 2, 12, 1e-6))


def gaussian_entropy(covariance):
    return 0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.asarray(covariance, np.float64))[1]


def normals(states, samples, covariance=COVARIANCE):
    return RNG.multivariate_normal(np.zeros(len(covariance)), covariance, (states, samples)).astype("f")


def test_one_component_gives_the_entropy_of_the_gaussian():
    """Exactly that of the samples' own covariance, and nearly that of the Gaussian they are from."""
    a = normals(2, 5000)
    got = float(jit(lambda a: mixture_entropy(KEY, a, 1, 1, 1e-6))(a))
    exact = np.mean([gaussian_entropy(np.cov(x.astype(np.float64).T, bias=True)) for x in a])
    assert got == pytest.approx(exact, abs=1e-3)
    assert got == pytest.approx(gaussian_entropy(COVARIANCE), abs=0.05)


def test_two_modes_far_apart_add_log_2():
    a = 0.1 * normals(3, 400)
    modes = np.concatenate([a[:, :200] - 2.0, a[:, 200:] + 2.0], axis=1)
    own = [gaussian_entropy(np.cov(m.astype(np.float64).T, bias=True)) for x in a for m in (x[:200], x[200:])]
    assert float(ENTROPY(KEY, modes)) == pytest.approx(np.mean(own) + np.log(2), abs=5e-3)


def test_the_fit_equals_the_loop_from_the_same_start():
    x = np.concatenate([normals(1, 12)[0], normals(1, 8)[0] + [1.0, -0.5, 0.0]]).astype("f")
    share = jit(lambda x: mixture_start(KEY, x, 3))(x)
    weight, mean, values, vectors = jit(lambda x, share: fit_mixture(x, share, 6, 1e-2))(x, share)
    expected = reference.expectation_maximisation(x.astype(np.float64), share, 6, 1e-2)
    assert expected[0].min() > 0.02 and np.ptp(expected[1], axis=0).max() > 0.3, "the components are too much alike to tell"
    np.testing.assert_allclose(weight, expected[0], rtol=1e-3)
    np.testing.assert_allclose(mean, expected[1], rtol=1e-3, atol=1e-3)
    covariance = np.einsum("kij,kj,klj->kil", vectors, values, vectors)
    np.testing.assert_allclose(covariance, expected[2], rtol=1e-3, atol=1e-3)
    bound = sum(w * (gaussian_entropy(c) - np.log(w)) for w, c in zip(expected[0], expected[2], strict=True))
    assert float(mixture_bound(weight, values)) == pytest.approx(bound, abs=1e-3)


def test_every_step_of_the_fit_raises_the_likelihood():
    x = normals(1, 40)[0]
    x[20:, 0] += 1.0
    share, before = mixture_start(KEY, x, 2), -np.inf
    m_step, e_step = jit(lambda x, share: mixture_parameters(x, share, 1e-6)), jit(mixture_shares)
    for _ in range(8):
        weight, mean, values, vectors = m_step(x, share)
        density = np.zeros(len(x))
        for w, m, v, u in zip(*map(reference.f64, (weight, mean, values, vectors)), strict=True):
            away = (x - m) @ u
            density += w * np.exp(-0.5 * (away**2 / v).sum(1)) / np.sqrt(np.prod(2 * np.pi * v))
        likelihood = np.log(density).mean()
        assert likelihood >= before - 1e-5
        before, share = likelihood, e_step(x, weight, mean, values, vectors)


def test_the_start_shares_by_distance_and_prefers_far_centres():
    """Two clusters: the centres are never both in one; each point belongs mostly to the centre in its own cluster."""
    x = (np.repeat([[0.0, 0.0], [9.0, 0.0]], 10, axis=0) + 0.01 * RNG.normal(size=(20, 2))).astype("f")
    start = jit(lambda key: mixture_start(key, jnp.asarray(x), 2))
    for seed in range(5):
        share = np.asarray(start(jax.random.PRNGKey(seed)))
        np.testing.assert_allclose(share.sum(1), 1.0, rtol=1e-5)
        first = share[:10].argmax(1)
        assert (first == first[0]).all() and (share[10:].argmax(1) == 1 - first[0]).all()


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-3])
def test_coinciding_samples_have_a_finite_low_entropy(spread):
    """Not below that of a Gaussian with the floor's variance, and above it by log 2 at most while the spread is nothing."""
    a = np.full((2, 6, 3), 0.7, "f") + np.float32(spread) * RNG.normal(size=(2, 6, 3)).astype("f")
    got, least = float(ENTROPY(KEY, a)), gaussian_entropy(1e-6 * np.eye(3))
    assert least - 1e-3 <= got <= least + np.log(2) + (1e-3 if spread < 1e-3 else 2.0)


def test_samples_in_a_plane_do_not_break_the_fit():
    """Perfectly correlated components of large spread: the covariance has eigenvalues that rounding makes negative."""
    a = np.repeat(np.sign(RNG.normal(size=(2, 50, 1))), 20, axis=-1).astype("f")
    assert np.isfinite(jit(lambda a: mixture_entropy(KEY, a, 3, 10, 1e-6))(a))


BOXES = arrays(np.int8, (2, 6, 3), elements=st.integers(-16, 16))


@settings(max_examples=40, deadline=None)
@given(BOXES, st.integers(-2, 2))
def test_the_entropy_is_finite_deterministic_and_blind_to_a_shift(a, shift):
    """Points in sixteenths, ties among them; shifts that float32 adds exactly."""
    a = a.astype("f") / 16
    got = float(ENTROPY(KEY, a))
    assert np.isfinite(got) and got == float(ENTROPY(KEY, a))
    # at most that of one Gaussian for all, plus log 2 for the choice of a component
    whole = np.mean([gaussian_entropy(np.cov(x.astype(np.float64).T, bias=True) + 1e-6 * np.eye(3)) for x in a])
    assert got <= whole + np.log(2) + 0.02
    moved = float(ENTROPY(KEY, a + np.float32(shift)))
    assert np.isfinite(moved)


# as part of an algorithm


def mixture(**options):
    return component("estimator", "mixture", **{"components": 2, "samples": 6, "states": 4, "iterations": 5} | options)


def estimated(estimator, states):
    """The estimate in these states [n, O], and its draws."""
    # the samples of a generator, as those of no other policy compile quickly
    b, alg = (
        Builder("estimate"),
        algorithm(improve("reparameterized"), policy=policy(component("backbone", "generator", noise=3))),
    )
    params = b.input("state.policy", TREE)
    ctx = Context(b, alg, SIZES, {"policy": params}, b.input("key", Type(dtype="u32")))
    value = estimator.entropy(ctx, b.input("s", Type(("batch", "obs"))))
    assert value.axes == () and not b.depends(value, params)
    b.output("entropy", value)
    return Seen(b.finish(), {"state.policy": random_state(alg)["policy"], "key": KEY, "s": states})


def test_it_draws_from_the_policy_in_the_first_states_and_stops_gradients():
    states = batch(2)["s"]
    seen = estimated(mixture(), states)
    assert seen["samples"].shape == (4, 6, 2)
    key = seen["mixture.key"]
    expected = jit(lambda key, a: mixture_entropy(key, a, 2, 5, 1e-6))(key, seen["samples"])
    assert float(seen.outputs["entropy"]) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
    assert estimated(mixture(), states[:3])["samples"].shape == (3, 6, 2)


def test_without_a_number_of_states_it_covers_the_whole_batch():
    states = batch(0)["s"]
    whole, counted = (estimated(mixture(states=count, samples=3), states) for count in (None, len(states)))
    assert whole["samples"].shape == (len(states), 3, 2)
    assert float(whole.outputs["entropy"]) == float(counted.outputs["entropy"])


def dacer():
    """A diffusion policy with exploration noise whose scale is learned in every second update."""
    target = Formula(ew("mul", -0.9, var("A")))
    scale = learned("noise_scale", target_entropy=target, entropy=mixture())
    noise = Drawn(value=component("action", "noise", scale=scalar("noise_scale")))
    return algorithm(
        improve("reparameterized"),
        order=seq(both("critic", "policy", every(2, "noise_scale")), "targets"),
        parameters=(scale,),
        policy=policy(component("backbone", "generator", noise=3)),
        act=(noise, Drawn(value=component("action", "sample"))),
        name="dacer",
    )


def test_the_entropy_of_noisy_actions_is_that_of_the_samples_with_noise():
    """The estimator sees the samples plus its noise, bounded as actions are; where all samples coincide, the noise alone."""
    b = Builder("noisy")
    alg = algorithm(improve("reparameterized"), policy=policy(sampler=sampler("ddim")))
    ctx = Context(
        b, alg, SIZES, {"policy": b.input("state.policy", TREE)}, b.input("key", Type(dtype="u32")), owner="policy"
    )
    estimator = mixture(noise=scalar("scale", 0.4))
    b.output("entropy", estimator.entropy(ctx, b.input("s", Type(("batch", "obs")))))
    inputs = {"state.policy": random_state(alg)["policy"], "key": KEY, "hyper.scale": np.float32(0.4)}
    inputs |= {"hyper.policy.sampler.clip": np.float32(1.0)}
    seen = Seen(b.finish(), inputs | {"s": batch(2)["s"]})
    noisy = np.clip(np.asarray(seen["samples"]) + 0.4 * np.asarray(seen["samples_noise"]), -1, 1)
    np.testing.assert_allclose(seen["noisy_samples"], noisy, atol=1e-6)
    expected = jit(lambda key, a: mixture_entropy(key, a, 2, 5, 1e-6))(seen["mixture.key"], jnp.asarray(noisy))
    assert float(seen.outputs["entropy"]) == pytest.approx(float(expected), rel=1e-3, abs=1e-3)


def test_a_parameter_in_a_stage_of_its_own_moves_only_when_due():
    alg = dacer()
    program, state = program_of(alg), random_state(alg)
    group = "param.noise_scale"
    for update in range(3):
        before = {name: state[name] for name in (group, f"{group}_opt")}
        out, metrics, _ = program.step(jax.tree.map(jnp.array, state), batch(update), program.hyper)
        state, due = kept(out), update % 2 == 1
        assert same({name: state[name] for name in before}, before) == (not due)
        assert metrics["ran.entropy"] == due and (metrics["entropy"] != 0) == due
        if due:
            rises = float(metrics["entropy"]) < -0.9 * SIZES.action
            assert (float(state[group]) > float(before[group])) == rises
        assert float(metrics["noise_scale"]) == pytest.approx(float(np.exp(before[group])), rel=1e-5)


def test_the_estimate_is_computed_inside_the_condition_alone():
    graph = graphs_of(dacer())[0]["step"]
    steps = schedule(graph)
    inside = {step.node.name for c in steps if isinstance(c, Choose) for step in c.body if isinstance(step, Compute)}
    outside = {step.node.name for step in steps if isinstance(step, Compute)}
    estimate = {"noise_scale.samples", "noise_scale.entropy", "noise_scale.states"}
    assert estimate <= inside and not estimate & outside
