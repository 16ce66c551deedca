"""Residual networks against loops over rows and blocks in float64, and what their layer norms make irrelevant."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.networks.bronet import bronet
from flowrl_dsl.components.networks.residual_mlp import residual_mlp
from flowrl_dsl.components.networks.simba import simba
from tests import reference
from tests.helpers import QUICK, random_params

INPUTS = (("a", 2), ("t", 3), ("s", 4))
ROWS, WIDTH, OUTPUTS = 4, 6, 2
VALUES = {name: np.random.default_rng(i).normal(size=(ROWS, size)).astype("f") for i, (name, size) in enumerate(INPUTS)}
NETWORKS = ("bronet", "simba", "residual_mlp")
each = pytest.mark.parametrize("name", NETWORKS)


@cache
def network(name, blocks=2, activation="mish"):
    if name == "bronet":
        return bronet(INPUTS, WIDTH, blocks, OUTPUTS, 0.0)
    if name == "simba":
        return simba(INPUTS, WIDTH, blocks, OUTPUTS, 3, 0.0)
    return residual_mlp(INPUTS, WIDTH, blocks, OUTPUTS, activation, 0.0)


@cache
def forward(name, blocks=2, activation="mish"):
    net = network(name, blocks, activation)
    return jax.jit(lambda params, values: net.apply({"params": params}, values), compiler_options=QUICK)


def params_of(name, blocks=2):
    return random_params(network(name, blocks), VALUES, seed=blocks)


def dense(p, h):
    return h @ p["kernel"] + p["bias"]


def norm(p, h):
    return (h - sum(h) / len(h)) / np.sqrt(h.var() + 1e-6) * p["scale"] + p["bias"]


def relu(x):
    return np.maximum(x, 0)


def by_loops(name, params, values, blocks, activation="mish"):
    """One row through a network, its inputs concatenated."""
    p, act = reference.f64(params), reference.ACTIVATIONS[activation]
    x = np.concatenate([values[n] for n, _ in INPUTS]).astype(np.float64)
    h = x @ np.concatenate([p["first"][n] for n, _ in INPUTS]) + p["bias"]
    if name == "bronet":
        h = relu(norm(p["norms_0"], h))
        for i in range(blocks):
            inside = relu(norm(p[f"norms_{2 * i + 1}"], dense(p[f"layers_{2 * i}"], h)))
            h = h + norm(p[f"norms_{2 * i + 2}"], dense(p[f"layers_{2 * i + 1}"], inside))
        return dense(p["head"], h)
    if name == "simba":
        for i in range(blocks):
            h = h + dense(p[f"narrow_{i}"], relu(dense(p[f"widen_{i}"], norm(p[f"norms_{i}"], h))))
        return dense(p["head"], norm(p[f"norms_{blocks}"], h))
    for i in range(blocks):
        inside = dense(p[f"layers_{2 * i}"], act(norm(p[f"norms_{2 * i}"], h)))
        h = h + dense(p[f"layers_{2 * i + 1}"], act(norm(p[f"norms_{2 * i + 1}"], inside)))
    return dense(p["head"], act(norm(p[f"norms_{2 * blocks}"], h)))


@pytest.mark.parametrize("name, blocks, activation", [
    ("bronet", 1, "relu"), ("bronet", 3, "relu"), ("simba", 1, "relu"), ("simba", 3, "relu"),
    ("residual_mlp", 1, "tanh"), ("residual_mlp", 3, "mish"),
])  # fmt: skip
def test_a_network_equals_a_loop_over_rows_and_blocks(name, blocks, activation):
    params = params_of(name, blocks)
    got = forward(name, blocks, activation)(params, VALUES)
    assert got.shape == (ROWS, OUTPUTS)
    for row in range(ROWS):
        expected = by_loops(name, params, {n: v[row] for n, v in VALUES.items()}, blocks, activation)
        np.testing.assert_allclose(got[row], expected, rtol=1e-3, atol=1e-4)


@each
def test_blocks_have_the_layers_their_description_says_and_no_others(name):
    shapes = {
        "/".join(k.key for k in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params_of(name))
    }
    assert shapes.pop("bias") == (WIDTH,)
    assert [shapes.pop(f"first/{n}") for n, _ in INPUTS] == [(size, WIDTH) for _, size in INPUTS]
    assert (shapes.pop("head/kernel"), shapes.pop("head/bias")) == ((WIDTH, OUTPUTS), (OUTPUTS,))
    kernels = sorted(shape for n, shape in shapes.items() if n.endswith("kernel"))
    norms = [n for n in shapes if n.endswith("scale")]
    if name == "simba":
        assert kernels == [(WIDTH, 3 * WIDTH)] * 2 + [(3 * WIDTH, WIDTH)] * 2 and len(norms) == 3
    else:
        assert kernels == [(WIDTH, WIDTH)] * 4 and len(norms) == 5


@each
def test_what_is_projected_beforehand_and_the_rest_make_the_whole(name):
    known = ("s", "t")
    net, params = network(name), params_of(name)

    @jax.jit
    def in_parts(known_values, rest):
        projected = net.apply({"params": params}, known_values, method="project")
        return net.apply({"params": params}, rest, projected)

    parts = in_parts({n: VALUES[n] for n in known}, {n: v for n, v in VALUES.items() if n not in known})
    np.testing.assert_allclose(parts, forward(name)(params, VALUES), rtol=1e-4, atol=1e-4)


def scaled(tree, factor):
    return jax.tree.map(lambda leaf: (factor * leaf).astype("f"), tree)


LAST_OF_BLOCKS = {"simba": ("narrow_0", "narrow_1"), "residual_mlp": ("layers_1", "layers_3")}


@each
def test_the_size_of_what_enters_a_layer_norm_does_not_matter(name):
    """bronet normalises its first layer; the others the sum of the first layer and of what the blocks add to it."""
    params = params_of(name)
    large = params | {"first": scaled(params["first"], 10), "bias": scaled(params["bias"], 10)}
    plain = np.asarray(forward(name)(params, VALUES))
    only_first = np.asarray(forward(name)(large, VALUES))
    for layer in LAST_OF_BLOCKS.get(name, ()):
        large[layer] = scaled(params[layer], 10)
    np.testing.assert_allclose(forward(name)(large, VALUES), plain, rtol=1e-3, atol=1e-3)
    if name != "bronet":
        assert np.abs(only_first - plain).max() > 1e-2


@each
def test_what_is_added_to_all_units_before_a_layer_norm_does_not_matter(name):
    params = params_of(name)
    shifted = params | {"bias": params["bias"] + np.float32(3)}
    plain = forward(name)(params, VALUES)
    np.testing.assert_allclose(forward(name)(shifted, VALUES), plain, rtol=1e-3, atol=1e-3)
    uneven = params | {"bias": params["bias"] + np.arange(WIDTH, dtype="f")}
    assert np.abs(forward(name)(uneven, VALUES) - plain).max() > 1e-2


@each
def test_what_the_first_layer_says_runs_past_blocks_that_add_nothing(name):
    params = dict(params_of(name))
    last = {"bronet": ("norms_2", "norms_4"), **LAST_OF_BLOCKS}[name]
    for layer in last:
        params[layer] = scaled(params[layer], 0)
    got = forward(name)(params, VALUES)
    p = reference.f64(params)
    for row in range(ROWS):
        h = sum(VALUES[n][row].astype(np.float64) @ p["first"][n] for n, _ in INPUTS) + p["bias"]
        if name == "bronet":
            h = relu(norm(p["norms_0"], h))
        else:
            h = norm(p["norms_2" if name == "simba" else "norms_4"], h)
            h = reference.mish(h) if name == "residual_mlp" else h
        np.testing.assert_allclose(got[row], dense(p["head"], h), rtol=1e-3, atol=1e-4)


def test_the_last_layer_norm_of_simba_bounds_what_it_says_of_any_input():
    """|norm(h)| <= sqrt(width), so that no output is further from its bias than that times its column of the head."""
    params = dict(params_of("simba"))
    params["norms_2"] = {"scale": np.ones(WIDTH, "f"), "bias": np.zeros(WIDTH, "f")}
    head = reference.f64(params["head"])
    bound = np.sqrt(WIDTH) * np.sqrt(np.sum(head["kernel"] ** 2, axis=0))
    far = [np.abs(np.asarray(forward("simba")(params, scaled(VALUES, 10.0**k))) - head["bias"]) for k in range(-2, 6)]
    assert np.all(np.array(far) <= bound * (1 + 1e-4))
    assert np.max(np.array(far) / bound) > 0.5


@each
def test_fresh_parameters_are_those_of_the_paper(name):
    """Kernels orthogonal, those inside SimBa's blocks of variance 2 / inputs; zero biases, unit scales."""
    width, inputs = 48, (("a", 2), ("s", 4))
    make = {
        "bronet": lambda: bronet(inputs, width, 1, 2, 0.0),
        "simba": lambda: simba(inputs, width, 1, 2, 4, 0.0),
        "residual_mlp": lambda: residual_mlp(inputs, width, 1, 2, "relu", 0.0),
    }
    example = {n: jnp.zeros((1, size)) for n, size in inputs}
    params = jax.jit(make[name]().init, compiler_options=QUICK)(jax.random.PRNGKey(1), example)["params"]
    gain = 1.0 if name == "simba" else 2.0
    first = np.concatenate([params["first"][n] for n, _ in inputs])
    np.testing.assert_allclose(first @ first.T, gain * np.eye(6), atol=1e-4)
    head = np.asarray(params["head"]["kernel"])
    np.testing.assert_allclose(head.T @ head, gain * np.eye(2), atol=1e-4)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        layer, last = path[0].key, path[-1].key
        if last in ("bias", "scale"):
            np.testing.assert_array_equal(leaf, np.full(leaf.shape, float(last == "scale"), "f"))
        elif layer.startswith("layers"):
            np.testing.assert_allclose(leaf @ leaf.T, gain * np.eye(width), atol=1e-4)
        elif layer.startswith(("widen", "narrow")):
            # 9216 numbers of a normal cut at two standard deviations and widened again
            ideal = np.sqrt(2 / leaf.shape[0])
            assert abs(np.std(leaf) / ideal - 1) < 0.04 and abs(np.mean(leaf)) < 0.05 * ideal
            assert 1.8 * ideal < np.abs(leaf).max() < 2.3 * ideal
