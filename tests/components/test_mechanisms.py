"""Each mechanism's loss and target on a whole tiny problem, against loops in float64.

The random draws (times, noise, initial noise of samplers) are read from the interpreted graph; everything that is computed
from them is computed again, one state, particle and ensemble member at a time.
"""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest

from flowrl_dsl.components.common import take_best, weighted_squared_error
from flowrl_dsl.components.mechanisms.likelihood_ratio import clipped_ratio_loss
from flowrl_dsl.components.mechanisms.weighted_regression import divergence_from_uniform
from flowrl_dsl.components.random_numbers import gaussian_noise
from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.formula import Constant, Formula
from tests import reference
from tests.helpers import (
    A_T,
    BATCH,
    PARTICLES,
    TEMPERATURE,
    A,
    S,
    algorithm,
    along,
    batch,
    component,
    drawn,
    ew,
    grad,
    improve,
    loss_of,
    net,
    policy,
    q_score,
    random_state,
    red,
    sampler,
    scalar,
    var,
)

DATA = batch(3)
ROWS = reference.f64(DATA)
GRID = reference.times(1e-3, 0.9946, 2)


def params_of(state):
    return reference.f64({k: v for k, v in state.items() if k != "key" and not k.endswith("_opt")})


def run(alg, gradient=False, seed=4):
    state = random_state(alg, seed)
    return loss_of(alg, state, DATA, gradient=gradient), params_of(state)


def f64(x):
    return np.asarray(x, np.float64)


def check_noised(seen, scope, a):
    """t in range, alpha and sigma of it, a_t = alpha a + sigma noise; returns (t, noise, a_t)."""
    t, noise, alpha, sigma, a_t = (f64(seen[f"{scope}{name}"]) for name in ("t", "noise", "alpha", "sigma", "a_t"))
    assert t.shape == a.shape[:-1] and noise.shape == a.shape
    assert t.min() >= 1e-3 and t.max() <= 0.9946 and len(np.unique(t)) == t.size and len(np.unique(noise)) == noise.size
    for i in np.ndindex(t.shape):
        kept = reference.cosine_alpha(t[i])
        assert alpha[i] == pytest.approx(kept, rel=1e-4, abs=1e-5)
        assert sigma[i] == pytest.approx(np.sqrt(1 - kept**2), rel=1e-3)
        np.testing.assert_allclose(a_t[i], kept * a[i] + np.sqrt(1 - kept**2) * noise[i], rtol=1e-3, atol=1e-4)
    return t, noise, a_t


def check_proposals(seen, params, kind="ddim"):
    """The drawn proposals equal the sampler's loop from the same initial noise."""
    prior, got = f64(seen["proposals_prior"]), f64(seen["proposals"])
    for i, n in np.ndindex(prior.shape[:2]):
        expected = reference.ddim(
            lambda a, t, i=i: reference.denoiser(params, a, t, ROWS["s"][i]), reference.cosine_alpha, prior[i, n], GRID, 1.0
        )
        np.testing.assert_allclose(got[i, n], expected, rtol=2e-3, atol=2e-3)
    return got


def denoising_error(params, a_t, t, s, noise, bound=np.inf):
    return np.minimum((reference.denoiser(params, a_t, t, s) - noise) ** 2, bound).mean()


def mean_q(params, s, a):
    return reference.q_values(params, s, a).mean()


# score matching


def test_score_matching_regresses_to_the_normalised_gradient_of_the_target_critic():
    seen, p = run(algorithm())
    t, _, a_t = check_noised(seen, "", ROWS["a"])
    g = np.array([
        reference.gradient(lambda x, i=i: mean_q(p["critic_target"], ROWS["s"][i], x), a_t[i]) for i in range(BATCH)
    ])  # fmt: skip
    total = 0.0
    for i in range(BATCH):
        sigma = np.sqrt(1 - reference.cosine_alpha(t[i]) ** 2)
        target = -sigma * g[i] / (0.5 * np.abs(g).mean())
        np.testing.assert_allclose(seen["target"][i], target, rtol=2e-3, atol=1e-4)
        total += ((reference.denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i]) - target) ** 2).sum()
    assert float(seen.outputs["loss"]) == pytest.approx(total / g.size, rel=1e-3)


def test_score_matching_with_the_exact_score_of_a_gaussian_has_the_linear_solution():
    """Q = -|a - m|^2 / 2 would give grad Q(a_t) = m - a_t; here by a formula: the target is sigma (a_t - 0.25) / tau."""
    target = ew("div", ew("mul", var("sigma", "batch"), ew("sub", A_T, 0.25)), TEMPERATURE)
    seen, _ = run(algorithm(improve("score_matching", target=Formula(target))))
    expected = f64(seen["sigma"])[:, None] * (f64(seen["a_t"]) - 0.25) / 0.5
    np.testing.assert_allclose(seen["target"], expected, rtol=1e-5, atol=1e-6)


def test_a_target_with_fewer_axes_is_broadcast_by_name():
    """A number for each transition is the same for all components of its action, even where the sizes would not fit."""
    seen, p = run(algorithm(improve("score_matching", target=Formula(var("sigma", "batch")))))
    t, _, a_t = check_noised(seen, "", ROWS["a"])
    errors = [reference.denoiser(p["policy"], a_t[i], t[i], ROWS["s"][i]) - f64(seen["sigma"])[i] for i in range(BATCH)]
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(np.square(errors)), rel=1e-3)


def test_the_target_of_score_matching_is_a_constant():
    """Regressing to twice the own prediction: eps - 2 eps, the gradient flowing through the first eps alone."""
    twice = ew("mul", 2.0, net("eps", S, A_T, var("t", "batch")))
    away, _ = run(algorithm(improve("score_matching", target=Formula(twice))), gradient=True)
    zero, _ = run(algorithm(improve("score_matching", target=Formula(Constant(0.0)))), gradient=True)
    assert float(away.outputs["loss"]) == pytest.approx(float(zero.outputs["loss"]), rel=1e-5)
    for x, y in zip(jax.tree.leaves(away.outputs["gradient"]), jax.tree.leaves(zero.outputs["gradient"]), strict=True):
        np.testing.assert_allclose(x, -y, rtol=1e-3, atol=1e-5)


# weighted regression


def weighted(**options):
    kind = {"sampler": sampler("ddim"), "old": component("target", "copy", every=2)}
    return algorithm(improve("weighted_regression", particles=drawn(4, "old_policy"), **options), policy=policy(**kind))


@pytest.mark.parametrize("bound", [None, 0.8])
def test_weighted_regression_equals_the_loop(bound):
    """Proposals keep what their noise adds to them, unless the block bounds them."""
    options = {} if bound is None else {"bound": scalar("limit", bound)}
    seen, p = run(weighted(noise=scalar("spread", 0.3), clip_error=scalar("bound", 0.4), **options))
    proposals = check_proposals(seen, p["old_policy"])
    noise = f64(seen["proposal_noise"])
    spread = proposals + 0.3 * noise
    np.testing.assert_allclose(seen["spread_proposals"], spread, atol=1e-5)
    assert np.abs(spread).max() > 1
    if bound is not None:
        spread = np.clip(spread, -bound, bound)
        np.testing.assert_allclose(seen["bounded_proposals"], spread, atol=1e-5)
    t, eps, a_t = check_noised(seen, "", spread)
    total, divergence, bounded = 0.0, 0.0, 0
    for i in range(BATCH):
        w = reference.softmax(np.array([mean_q(p["critic"], ROWS["s"][i], spread[i, n]) for n in range(4)]) / 0.5)
        np.testing.assert_allclose(seen["weight"][i], w, rtol=1e-3, atol=1e-5)
        for n in range(4):
            total += w[n] * denoising_error(p["policy"], a_t[i, n], t[i, n], ROWS["s"][i], eps[i, n], 0.4)
            bounded += (reference.denoiser(p["policy"], a_t[i, n], t[i, n], ROWS["s"][i]) - eps[i, n]) ** 2 > 0.4
        entropy = -sum(x * np.log(x) for x in w)
        divergence += np.log(4) - entropy
    assert np.sum(bounded) > 0, "the bound never holds: the test says nothing about it"
    assert float(seen.outputs["loss"]) == pytest.approx(total / BATCH, rel=1e-3)
    assert float(seen.outputs["metric.kl"]) == pytest.approx(divergence / BATCH, rel=5e-3, abs=1e-5)


def test_equal_weights_of_one_over_n_are_plain_regression_on_the_proposals():
    """``N`` is the number of particles; a weight with fewer axes is the same for all of them."""
    seen, p = run(weighted(formula=ew("div", 1.0, var("N"))))
    t, eps, a_t = check_noised(seen, "", f64(seen["proposals"]))
    errors = [denoising_error(p["policy"], a_t[i], t[i], ROWS["s"][i[0]], eps[i]) for i in np.ndindex(BATCH, 4)]
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(errors), rel=1e-3)
    assert float(seen.outputs["metric.kl"]) == pytest.approx(0.0, abs=1e-6)


def test_no_gradient_flows_through_weights_or_proposals():
    """With proposals and weights of the policy itself, the gradient is that of the same problem with both held fixed."""
    block = improve("weighted_regression", formula=ew("exp", red("mean", net("Q", S, PARTICLES), "ensemble")))
    seen, p = run(algorithm(block, policy=policy(sampler=sampler("ddim"))), gradient=True)
    t, eps, a_t, w = (f64(seen[name]) for name in ("t", "noise", "a_t", "weight"))

    def loss(bias):
        q = {**p["policy"], "trunk": {**p["policy"]["trunk"], "bias": bias}}
        rows = [w[i] * denoising_error(q, a_t[i], t[i], ROWS["s"][i[0]], eps[i]) for i in np.ndindex(BATCH, 4)]
        return sum(rows) / BATCH

    expected = reference.gradient(loss, p["policy"]["trunk"]["bias"])
    np.testing.assert_allclose(seen.outputs["gradient"]["trunk"]["bias"], expected, rtol=1e-2, atol=1e-4)


def test_negative_weights_have_no_share_in_the_divergence():
    w = np.array([[0.75, 0.75, -0.5, 0.0], [2.0, -1.0, 0.0, 0.0]], "f")
    assert float(divergence_from_uniform(w)) == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-5)
    assert float(divergence_from_uniform(w)) == float(divergence_from_uniform(np.maximum(w, 0)))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_divergence_from_uniform_at_its_ends(n):
    uniform, single = np.full((3, n), 0.2, "f"), np.eye(n, dtype="f")[:1] * 5
    assert float(divergence_from_uniform(uniform)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence_from_uniform(single)) == pytest.approx(np.log(n), abs=1e-6)


def test_the_divergence_is_log_n_minus_entropy_and_ignores_the_scale_of_weights():
    w = np.random.default_rng(0).exponential(size=(5, 6))
    p = w / w.sum(1, keepdims=True)
    expected = np.mean([np.log(6) + sum(x * np.log(x) for x in row) for row in p])
    for scale in (1e-6, 1.0, 1e6):
        assert float(divergence_from_uniform((scale * w).astype("f"))) == pytest.approx(expected, rel=1e-3)
    assert np.isfinite(divergence_from_uniform(np.zeros((2, 3), "f")))


def test_weighted_error_bounds_each_component_and_sums_over_particles():
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2)), rng.uniform(size=(3, 4))
    total = 0.0
    for i in range(3):
        for n in range(4):
            total += w[i, n] * sum(min((x[i, n, k] - y[i, n, k]) ** 2, 0.5) for k in range(2)) / 2
    assert float(weighted_squared_error(x, y, w, 0.5)) == pytest.approx(total / 3, rel=1e-5)
    one = sum(w[i, 0] * ((x[i, 0] - y[i, 0]) ** 2).mean() for i in range(3)) / 3
    assert float(weighted_squared_error(x[:, 0], y[:, 0], w[:, 0])) == pytest.approx(one, rel=1e-5)


# selection


def test_selection_imitates_the_best_proposal_and_uniform_actions():
    score = var("score", "batch", "particle")
    advantage = red("max", ew("sub", score, red("mean", score, "particle")), "particle")
    block = improve("selection", uniform=3, formula=advantage)
    seen, p = run(algorithm(block, policy=policy(sampler=sampler("ddim"))))
    proposals = check_proposals(seen, p["policy"])
    best, weight = f64(seen["best"]), f64(seen["weight"])
    for i in range(BATCH):
        q = [mean_q(p["critic"], ROWS["s"][i], proposals[i, n]) for n in range(4)]
        np.testing.assert_array_equal(best[i], proposals[i, int(np.argmax(q))])
        assert weight[i] == pytest.approx(max(q) - np.mean(q), rel=1e-2, abs=1e-5)
    t, eps, a_t = check_noised(seen, "", best)
    uniform = f64(seen["uniform"])
    assert uniform.shape == (BATCH, 3, 2) and uniform.min() < -0.5 and uniform.max() > 0.5 and np.abs(uniform).max() <= 1
    t_u, eps_u, a_t_u = check_noised(seen, "uniform.", uniform)
    of_best = of_uniform = 0.0
    for i in range(BATCH):
        of_best += weight[i] * denoising_error(p["policy"], a_t[i], t[i], ROWS["s"][i], eps[i])
        for m in range(3):
            of_uniform += 0.25 * weight[i] * denoising_error(p["policy"], a_t_u[i, m], t_u[i, m], ROWS["s"][i], eps_u[i, m])
    assert float(seen.outputs["metric.best_loss"]) == pytest.approx(of_best / BATCH, rel=1e-3)
    assert float(seen.outputs["metric.uniform_loss"]) == pytest.approx(of_uniform / BATCH, rel=1e-3)
    assert float(seen.outputs["loss"]) == pytest.approx((of_best + of_uniform) / BATCH, rel=1e-3)
    assert float(seen.outputs["metric.selection_weight"]) == pytest.approx(weight.mean(), rel=1e-4)


def test_selection_knows_how_many_particles_there_are():
    block = improve("selection", formula=ew("mul", var("N"), var("A")))
    seen, _ = run(algorithm(block, policy=policy(sampler=sampler("ddim"))))
    assert float(seen.outputs["metric.selection_weight"]) == 4 * 2


def test_the_first_of_several_best_is_taken():
    a = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(take_best(a, np.array([[1.0, 5.0, 5.0], [0.0, -1.0, 0.0]])), [a[0, 1], a[1, 0]])


# reparameterized


def changed(tree, path, value):
    """A copy of nested dictionaries with one leaf replaced."""
    head, *rest = path
    return {**tree, head: changed(tree[head], rest, value) if rest else value}


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@cache
def backpropagated():
    return run(algorithm(improve("reparameterized"), policy=policy(sampler=sampler("ddpm", 3, clip=2.0))), gradient=True)


@pytest.mark.parametrize(
    "path", [("trunk", "head", "bias"), ("time", "frequencies"), ("obs", "Dense_0", "bias"), ("trunk", "bias")]
)
def test_the_gradient_goes_through_every_denoising_step(path):
    seen, p = backpropagated()
    prior, grid = f64(seen["action_prior"]), reference.times(1e-3, 0.9946, 3)
    noises = f64([jax.random.normal(k, prior.shape) for k in jax.random.split(seen["action_steps.key"], 3)])

    def loss(params):
        total = 0.0
        for i in range(BATCH):
            eps = lambda a, t, i=i: reference.denoiser(params, a, t, ROWS["s"][i])  # noqa: E731
            a = reference.ddpm(eps, reference.cosine_alpha, prior[i], noises[:, i], grid, 2.0)
            total -= reference.q_values(p["critic"], ROWS["s"][i], a).min() / BATCH
        return total

    assert float(seen.outputs["loss"]) == pytest.approx(loss(p["policy"]), rel=2e-3)
    expected = reference.gradient(lambda x: loss(changed(p["policy"], path, x)), at(p["policy"], path), 1e-6)
    got = at(seen.outputs["gradient"], path)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(got, expected, rtol=3e-2, atol=2e-3 * np.abs(expected).max())


def test_reparameterized_tanh_gaussian_with_entropy():
    objective = ew("sub", red("min", net("Q", S, A), "ensemble"), ew("mul", TEMPERATURE, net("log_prob", S, A)))
    alg = algorithm(
        improve("reparameterized", objective=Formula(objective)), policy=policy(component("backbone", "tanh_gaussian"))
    )
    seen, p = run(alg, gradient=True)
    noise = f64(seen["action_noise"])

    def both(params):
        total, entropy = 0.0, 0.0
        for i in range(BATCH):
            out = reference.mlp(params, [ROWS["s"][i]], ["s"], "mish")
            mean, log_std = out[:2], -5 + 7 / (1 + np.exp(-2 * out[2:]))
            u = mean + np.exp(log_std) * noise[i]
            log_prob = np.sum(-0.5 * noise[i] ** 2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - np.tanh(u) ** 2))
            total -= (reference.q_values(p["critic"], ROWS["s"][i], np.tanh(u)).min() - 0.5 * log_prob) / BATCH
            entropy -= log_prob / BATCH
        return total, entropy

    total, entropy = both(p["policy"])
    assert float(seen.outputs["loss"]) == pytest.approx(total, rel=1e-3)
    assert float(seen.outputs["metric.entropy"]) == pytest.approx(entropy, rel=1e-3)
    path = ("head", "bias")
    expected = reference.gradient(lambda x: both(changed(p["policy"], path, x))[0], at(p["policy"], path))
    np.testing.assert_allclose(at(seen.outputs["gradient"], path), expected, rtol=1e-2, atol=1e-3)


def test_an_objective_may_hold_a_gradient_of_its_own():
    """Second derivatives: maximise minus the squared size of grad Q at the policy's action."""
    g = grad(red("mean", net("Q", S, A), "ensemble"), A)
    objective = ew("neg", red("sum", ew("square", g), "action"))
    alg = algorithm(
        improve("reparameterized", objective=Formula(objective)), policy=policy(component("backbone", "deterministic"))
    )
    seen, p = run(alg, gradient=True)

    def loss(bias):
        params, total = changed(p["policy"], ("head", "bias"), bias), 0.0
        for i in range(BATCH):
            a = np.tanh(reference.mlp(params, [ROWS["s"][i]], ["s"], "mish"))
            slope = reference.gradient(lambda x, i=i: mean_q(p["critic"], ROWS["s"][i], x), a, 1e-4)
            total += np.sum(slope**2) / BATCH
        return total

    assert float(seen.outputs["loss"]) == pytest.approx(loss(p["policy"]["head"]["bias"]), rel=1e-3)
    expected = reference.gradient(loss, p["policy"]["head"]["bias"], 1e-4)
    np.testing.assert_allclose(seen.outputs["gradient"]["head"]["bias"], expected, rtol=2e-2, atol=1e-3)


# drift


def generator(**options):
    return policy(component("backbone", "generator", noise=4), **options)


def test_drift_equals_the_loop():
    """Target, loss, and the gradient -2 V of each sample carried back through the network, clipped targets among them."""
    seen, p = run(algorithm(improve("drift"), policy=generator()), gradient=True)
    a, goal = f64(seen["samples"]), f64(seen["goal"])
    assert a.shape == (BATCH, 4, 2) and np.abs(a).max() <= 1
    g, errors = np.zeros(a.shape), []
    for i, n in np.ndindex(BATCH, 4):
        g[i, n] = reference.gradient(lambda x, i=i: mean_q(p["critic"], ROWS["s"][i], x), a[i, n])
        expected = [min(max(a[i, n, k] + g[i, n, k], -1.0), 1.0) for k in range(2)]
        np.testing.assert_allclose(goal[i, n], expected, rtol=1e-3, atol=1e-4)
        errors += [(a[i, n, k] - expected[k]) ** 2 for k in range(2)]
    assert 0 < np.sum(np.abs(goal) == 1) < goal.size, "the bound never holds, or always"
    assert float(seen.outputs["loss"]) == pytest.approx(np.mean(errors), rel=1e-3)
    z = f64(gaussian_noise(seen["samples.key"], DATA["s"], 4, 4))

    def loss(bias):
        q, total = changed(p["policy"], ("head", "bias"), bias), 0.0
        for i in np.ndindex(BATCH, 4):
            raw = reference.mlp(q, [z[i], ROWS["s"][i[0]]], ["z", "s"], "mish")
            start = reference.mlp(p["policy"], [z[i], ROWS["s"][i[0]]], ["z", "s"], "mish")
            total += np.sum((a[i] + (raw - start) - goal[i]) ** 2)  # straight through: as if nothing had been clipped
        return total / a.size

    expected = reference.gradient(loss, p["policy"]["head"]["bias"])
    np.testing.assert_allclose(seen.outputs["gradient"]["head"]["bias"], expected, rtol=2e-2, atol=1e-3)


def test_a_drift_of_zero_moves_nothing_and_a_field_with_fewer_axes_is_broadcast():
    seen, _ = run(algorithm(improve("drift", field=Formula(Constant(0.0))), policy=generator()), gradient=True)
    assert float(seen.outputs["loss"]) == 0.0
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(seen.outputs["gradient"]))
    field = ew("mul", 0.25, ew("div", var("N"), 4.0))
    seen, _ = run(algorithm(improve("drift", field=Formula(field)), policy=generator()))
    np.testing.assert_allclose(seen["goal"], np.minimum(f64(seen["samples"]) + 0.25, 1.0), atol=1e-6)


@pytest.mark.parametrize("particles", [1, 3])
def test_the_field_of_driftpo_equals_the_loop(particles):
    """V = strength |V-| up - V-, shortened to the reach, V- the shift of each sample towards others that are not trained."""
    sets = ["critic.network=mlp([8], activation=tanh)", "policy.network=mlp([8], activation=mish)", "drift.others=5"]
    sets += [f"drift.particles={particles}", "policy.backbone.noise=4", "strength=2", "reach=0.3"]
    alg = resolve_or_raise("driftpo", None, sets)[0]
    state = random_state(alg, 2)
    seen, p = loss_of(alg, state, DATA, gradient=True), params_of(state)
    a, others, field, short = f64(seen["samples"]), f64(seen["others"]), f64(seen["constant_field"]), 0
    assert others.shape == (BATCH, 5, 2) and seen.node("others").type.axes == ("batch", "other", "action")
    for i, n in np.ndindex(BATCH, particles):
        dense = reference.mean_shift(a[i, n], others[i], 0.05)
        g = reference.gradient(lambda x, i=i: mean_q(p["critic"], ROWS["s"][i], x), a[i, n])
        v = 2 * np.sqrt(np.sum(dense**2)) * g / np.sqrt(np.sum(g**2)) - dense
        size = np.sqrt(np.sum(v**2))
        short += size > 0.3
        np.testing.assert_allclose(field[i, n], v * min(1.0, 0.3 / size), rtol=2e-3, atol=1e-4)
    assert 0 < short < BATCH * particles, "the reach never matters, or always"
    z = f64(gaussian_noise(seen["others.key"], DATA["s"], 4, 5))
    for i, n in np.ndindex(BATCH, 5):
        drawn_again = np.clip(reference.mlp(p["policy"], [z[i, n], ROWS["s"][i]], ["z", "s"], "mish"), -1, 1)
        np.testing.assert_allclose(others[i, n], drawn_again, rtol=1e-3, atol=1e-4)


def test_no_gradient_flows_through_the_others():
    """A field of the others alone: the gradient is that of the samples moved by a constant."""
    field = Formula(red("mean", var("others", "batch", "other", "action"), "other"))
    seen, p = run(algorithm(improve("drift", field=field, others=3), policy=generator()), gradient=True)
    goal, z = f64(seen["goal"]), f64(gaussian_noise(seen["samples.key"], DATA["s"], 4, 4))
    np.testing.assert_allclose(goal, np.clip(f64(seen["samples"]) + f64(seen["others"]).mean(1)[:, None], -1, 1), atol=1e-5)

    def loss(bias):
        q, total = changed(p["policy"], ("head", "bias"), bias), 0.0
        for i in np.ndindex(BATCH, 4):
            raw = reference.mlp(q, [z[i], ROWS["s"][i[0]]], ["z", "s"], "mish")
            start = reference.mlp(p["policy"], [z[i], ROWS["s"][i[0]]], ["z", "s"], "mish")
            total += np.sum((f64(seen["samples"])[i] + (raw - start) - goal[i]) ** 2)
        return total / goal.size

    expected = reference.gradient(loss, p["policy"]["head"]["bias"])
    np.testing.assert_allclose(seen.outputs["gradient"]["head"]["bias"], expected, rtol=2e-2, atol=1e-3)


# likelihood ratio


def gaussian_log_prob(params, s, a):
    out = reference.mlp(params, [s], ["s"], "mish")
    mean, log_std = out[:2], -5 + 7 / (1 + np.exp(-2 * out[2:]))
    u = np.arctanh(np.clip(a, -1 + 1e-6, 1 - 1e-6))
    normal = -0.5 * ((u - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    return np.sum(normal - np.log(1 - np.tanh(u) ** 2))


def likelihood(source, **options):
    backbone = component("backbone", "tanh_gaussian")
    kind = {"old": component("target", "copy", every=2)}
    return algorithm(improve("likelihood_ratio", particles=drawn(4, source), **options), policy=policy(backbone, **kind))


def test_likelihood_ratio_equals_the_loop():
    alg = likelihood("old_policy")
    state = random_state(alg, 4)
    # an old policy near the new one, so that some ratios lie within the bounds
    wave = jax.tree.map(lambda x: 0.02 * np.cos(np.arange(x.size, dtype="f")).reshape(x.shape), state["policy"])
    state["old_policy"] = jax.tree.map(np.add, state["policy"], wave)
    seen = loss_of(alg, state, DATA)
    p = params_of(state)
    a = f64(seen["actions"])
    terms, clipped = [], 0
    for i in range(BATCH):
        q = [mean_q(p["critic"], ROWS["s"][i], a[i, n]) for n in range(4)]
        for n in range(4):
            advantage = q[n] - np.mean(q)
            new, old = (gaussian_log_prob(p[name], ROWS["s"][i], a[i, n]) for name in ("policy", "old_policy"))
            r = np.exp(new - old)
            clipped += not 0.8 < r < 1.2
            terms.append(min(r * advantage, np.clip(r, 0.8, 1.2) * advantage))
    assert 0 < clipped < len(terms)
    assert float(seen.outputs["loss"]) == pytest.approx(-np.mean(terms), rel=2e-2, abs=1e-4)


def test_against_itself_the_ratio_is_one_and_its_gradient_the_policy_gradient():
    seen, p = run(likelihood("policy"), gradient=True)
    a = f64(seen["actions"])
    advantage = f64(seen["advantage"])
    np.testing.assert_allclose(float(seen.outputs["loss"]), -advantage.mean(), atol=1e-6)

    def surrogate(bias):
        params = changed(p["policy"], ("head", "bias"), bias)
        rows = [advantage[i] * gaussian_log_prob(params, ROWS["s"][i[0]], a[i]) for i in np.ndindex(BATCH, 4)]
        return -np.mean(rows)

    expected = reference.gradient(surrogate, p["policy"]["head"]["bias"])
    np.testing.assert_allclose(seen.outputs["gradient"]["head"]["bias"], expected, rtol=3e-2, atol=1e-3)


def test_an_advantage_with_fewer_axes_is_broadcast_by_name():
    """One number for each state, here its sum of observations, weighs all its particles alike."""
    seen, _ = run(likelihood("policy", advantage=Formula(red("sum", S, "obs"))))
    assert float(seen.outputs["loss"]) == pytest.approx(-ROWS["s"].sum(1).mean(), rel=1e-4)


@pytest.mark.parametrize("advantage, log_ratio, slope", [
    (1.0, 0.1, -np.exp(0.1)), (1.0, 0.5, 0.0), (1.0, -0.5, -np.exp(-0.5)),
    (-1.0, -0.1, np.exp(-0.1)), (-1.0, -0.5, 0.0), (-1.0, 0.5, np.exp(0.5)),
])  # fmt: skip
def test_the_gradient_stops_where_the_ratio_has_moved_far_enough(advantage, log_ratio, slope):
    got = jax.grad(lambda x: clipped_ratio_loss(x, 0.0, advantage, 0.2))(log_ratio)
    assert float(got) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("advantage", [0.0, 1.0])
def test_a_ratio_that_overflows_leaves_loss_and_gradient_finite(advantage):
    """An old policy far from the new one: the bound holds, and an action without advantage has no say."""
    value, slope = jax.value_and_grad(lambda x: clipped_ratio_loss(x, -100.0, advantage, 0.2))(100.0)
    assert np.isfinite(value) and np.isfinite(slope)


def test_q_score_reads_the_critic_it_names():
    online, _ = run(algorithm(improve("score_matching", target=q_score("Q"))))
    target, _ = run(algorithm(improve("score_matching", target=q_score("Q_target"))))
    assert np.abs(f64(online["target"]) - f64(target["target"])).max() > 1e-2


def test_weights_along_an_axis_sum_to_one():
    w = along("softmax", ew("div", red("min", net("Q", S, PARTICLES), "ensemble"), TEMPERATURE), "particle")
    seen, _ = run(weighted(formula=w))
    np.testing.assert_allclose(np.sum(seen["weight"], axis=1), 1.0, rtol=1e-5)
