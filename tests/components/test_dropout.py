"""Dropout: which units drop and by how much the rest grows, and that it is on in what a loss fits and nowhere else."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest

from flowrl_dsl.components.denoising import denoise, denoiser
from flowrl_dsl.components.embeddings.fourier import fourier_features
from flowrl_dsl.components.ensembles import ensemble_outputs, values_at_level
from flowrl_dsl.components.networks.bronet import bronet
from flowrl_dsl.components.networks.mlp import mlp
from flowrl_dsl.components.networks.residual_mlp import residual_mlp
from flowrl_dsl.components.networks.simba import simba
from flowrl_dsl.components.sections.encoder import prediction_error, state_action_encoder
from flowrl_dsl.graph.expr import Build, walk
from flowrl_dsl.graph.nodes import TREE, Graph, ancestors, region
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.registry import Drawn
from tests.components.losses import edm_policy
from tests.helpers import (
    ALGORITHMS,
    QUICK,
    algorithm,
    batch,
    component,
    critic,
    graphs_of,
    improve,
    policy,
    random_params,
    random_state,
    scalar,
)
from tests.helpers import mlp as mlp_network

RATE = 0.3
INPUTS = (("s", 3),)
WIDTH, ROWS = 30, 50
S = {"s": np.random.default_rng(0).normal(size=(ROWS, 3)).astype("f")}
NETWORKS = {
    "mlp": lambda rate: mlp(INPUTS, (WIDTH, WIDTH), 2, "tanh", False, rate),
    "bronet": lambda rate: bronet(INPUTS, WIDTH, 2, 2, rate),
    "simba": lambda rate: simba(INPUTS, WIDTH, 2, 2, 2, rate),
    "residual_mlp": lambda rate: residual_mlp(INPUTS, WIDTH, 2, 2, "tanh", rate),
}
each = pytest.mark.parametrize("name", NETWORKS)


@cache
def dropping(name):
    """The network with dropout: its outputs and what its two dropout layers say, for parameters and a key (or none)."""
    net = NETWORKS[name](RATE)

    def run(params, key):
        rngs = None if key is None else {"dropout": key}
        out, seen = net.apply({"params": params}, S, rngs=rngs, capture_intermediates=True, mutable=["intermediates"])
        return out, seen["intermediates"]["drop"]["__call__"]

    return jax.jit(run, compiler_options=QUICK), random_params(net, S, scale=0.3)


def key(number):
    return jax.random.PRNGKey(number)


@each
def test_with_a_key_units_drop_at_the_given_rate_and_the_rest_make_up_for_them(name):
    run, params = dropping(name)
    _, (whole, _) = run(params, None)
    _, (kept, _) = run(params, key(1))
    dropped = np.asarray(kept) == 0
    assert not np.any(np.asarray(whole) == 0)
    np.testing.assert_allclose(kept, np.where(dropped, 0, whole / (1 - RATE)), rtol=1e-5)
    assert abs(dropped.mean() - RATE) < 5 * np.sqrt(RATE * (1 - RATE) / dropped.size)
    for axis in (0, 1):  # each row and unit by itself, not whole rows or columns at a time
        assert dropped.mean(axis).min() > 0 and dropped.mean(axis).max() < 1


@each
def test_layers_and_keys_drop_different_units(name):
    run, params = dropping(name)
    out, (first, second) = run(params, key(1))
    again, _ = run(params, key(1))
    other_out, (other, _) = run(params, key(2))
    np.testing.assert_array_equal(out, again)
    chance = RATE**2 + (1 - RATE) ** 2  # that two independent draws agree
    for x, y in ((first, second), (first, other)):
        agree = (np.asarray(x) == 0) == (np.asarray(y) == 0)
        assert abs(agree.mean() - chance) < 5 * np.sqrt(chance * (1 - chance) / agree.size)
    assert np.abs(other_out - out).max() > 1e-3


@each
def test_without_a_key_nothing_drops(name):
    run, params = dropping(name)
    plain = jax.jit(lambda p: NETWORKS[name](0.0).apply({"params": p}, S), compiler_options=QUICK)(params)
    np.testing.assert_allclose(run(params, None)[0], plain, rtol=1e-4, atol=1e-5)
    assert np.abs(run(params, key(1))[0] - plain).max() > 1e-2


def test_dropping_changes_no_mean():
    """Behind the only dropout layer stands a linear head: the mean over many keys is what the network says without one."""
    net, rows = mlp(INPUTS, (10,), 1, "tanh", False, RATE), {"s": S["s"][:5]}
    params = random_params(net, rows)

    def run(keys):
        drawn = jax.vmap(lambda k: net.apply({"params": params}, rows, rngs={"dropout": k}))(keys)
        return drawn, net.apply({"params": params}, rows)

    drawn, plain = jax.jit(run, compiler_options=QUICK)(jax.random.split(key(0), 2000))
    spread = np.std(drawn, axis=0)
    assert np.all(spread > 0.05)
    assert np.all(np.abs(np.mean(drawn, axis=0) - plain) < 5 * spread / np.sqrt(2000))


def test_members_of_an_ensemble_drop_units_of_their_own():
    net = NETWORKS["mlp"](RATE)
    one = random_params(net, S)
    twins = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), one)
    on = np.asarray(jax.jit(lambda k: ensemble_outputs(net, twins, S, k), compiler_options=QUICK)(key(3)))
    off = np.asarray(jax.jit(lambda: ensemble_outputs(net, twins, S), compiler_options=QUICK)())
    np.testing.assert_array_equal(off[0], off[1])
    assert np.abs(on[0] - on[1]).max() > 1e-2
    assert np.abs(on - off).max(axis=(1, 2)).min() > 1e-2
    in_turn = jax.jit(lambda k: ensemble_outputs(net, twins, S, k, together=1), compiler_options=QUICK)(key(3))
    np.testing.assert_allclose(in_turn, on, rtol=1e-5, atol=1e-6)


def denoised():
    """What a denoiser says, as a function of a key."""
    trunk = mlp((("a", 2), ("t", 4), ("s", 3)), (6,), 2, "tanh", False, RATE)
    net, inputs = (
        denoiser(trunk, fourier_features(4, 1.0, 4), None),
        (np.ones((4, 2), "f"), np.full(4, 0.5, "f"), S["s"][:4]),
    )
    params = random_params(net, *inputs)
    return lambda key: denoise(net, params, *inputs, key)


def predicted():
    """The error of an encoder's prediction."""
    state, pair = (mlp(inputs, (6,), 3, "tanh", False, RATE) for inputs in (INPUTS, (("z", 3), ("a", 2))))
    net, inputs = state_action_encoder(state, pair), (S["s"][:4], np.ones((4, 2), "f"))
    params = random_params(net, *inputs)
    return lambda key: prediction_error(net, params, *inputs, S["s"][4:8], key)


def rated_at_a_level():
    """Values that are told how noisy the action is."""
    net = mlp((("s", 3), ("a", 2), ("level", 1)), (6,), 1, "tanh", False, RATE)
    inputs = {"s": S["s"][:4], "a": np.ones((4, 2), "f")}
    one = random_params(net, inputs | {"level": np.ones((1, 1), "f")})
    params = jax.tree.map(lambda leaf: leaf[None], one)
    return lambda key: values_at_level(net, params, *inputs.values(), 0.5, key)


@pytest.mark.parametrize("make", [denoised, predicted, rated_at_a_level])
def test_whatever_applies_a_network_with_a_key_drops_units(make):
    said = make()

    def run(first, second):
        return said(None), said(first), said(second)

    off, on, other = map(np.asarray, jax.jit(run, compiler_options=QUICK)(key(1), key(2)))
    assert np.abs(on - off).max() > 1e-3 and np.abs(other - on).max() > 1e-3


# in the graphs of an algorithm

FITTED = {"score_matching", "weighted_regression", "selection", "value_denoising"}
"""Mechanisms whose loss fits a network to given targets; the others differentiate through what a policy draws."""
NETS = ("critic_net", "policy_net", "encoder_net")
"""What modules of networks are called; passes add to the name of those that they change."""


def with_dropout(alg, rate=RATE):
    """The algorithm with networks that drop units."""
    sections = {
        name: section.model_copy(update={"network": mlp_network(6, dropout=rate)})
        if hasattr(section, "network")
        else section
        for name, section in alg.sections.items()
    }
    return alg.model_copy(update={"sections": sections})


def of_kind(kind, **options):
    return lambda: algorithm(critic=critic(kind=component("critic", kind, **options)))


NUMBERS = {name: scalar(f"critic.kind.{name}", 0.5) for name in ("ratio", "kappa", "clip", "rate", "floor")}
CASES = dict(ALGORITHMS) | {
    "edm": lambda: algorithm(improve("weighted_regression"), policy=edm_policy()),
    "hl_gauss": of_kind("hl_gauss", v_min=-1.0, v_max=1.0, bins=5, ratio=NUMBERS["ratio"]),
    "quantile": of_kind("quantile", quantiles=3, kappa=NUMBERS["kappa"]),
    "gaussian": of_kind("gaussian", **{name: NUMBERS[name] for name in ("clip", "rate", "floor")}),
}


def applied(graph):
    """The nodes that call a network."""
    return {
        name
        for name, node in graph.nodes.items()
        if node.expr is not None and any(isinstance(part, Build) and part.name.startswith(NETS) for part in walk(node.expr))
    }


def dropped(graph):
    """The nodes that are given a random key for dropout, and those keys."""
    users = {name: [i for i in node.inputs if "dropout.key" in i] for name, node in graph.nodes.items()}
    return {name: keys for name, keys in users.items() if keys}


@pytest.mark.parametrize("name", CASES)
def test_units_drop_in_what_a_loss_fits_and_nowhere_else(name):
    """Not in targets, proposals, the critic that judges a policy's draw, or the policy that is differentiated through it."""
    alg = with_dropout(CASES[name]())
    graphs, _ = graphs_of(alg)
    step = graphs["step"]
    fits = FITTED & {improvement.mechanism.name for improvement in alg.improvements}
    expected = set()
    for grad in (node for node in step.nodes.values() if node.op == "Grad" and node.type == TREE):
        if fits or not grad.name.startswith("policy."):
            expected |= {n for n in region(step, grad) if grad.inputs[1] in step.nodes[n].inputs and n in applied(step)}
    keys = dropped(step)
    assert set(keys) == expected
    assert any(n.startswith(("critic.", "policy.value_denoising")) for n in expected)
    assert any(n.startswith("policy.") for n in expected) == bool(fits)
    assert applied(step) - expected
    flat = [key for found in keys.values() for key in found]
    assert len(flat) == len(set(flat)) == len(expected)
    for mode in ("explore", "evaluate"):
        assert applied(graphs[mode]) and not dropped(graphs[mode])


@pytest.mark.parametrize("name", ["qsm", "td7", "nclql"])
def test_a_network_that_drops_nothing_is_given_no_key(name):
    assert not dropped(graphs_of(with_dropout(CASES[name](), rate=0.0))[0]["step"])


def losses(rate, updates):
    """The critic's loss in some updates, on one batch and from one state: nothing but dropout is random in it."""
    mean = Drawn(value=component("action", "mean"), source="policy")
    alg = algorithm(
        improve("reparameterized"),
        parameters=(),
        policy=policy(component("backbone", "deterministic")),
        critic=critic(next_action=mean),
    )
    alg = with_dropout(alg, rate)
    graphs, hyper = graphs_of(alg)
    step = graphs["step"]
    needed = ancestors(step, [step.outputs["metric.critic_loss"]])
    nodes = {n: node for n, node in step.nodes.items() if n in needed or node.op == "Input"}
    graph = Graph("critic", nodes, {"loss": step.outputs["metric.critic_loss"]})
    inputs = Program.step_inputs(random_state(alg), batch(2), hyper)
    run = jax.jit(lambda update: interpret(graph, {**inputs, "state.step": update})["loss"], compiler_options=QUICK)
    return [float(run(np.int32(update))) for update in updates]


def test_each_update_drops_other_units():
    plain = losses(0.0, [0, 1])
    assert plain[0] == plain[1]
    on = losses(RATE, [0, 1, 2, 1])
    assert on[1] == on[3]
    assert len({*on, *plain}) == 4
