"""Critics of distributions against their equations: loops in float64, closed forms, and what their losses settle at."""

from __future__ import annotations

from functools import partial
from itertools import product
from math import erf, exp, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.critics.gaussian import (
    averaged_spread,
    gaussian_return_loss,
    no_spread,
    random_return,
    return_mean,
    return_std,
)
from flowrl_dsl.components.critics.hl_gauss import expected_bin, histogram_loss, share_outside, smoothed_histogram
from flowrl_dsl.components.critics.quantile import mean_quantile, quantile_huber_loss, shifted_quantiles
from flowrl_dsl.components.ensembles import mean_value_of, of_lowest_member
from flowrl_dsl.components.networks.mlp import mlp
from flowrl_dsl.graph.nodes import Graph, ancestors, region
from flowrl_dsl.lowering.program import Program
from tests import reference
from tests.helpers import (
    A_NEXT,
    QUICK,
    S_NEXT,
    Seen,
    algorithm,
    backup,
    batch,
    component,
    critic,
    graphs_of,
    improve,
    net,
    noisy,
    policy,
    random_params,
    random_state,
    red,
    scalar,
)
from tests.helpers import mlp as mlp_network

RNG = np.random.default_rng(7)
quick = partial(jax.jit, compiler_options=QUICK)
E, B = 3, 5


def softplus(x):
    return np.logaddexp(0.0, x)


def mean_or_sum(losses, reduction):
    return sum(losses) / (len(losses) if reduction == "mean" else 1)


def lowest(q, row):
    """The first of the members with the lowest value."""
    best = 0
    for e in range(1, len(q)):
        best = e if q[e][row] < q[best][row] else best
    return best


def member(tree, e):
    return {k: member(v, e) for k, v in tree.items()} if isinstance(tree, dict) else tree[e]


# what follows the judging copy's member with the lowest value


def test_the_lowest_member_speaks_for_each_row_and_the_first_one_among_equals():
    rng = np.random.default_rng(1)
    q = np.array([[1.0, 2.0, 0.0, 3.0], [0.5, 2.0, 1.0, 3.0], [0.7, 1.0, 0.0, 3.0]])
    outputs = rng.normal(size=(3, 4, 6))
    got = quick(of_lowest_member)(jnp.asarray(outputs), jnp.asarray(q))
    np.testing.assert_allclose(got, [outputs[1, 0], outputs[2, 1], outputs[0, 2], outputs[0, 3]], rtol=1e-6)
    np.testing.assert_allclose(of_lowest_member(jnp.asarray(outputs[..., 0]), jnp.asarray(q)), got[:, 0], rtol=1e-6)


def test_the_energy_is_the_mean_over_members_of_what_they_stand_for():
    rng = np.random.default_rng(2)
    network = mlp((("s", 3), ("a", 2)), (4,), 6, "tanh", False)
    one = random_params(network, {"s": jnp.zeros((1, 3)), "a": jnp.zeros((1, 2))})
    params = jax.tree.map(lambda leaf: np.stack([leaf, -leaf]), one)
    s, a = rng.normal(size=(B, 3)).astype("f"), rng.uniform(-1, 1, (B, 2)).astype("f")
    got = quick(lambda a: mean_value_of(network, params, s, mean_quantile)(a, 1.0))(a)
    for row in range(B):
        outputs = [reference.mlp(member(reference.f64(params), e), [s[row], a[row]], ["s", "a"], "tanh") for e in range(2)]
        assert float(got[row]) == pytest.approx(np.mean([o.mean() for o in outputs]), rel=1e-4, abs=1e-5)


# gaussian

OUTPUTS = RNG.normal(size=(E, B, 2))
Y, Z = RNG.normal(size=B), 3 * RNG.normal(size=B)
SPREAD = {"std": np.array([0.4, 0.0, 2.0]), "variance": np.array([0.3, 0.0, 4.0])}
gaussian_slope = quick(jax.value_and_grad(gaussian_return_loss, has_aux=True), static_argnums=7)


def f32(tree):
    return jax.tree.map(lambda x: np.asarray(x, "f"), tree)


def averages(spread, std, rate):
    """The moving averages of every member, in loops."""
    new = {"std": [], "variance": []}
    for e in range(len(std)):
        batch_mean = {"std": sum(std[e]) / len(std[e]), "variance": sum(x * x for x in std[e]) / len(std[e])}
        for name, now in batch_mean.items():
            old = spread[name][e]
            new[name].append(now if old == 0 else (1 - rate) * old + rate * now)
    return new


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_gradients_of_the_gaussian_loss_are_those_of_dsac_t(reduction):
    rate, clip, floor = 0.25, 1.2, 0.1
    (_, spread), slope = gaussian_slope(*f32((OUTPUTS, Y, Z, SPREAD)), rate, clip, floor, reduction)
    mean, raw = OUTPUTS[..., 0], OUTPUTS[..., 1]
    std = softplus(raw)
    new = averages(SPREAD, std, rate)
    expected, limited = np.zeros_like(OUTPUTS), []
    for e, i in np.ndindex(E, B):
        omega, bound = new["variance"][e] + floor, clip * new["std"][e]
        error = min(max(Z[i] - mean[e, i], -bound), bound)
        limited.append(error != Z[i] - mean[e, i])
        by_mean = -omega * (Y[i] - mean[e, i]) / (std[e, i] ** 2 + floor)
        by_std = -omega * (error**2 - std[e, i] ** 2) / (std[e, i] ** 3 + floor)
        share = 1 / B / (E if reduction == "mean" else 1)
        expected[e, i] = share * by_mean, share * by_std / (1 + np.exp(-raw[e, i]))  # through the softplus
    assert any(limited) and not all(limited)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(spread["std"], new["std"], rtol=1e-5)
    np.testing.assert_allclose(spread["variance"], new["variance"], rtol=1e-5)


def test_the_averages_start_at_the_first_batch_and_then_move_by_their_rate():
    expected, spread = {"std": [0.0] * E, "variance": [0.0] * E}, no_spread(E)
    for update in range(4):
        std = np.random.default_rng(update).uniform(0.1, 3, (E, B))
        expected, spread = averages(expected, std, 0.3), averaged_spread(spread, jnp.asarray(std, "f"), 0.3)
        if update == 0:
            np.testing.assert_allclose(spread["std"], std.mean(1), rtol=1e-5)
        for name in expected:
            np.testing.assert_allclose(spread[name], expected[name], rtol=1e-5)


def test_the_average_variance_is_not_the_square_of_the_average_spread():
    got = averaged_spread(no_spread(1), jnp.array([[1.0, 3.0]]), 0.5)
    assert (float(got["std"][0]), float(got["variance"][0])) == (2.0, 5.0)


def test_a_random_return_lies_around_y_by_the_spread_of_the_lowest_member():
    """Many rows with the same judgement: the sample's mean and spread within five standard errors."""
    n = 4000
    outputs = np.broadcast_to(np.array([[2.0, 1.0], [-1.0, 0.3], [0.0, -2.0]])[:, None], (3, 2 * n, 2))
    keep = np.repeat([0.9, 0.0], n)
    args = (jnp.asarray(outputs), jnp.asarray(outputs[..., 0]), jnp.full(2 * n, 5.0), jnp.asarray(keep))
    z = np.asarray(quick(random_return)(jax.random.PRNGKey(3), *args), np.float64)
    std = 0.9 * softplus(0.3)
    assert abs(z[:n].mean() - 5) < 5 * std / sqrt(n)
    assert abs(z[:n].std() - std) < 5 * std / sqrt(2 * n)
    np.testing.assert_array_equal(z[n:], 5.0)


def test_mean_and_spread_settle_at_those_of_the_returns():
    """y varies by 0.5 and the return around it by 0.7: the spread learned is that of both together."""
    rows, steps, average_from = 128, 700, 300

    def update(carry, key):
        outputs, spread = carry
        first, second = jax.random.split(key)
        y = 2 + 0.5 * jax.random.normal(first, (rows,))
        z = y + 0.7 * jax.random.normal(second, (rows,))

        def loss(outputs):
            return gaussian_return_loss(jnp.broadcast_to(outputs, (1, rows, 2)), y, z, spread, 0.05, 4.0, 0.1, "sum")

        (_, spread), slope = jax.value_and_grad(loss, has_aux=True)(outputs)
        outputs = outputs - 0.05 * slope
        return (outputs, spread), outputs

    @jax.jit
    def learned(key):
        start = (jnp.array([-1.0, 1.5]), no_spread(1))
        return jax.lax.scan(update, start, jax.random.split(key, steps))[1][average_from:].mean(0)

    outputs = learned(jax.random.PRNGKey(0))
    assert float(return_mean(outputs)) == pytest.approx(2.0, abs=0.02)
    assert float(return_std(outputs)) == pytest.approx(sqrt(0.5**2 + 0.7**2), abs=0.02)


# hl_gauss

histogram_slope = quick(jax.value_and_grad(histogram_loss), static_argnums=5)
histogram = quick(smoothed_histogram, static_argnums=3)
mean_bin = quick(expected_bin)
V_MIN, V_MAX, BINS = -2.0, 3.0, 10
WIDTH = (V_MAX - V_MIN) / BINS
CENTRES = [V_MIN + (k + 0.5) * WIDTH for k in range(BINS)]
TARGETS = np.array([-7.0, -2.0, -1.9, -1.13, 0.0, 0.25, 0.61, 2.99, 3.0, 50.0])
ratios = pytest.mark.parametrize("ratio", [0.3, 0.75, 2.0])


def normal_mass(low, high, mean, std):
    return (erf((high - mean) / (std * sqrt(2))) - erf((low - mean) / (std * sqrt(2)))) / 2


@ratios
def test_the_target_histogram_holds_the_normal_mass_of_each_bin(ratio):
    got = histogram(jnp.asarray(TARGETS), V_MIN, V_MAX, BINS, ratio)
    np.testing.assert_allclose(got.sum(-1), 1.0, rtol=1e-5)
    assert np.all(np.asarray(got) >= 0)
    for i, y in enumerate(TARGETS):
        y = min(max(y, V_MIN), V_MAX)
        mass = [normal_mass(V_MIN + k * WIDTH, V_MIN + (k + 1) * WIDTH, y, ratio * WIDTH) for k in range(BINS)]
        np.testing.assert_allclose(got[i], np.array(mass) / sum(mass), rtol=1e-4, atol=1e-6)


@ratios
def test_the_mean_of_a_target_histogram_is_the_target(ratio):
    """Far from the ends: off by at most the first harmonic of binning, width/pi exp(-2 pi^2 ratio^2)."""
    inside = np.linspace(-0.5, 1.5, 41)
    bins, low, high = 60, -15.0, 15.0
    width = (high - low) / bins
    p = histogram(jnp.asarray(inside), low, high, bins, ratio)
    error = np.abs(np.asarray(mean_bin(np.log(np.asarray(p) + 1e-30), low, high)) - inside)
    bound = width / pi * exp(-2 * pi**2 * ratio**2)
    assert error.max() < 1.01 * bound + 2e-5
    assert ratio > 0.5 or error.max() > 0.9 * bound


def test_targets_beyond_an_end_count_as_that_end_and_are_reported():
    beyond = histogram(jnp.array([-2.0, -2.1, -1e6, 3.0, 3.1, 1e6]), V_MIN, V_MAX, BINS, 0.75)
    np.testing.assert_array_equal(beyond[1], beyond[0])
    np.testing.assert_array_equal(beyond[2], beyond[0])
    np.testing.assert_array_equal(beyond[4:], np.stack([beyond[3]] * 2))
    np.testing.assert_allclose(beyond[0], beyond[3][::-1], atol=1e-6)
    assert float(share_outside(jnp.asarray(TARGETS), V_MIN, V_MAX)) == pytest.approx(0.2)


def test_the_value_of_a_histogram_is_its_mean_over_the_centres():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(E, B, BINS))
    got = mean_bin(logits, V_MIN, V_MAX)
    for e, i in np.ndindex(E, B):
        p = reference.softmax(logits[e, i])
        assert float(got[e, i]) == pytest.approx(sum(x * c for x, c in zip(p, CENTRES, strict=True)), abs=1e-5)
    certain = mean_bin(100 * jnp.eye(BINS), V_MIN, V_MAX)
    np.testing.assert_allclose(certain, CENTRES, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_histogram_loss_is_the_cross_entropy_and_pulls_towards_the_target(reduction):
    rng = np.random.default_rng(4)
    logits, y = rng.normal(size=(E, B, BINS)), rng.uniform(-3, 4, B)
    value, slope = histogram_slope(*f32((logits, y)), V_MIN, V_MAX, 0.75, reduction)
    target = np.asarray(histogram(jnp.asarray(y), V_MIN, V_MAX, BINS, 0.75), np.float64)
    members, expected = [], np.zeros_like(logits)
    for e in range(E):
        total = 0.0
        for i in range(B):
            p = reference.softmax(logits[e, i])
            total -= sum(target[i, k] * np.log(p[k]) for k in range(BINS)) / B
            expected[e, i] = (p - target[i]) / B / (E if reduction == "mean" else 1)
        members.append(total)
    assert float(value) == pytest.approx(mean_or_sum(members, reduction), rel=1e-5)
    np.testing.assert_allclose(slope, expected, atol=1e-6)


# quantile

N = 4


def quantile_loss_by_loops(theta, targets, kappa, reduction):
    members, n = [], theta.shape[-1]
    for e in range(len(theta)):
        total = 0.0
        for b, i, j in np.ndindex(theta.shape[1], n, targets.shape[1]):
            u, tau = targets[b, j] - theta[e, b, i], (2 * i + 1) / (2 * n)
            huber = u * u / 2 if abs(u) <= kappa else kappa * (abs(u) - kappa / 2)
            total += (1 - tau if u < 0 else tau) * huber / kappa
        members.append(total / (theta.shape[1] * n * targets.shape[1]))
    return mean_or_sum(members, reduction)


@pytest.mark.parametrize("reduction, kappa", [("mean", 1.0), ("sum", 0.3)])
def test_the_quantile_loss_equals_a_loop_over_members_rows_quantiles_and_targets(reduction, kappa):
    rng = np.random.default_rng(5)
    theta, targets = rng.normal(size=(E, B, N)), rng.normal(size=(B, 3))
    sizes = np.abs(targets[:, None] - theta[0][..., None])
    assert sizes.min() < kappa < sizes.max()
    got = quick(quantile_huber_loss, static_argnums=3)(*f32((theta, targets)), kappa, reduction)
    assert float(got) == pytest.approx(quantile_loss_by_loops(theta, targets, kappa, reduction), rel=1e-5)


def test_the_quantile_loss_is_least_at_the_quantiles_of_the_targets():
    """Almost without the quadratic part, each output alone is best at the sample its share of the samples lies below."""
    rng = np.random.default_rng(6)
    samples = np.sort(rng.normal(size=21) ** 3).astype("f")
    tried = np.sort(np.concatenate([samples, (samples[1:] + samples[:-1]) / 2, [-9.0, 9.0]])).astype("f")

    theta = np.zeros((N, len(tried), 1, 1, N), "f")
    for i in range(N):
        theta[i, :, 0, 0, i] = tried  # the others stay at 0: the loss is a sum over the outputs
    losses = quick(jax.vmap(jax.vmap(lambda t: quantile_huber_loss(t, samples[None], 1e-5, "sum"))))(theta)
    best = [float(tried[k]) for k in np.argmin(losses, axis=1)]
    below = [int(np.ceil((i + 0.5) / N * 21)) for i in range(N)]
    assert best == [float(samples[k - 1]) for k in below]


def test_a_quadratic_quantile_loss_weighs_the_errors_of_either_sign_by_tau():
    """With a kappa beyond all errors the minimum is the tau-expectile: tau E(x - m)+ = (1 - tau) E(m - x)+."""
    samples, kappa = np.array([-1.0, 0.0, 4.0]), 100.0

    @quick
    def slope(theta):
        return jax.grad(quantile_huber_loss)(theta, jnp.asarray(samples, "f")[None], kappa, "sum")[0, 0]

    expectiles = []
    for tau in (0.25, 0.75):
        low, high = -1.0, 4.0
        for _ in range(60):
            middle = (low + high) / 2
            pull = sum((tau if x > middle else 1 - tau) * (x - middle) for x in samples)
            low, high = (middle, high) if pull > 0 else (low, middle)
        expectiles.append(low)
    best = np.array([[expectiles]], "f")
    np.testing.assert_allclose(slope(best), 0.0, atol=1e-8)
    assert np.all(np.asarray(slope(best + 0.1)) > 1e-5) and np.all(np.asarray(slope(best - 0.1)) < -1e-5)


def test_shifted_quantiles_keep_the_shape_of_the_lowest_member_and_have_the_mean_y():
    rng = np.random.default_rng(7)
    outputs, y, keep = rng.normal(size=(E, B, N)), rng.normal(size=B), np.array([0.9, 0.9, 0.0, 0.5, 1.0])
    q = outputs.mean(-1)
    np.testing.assert_allclose(mean_quantile(jnp.asarray(outputs)), q, rtol=1e-5)
    got = np.asarray(quick(shifted_quantiles)(*f32((outputs, q, y, keep))))
    for b, j in np.ndindex(B, N):
        theta = outputs[lowest(q, b), b]
        assert got[b, j] == pytest.approx(y[b] + keep[b] * (theta[j] - sum(theta) / N), abs=1e-5)
    np.testing.assert_allclose(got.mean(-1), y, atol=1e-6)
    np.testing.assert_array_equal(got[2], np.full(N, y[2], "f"))


# in a compiled step

KINDS = {
    "gaussian": {
        "clip": scalar("critic.kind.clip", 1.5),
        "rate": scalar("critic.kind.rate", 0.2),
        "floor": scalar("critic.kind.floor", 0.1),
    },
    "hl_gauss": {"v_min": -4.0, "v_max": 4.0, "bins": 7, "ratio": scalar("critic.kind.ratio", 0.75)},
    "quantile": {"quantiles": 4, "kappa": scalar("critic.kind.kappa", 0.5)},
}
VALUE = {
    "gaussian": lambda o: o[0],
    "quantile": np.mean,
    "hl_gauss": lambda o: sum(p * (-4 + (k + 0.5) * 8 / 7) for k, p in enumerate(reference.softmax(o))),
}
DATA = batch(5)
READ = ("critic", "critic_target", "critic_spread")
BY_ITSELF = {"target": None, "backup": backup(red("min", net("Q", S_NEXT, A_NEXT), "ensemble"))}
"""Of a critic that judges with the parameters it learns."""


def critic_step(kind, **options):
    """The critic's part of one step, with everything in it, and the parameters it read in float64."""
    section = critic(
        kind=component("critic", kind, **KINDS[kind]),
        network=mlp_network(6, activation="tanh"),
        next_action=noisy("critic.next_action", 0.2, 0.5),
        **options,
    )
    alg = algorithm(
        improve("reparameterized"), parameters=(), policy=policy(component("backbone", "deterministic")), critic=section
    )
    state = random_state(alg) | {"step": np.int32(3)}
    if kind == "gaussian":
        state["critic_spread"] = {"std": np.array([0.7, 0.0], "f"), "variance": np.array([0.9, 0.0], "f")}
    graphs, hyper = graphs_of(alg)
    step = graphs["step"]
    seen = ("metric.critic", "metric.targets", "state.critic_spread")
    wanted = {name: node for name, node in step.outputs.items() if name.startswith(seen)}
    needed = ancestors(step, wanted.values())
    graph = Graph("critic", {n: node for n, node in step.nodes.items() if n in needed or node.op == "Input"}, wanted)
    inputs = Program.step_inputs(state, DATA, {name: np.float32(x) for name, x in hyper.items()})
    return Seen(graph, inputs), {name: reference.f64(state[name]) for name in READ if name in state}


def outputs_of(params, s, a):
    """What each member's network says of each row: [E, B, heads]."""
    rows = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in zip(s, a, strict=True)]
    return np.array([[reference.mlp(member(params, e), [*row], ["s", "a"], "tanh") for row in rows] for e in range(2)])


def values_of(kind, outputs):
    return np.array([[VALUE[kind](o) for o in row] for row in outputs])


def backed_up(kind, seen, judge):
    """y, and what the next value is multiplied by, of each row; outputs and values of the judging copy."""
    future = outputs_of(judge, DATA["s_next"], seen.named("critic.a_next"))
    q = values_of(kind, future)
    keep = [0.9 * (1 - float(d)) for d in DATA["d"]]
    y = np.array([float(r) + k * q[lowest(q, i), i] for i, (r, k) in enumerate(zip(DATA["r"], keep, strict=True))])
    return y, keep, future, q


def test_a_step_of_the_quantile_critic_fits_the_quantiles_of_the_distribution_of_returns():
    """Without a target copy, so that nothing but the stop keeps gradients from the targets."""
    seen, state = critic_step("quantile", **BY_ITSELF)
    y, keep, future, q = backed_up("quantile", seen, state["critic"])
    targets = np.array([
        [y[i] + keep[i] * (theta - q[lowest(q, i), i]) for theta in future[lowest(q, i), i]] for i in range(len(y))
    ])  # fmt: skip
    np.testing.assert_allclose(seen.named("critic.targets"), targets, rtol=1e-4, atol=1e-5)

    def loss(params):
        return quantile_loss_by_loops(outputs_of(params, DATA["s"], DATA["a"]), targets, 0.5, "mean")

    assert seen.metrics["critic_loss"] == pytest.approx(loss(state["critic"]), rel=1e-4)
    same_slope(seen.named("critic.gradient"), loss, state["critic"])


def test_a_step_of_the_histogram_critic_classifies_the_targets():
    seen, state = critic_step("hl_gauss", reduction="sum")
    y, *_ = backed_up("hl_gauss", seen, state["critic_target"])
    np.testing.assert_allclose(seen.named("critic.y"), y, rtol=1e-4, atol=1e-5)

    def loss(params):
        outputs, members, width = outputs_of(params, DATA["s"], DATA["a"]), [], 8 / 7
        for e in range(2):
            total = 0.0
            for i, target in enumerate(np.clip(y, -4, 4)):
                mass = [normal_mass(-4 + k * width, -4 + (k + 1) * width, target, 0.75 * width) for k in range(7)]
                said = np.log(reference.softmax(outputs[e, i]))
                total -= sum(m / sum(mass) * log_p for m, log_p in zip(mass, said, strict=True)) / len(y)
            members.append(total)
        return sum(members)

    assert seen.metrics["critic_loss"] == pytest.approx(loss(state["critic"]), rel=1e-4)
    assert seen.metrics["targets_outside"] == pytest.approx(np.mean(np.abs(y) > 4))
    same_slope(seen.named("critic.gradient"), loss, state["critic"])


def test_a_step_of_the_gaussian_critic_follows_y_and_a_random_return():
    seen, state = critic_step("gaussian")
    y, keep, future, q = backed_up("gaussian", seen, state["critic_target"])
    np.testing.assert_allclose(seen.named("critic.y"), y, rtol=1e-4, atol=1e-5)
    z = np.asarray(seen.named("critic.z"), np.float64)
    noise = np.asarray(jax.random.normal(seen.named("return.key"), (len(y),)))
    for i in range(len(y)):
        drawn = y[i] + keep[i] * softplus(future[lowest(q, i), i, 1]) * noise[i]
        assert z[i] == pytest.approx(drawn, rel=1e-4, abs=1e-4)
    outputs = outputs_of(state["critic"], DATA["s"], DATA["a"])
    spread = averages(state["critic_spread"], softplus(outputs[..., 1]), 0.2)
    for name, expected in spread.items():
        np.testing.assert_allclose(seen.outputs["state.critic_spread"][name], expected, rtol=1e-4)
    before = f32(state["critic_spread"])
    (loss, _), _ = gaussian_slope(*f32((outputs, y, z)), before, 0.2, 1.5, 0.1, "mean")
    assert seen.metrics["critic_loss"] == pytest.approx(float(loss), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_distribution_s_loss_reaches_no_target(kind):
    """Where one set of parameters both learns and judges, the judging happens outside of what is differentiated."""
    section = critic(kind=component("critic", kind, **KINDS[kind]), **BY_ITSELF)
    graph = graphs_of(algorithm(improve("reparameterized"), parameters=(), critic=section))[0]["step"]
    (grad,) = [node for node in graph.nodes.values() if node.op == "Grad" and node.name.startswith("critic.")]
    inside = region(graph, grad)
    assert "batch.s" in {i for name in inside for i in graph.nodes[name].inputs}
    behind = ancestors(graph, inside, through=inside)
    assert "batch.s_next" not in {i for name in behind for i in graph.nodes[name].inputs}


def same_slope(got, loss, params, h=1e-5):
    """The gradient equals central differences of a loss along random directions."""
    rng = np.random.default_rng(8)
    leaves, structure = jax.tree.flatten(params)
    slopes = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(got)]
    for _ in range(2):
        directions = [rng.normal(size=leaf.shape) for leaf in leaves]
        up, down = (
            loss(jax.tree.unflatten(structure, [x + sign * h * d for x, d in zip(leaves, directions, strict=True)]))
            for sign in (1, -1)
        )
        along = sum(np.sum(s * d) for s, d in zip(slopes, directions, strict=True))
        assert along == pytest.approx((up - down) / (2 * h), rel=2e-3, abs=1e-4)


def test_a_spread_is_positive_whatever_the_network_says():
    outputs = jnp.array([[0.0, x] for x in (-30.0, -1.0, 0.0, 5.0, 80.0)])
    std = np.asarray(return_std(outputs), np.float64)
    np.testing.assert_allclose(std, [softplus(x) for x in (-30.0, -1.0, 0.0, 5.0, 80.0)], rtol=1e-5)
    assert np.all(std > 0)


def test_losses_of_extreme_outputs_have_finite_gradients():
    outputs = np.array(list(product([-1e4, 0.0, 1e4], [-200.0, 0.0, 1e3])), "f")[None]
    rows = outputs.shape[1]
    y = np.full(rows, 3.0, "f")
    spread = {"std": np.ones(1, "f"), "variance": np.ones(1, "f")}
    (value, new), slopes = gaussian_slope(outputs, y, y, spread, 0.005, 3.0, 0.1, "mean")
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((value, new, slopes)))
    logits = np.array([[[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]], "f")
    value, slope = histogram_slope(logits, jnp.array([1e9, -1e9]), -1.0, 1.0, 0.01, "mean")
    assert np.isfinite(value) and np.all(np.isfinite(slope))
