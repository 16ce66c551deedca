"""The normalised layer of raw inputs, in front of networks that also read embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flowrl_dsl.components.embedded import beside_embeddings
from flowrl_dsl.components.first_layer import normalized_layer
from flowrl_dsl.components.networks.mlp import mlp
from flowrl_dsl.lowering.program import Program
from tests import reference
from tests.helpers import (
    SIZES,
    Seen,
    adam,
    algorithm,
    batch,
    component,
    copy,
    diffusion,
    graphs_of,
    improve,
    policy,
    random_params,
    random_state,
    seq,
)
from tests.helpers import mlp as mlp_network

RAW = (("s", 3), ("a", 2))
RNG = np.random.default_rng(0)
VALUES = {name: RNG.normal(size=(5, size)).astype("f") for name, size in (("s", 3 + 4), ("a", 2 + 4), ("t", 2))}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def test_the_layer_divides_a_linear_map_by_the_mean_of_its_magnitudes():
    """W x + b = (3, -1) has mean magnitude 2, whatever the scale of W and b."""
    net = normalized_layer((("s", 1), ("a", 1)), 2)
    params = {"first": {"s": np.array([[1.0, 1.0]]), "a": np.array([[0.5, -3.0]])}, "bias": np.array([0.5, 0.0])}
    row = {"s": np.array([2.0]), "a": np.array([1.0])}
    for scale in (1.0, 1e-3, 1e3):
        scaled = {
            "first": {name: scale * kernel for name, kernel in params["first"].items()},
            "bias": scale * params["bias"],
        }
        np.testing.assert_allclose(net.apply({"params": scaled}, row), [1.5, -0.5], rtol=1e-6)


@pytest.mark.parametrize("width", [2, 5])
def test_the_components_of_the_layer_have_mean_magnitude_one(width):
    net = normalized_layer(RAW, width)
    inputs = {name: VALUES[name][:, :size] for name, size in RAW}
    out = net.apply({"params": random_params(net, inputs)}, inputs)
    np.testing.assert_allclose(np.abs(out).mean(axis=-1), 1.0, rtol=1e-5)


def joined(split: bool) -> Any:
    parts = (("x", 6), ("z_s", 4), ("z_a", 4), ("t", 2))
    layer, net = normalized_layer(RAW, 6, split), mlp(parts, (8,), 2, "tanh", False, split=split)
    return beside_embeddings(layer, net, RAW)


@pytest.mark.parametrize("split", [False, True])
def test_a_network_beside_embeddings_reads_the_layer_the_embeddings_and_other_inputs(split):
    net = joined(split)
    params = random_params(net, VALUES)
    out = net.apply({"params": params}, VALUES)
    p, rows = reference.f64(params), reference.f64(VALUES)
    for i in range(5):
        s, a, t = (rows[name][i] for name in ("s", "a", "t"))
        u = reference.normalized_layer(p["layer"], {"s": s[:3], "a": a[:2]})
        expected = reference.mlp(p["net"], [u, s[3:], a[2:], t], ["x", "z_s", "z_a", "t"], "tanh")
        np.testing.assert_allclose(out[i], expected, **CLOSE)


@pytest.mark.parametrize("known", [("s",), ("a",), ("t",), ("s", "t"), ("a", "s")])
@pytest.mark.parametrize("split", [False, True])
def test_what_is_projected_beforehand_and_the_rest_make_the_whole(split, known):
    net = joined(split)
    params = {"params": random_params(net, VALUES)}
    projected = net.apply(params, {name: VALUES[name] for name in known}, method="project")
    rest = {name: value for name, value in VALUES.items() if name not in known}
    np.testing.assert_allclose(net.apply(params, rest, projected), net.apply(params, VALUES), **CLOSE)


def scores(input_layer: int | None, obs: tuple[int, ...]) -> Any:
    """Score matching with an encoder: a denoiser of noisy actions, whose observation has an embedding."""
    fitted = {"network": mlp_network(4, activation="elu"), "optimizer": adam("encoder.optimizer"), "target": copy(2)}
    return algorithm(
        improve("score_matching"),
        policy=policy(diffusion(obs=obs)),
        encoder=component("section", "encoder", size=3, input_layer=input_layer, **fitted),
        order=seq("encoder", "critic", "policy", "targets"),
    )


def predicted(p: Any, obs: tuple[int, ...], input_layer: int | None, row: tuple[Any, ...], s: Any, z: Any) -> Any:
    """The prediction of a denoiser at a noisy action and time, for [s, z] or for [u(s), z]."""
    if input_layer is None:
        return reference.denoiser(p, *row, np.concatenate([s, z]))
    if obs:
        layer, features = p["obs"]["layer"], p["obs"]["features"]
        u = reference.normalized_layer(layer, {"s": s})
        return reference.denoiser(p | {"obs": features}, *row, np.concatenate([u, z]))
    u, time = reference.normalized_layer(p["trunk"]["layer"], {"s": s}), reference.fourier(p["time"], row[1])
    return reference.mlp(p["trunk"]["net"], [row[0], time, u, z], ["a", "t", "x", "z_s"], "mish")


@pytest.mark.parametrize(("input_layer", "obs"), [(None, (4, 4)), (5, (4, 4)), (5, ())])
def test_a_denoiser_reads_the_layer_of_the_observation_and_its_embedding(input_layer, obs):
    alg, data = scores(input_layer, obs), batch(3)
    state = random_state(alg, 4) | {"step": np.int32(1)}
    graphs, hyper = graphs_of(alg)
    seen = Seen(graphs["step"], Program.step_inputs(state, data, hyper))
    names = {name.rpartition(".")[2]: name for name in graphs["step"].nodes if name.startswith("policy.")}
    a_t, t, eps = (np.asarray(seen[names[name]], np.float64) for name in ("a_t", "t", "eps"))
    p, encoder, rows = reference.f64(state["policy"]), reference.f64(state["encoder_fixed"]), reference.f64(data)
    for i, s in enumerate(rows["s"]):
        z = reference.mlp(encoder["state"], [s], ["s"], "elu")
        expected = predicted(p, obs, input_layer, (a_t[i], float(t[i])), s, z / np.abs(z).mean())
        np.testing.assert_allclose(eps[i], expected, rtol=1e-3, atol=1e-4)


def test_without_the_layer_networks_read_raw_inputs():
    state = random_state(scores(None, (4, 4)), 0)
    first = state["critic"]["first"]
    assert {name: kernel.shape[1] for name, kernel in first.items()} == {"s": SIZES.obs + 3, "a": SIZES.action + 3}
    assert [kernel.shape[0] for kernel in state["policy"]["obs"]["Dense_0"].values()] == [4, SIZES.obs + 3]
