from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flowrl_dsl.components.activations import activation_function, mish, quick_mish
from flowrl_dsl.components.first_layer import orthogonal_by_input
from flowrl_dsl.components.networks.mlp import mlp
from flowrl_dsl.components.stored import dense_layer
from tests import reference
from tests.helpers import random_params

INPUTS = (("a", 2), ("t", 3), ("s", 4))
VALUES = {name: np.random.default_rng(i).normal(size=(5, size)).astype("f") for i, (name, size) in enumerate(INPUTS)}


def make(activation="mish", layer_norm=False, sizes=(8, 6)):
    net = mlp(INPUTS, sizes, 2, activation, layer_norm)
    return net, random_params(net, VALUES)


@pytest.mark.parametrize("activation", ["mish", "relu", "tanh"])
def test_named_kernels_equal_one_dense_layer_on_the_concatenation(activation):
    net, params = make(activation)
    got = net.apply({"params": params}, VALUES)
    for row in range(5):
        inputs = [VALUES[name][row].astype(np.float64) for name, _ in INPUTS]
        expected = reference.mlp(reference.f64(params), inputs, [name for name, _ in INPUTS], activation)
        np.testing.assert_allclose(got[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("known", [("s",), ("t",), ("s", "t"), ("a", "s")])
def test_what_is_projected_beforehand_and_the_rest_make_the_whole(known):
    net, params = make()
    projected = net.apply({"params": params}, {n: VALUES[n] for n in known}, method="project")
    rest = {n: v for n, v in VALUES.items() if n not in known}
    whole = net.apply({"params": params}, VALUES)
    np.testing.assert_allclose(net.apply({"params": params}, rest, projected), whole, rtol=1e-4, atol=1e-5)


def test_a_projection_is_shared_by_particles_and_a_single_row_by_all():
    net, params = make()
    a = np.random.default_rng(5).normal(size=(5, 7, 2)).astype("f")
    projected = net.apply({"params": params}, {"s": VALUES["s"][:, None]}, method="project")
    got = net.apply({"params": params}, {"a": a, "t": VALUES["t"][0]}, projected)
    assert got.shape == (5, 7, 2)
    for i, j in np.ndindex(5, 7):
        row = {"a": a[i, j], "t": VALUES["t"][0], "s": VALUES["s"][i]}
        np.testing.assert_allclose(got[i, j], net.apply({"params": params}, row), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first, second, width", [(1, 1, 1), (2, 3, 8), (4, 3, 5), (1, 6, 7)])
def test_the_first_layer_is_one_orthogonal_matrix_of_gain_root_two(first, second, width):
    kernels = orthogonal_by_input(jax.random.PRNGKey(first), (("x", first), ("y", second)), width)
    assert {name: k.shape for name, k in kernels.items()} == {"x": (first, width), "y": (second, width)}
    whole = np.concatenate([kernels["x"], kernels["y"]])
    gram = whole @ whole.T if first + second <= width else whole.T @ whole
    np.testing.assert_allclose(gram, 2 * np.eye(min(first + second, width)), atol=1e-5)


def test_fresh_parameters_have_orthogonal_kernels_and_zero_biases():
    params = mlp(INPUTS, (8, 6), 2, "relu", True).init(jax.random.PRNGKey(0), VALUES)["params"]
    hidden = np.asarray(params["hidden_0"]["kernel"])
    np.testing.assert_allclose(hidden.T @ hidden, 2 * np.eye(6), atol=1e-5)
    for bias in (params["bias"], params["hidden_0"]["bias"], params["head"]["bias"], params["norms_0"]["bias"]):
        assert not np.any(bias)


@pytest.mark.parametrize("activation", ["relu", "mish"])
def test_layer_norm_normalises_before_the_activation(activation):
    net, params = make(activation, layer_norm=True)
    p = reference.f64(params)
    got = net.apply({"params": params}, VALUES)
    for row in range(5):
        h = sum(VALUES[name][row].astype(np.float64) @ p["first"][name] for name, _ in INPUTS) + p["bias"]
        for i in range(2):
            h = h @ p["hidden_0"]["kernel"] + p["hidden_0"]["bias"] if i else h
            h = (h - h.mean()) / np.sqrt(h.var() + 1e-6) * p[f"norms_{i}"]["scale"] + p[f"norms_{i}"]["bias"]
            h = reference.ACTIVATIONS[activation](h)
        np.testing.assert_allclose(got[row], h @ p["head"]["kernel"] + p["head"]["bias"], rtol=1e-3, atol=1e-4)


EXACT = {
    "mish": reference.mish,
    "quick_mish": reference.mish,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "silu": lambda x: x * np.exp(-np.logaddexp(0, -x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    # the tanh form of the Gaussian error linear unit, which jax takes by default
    "gelu": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
}
RANGE = np.concatenate([-np.logspace(4, -6, 60), [0.0], np.logspace(-6, 4, 60), np.linspace(-30, 30, 121), [19.99, 20.01]])


@pytest.mark.parametrize("name", EXACT)
def test_activations_equal_their_definition_over_a_wide_range(name):
    x = RANGE.astype("f")
    got = np.asarray(activation_function(name)(jnp.asarray(x)), np.float64)
    np.testing.assert_allclose(got, EXACT[name](x.astype(np.float64)), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("mish", [mish, quick_mish])
def test_mish_keeps_its_relative_precision_where_it_is_small(mish):
    x = np.concatenate([-np.linspace(1, 60, 60), np.logspace(-6, 0, 20), -np.logspace(-6, 0, 20)]).astype("f")
    exact = x.astype(np.float64) * np.tanh(np.log1p(np.exp(x.astype(np.float64))))
    np.testing.assert_allclose(np.asarray(mish(jnp.asarray(x)), np.float64), exact, rtol=2e-6)


@pytest.mark.parametrize("name", EXACT)
def test_activations_have_finite_and_right_gradients(name):
    x = RANGE[np.abs(RANGE) > 1e-3].astype("f")
    slope = np.asarray(jax.vmap(jax.grad(activation_function(name)))(jnp.asarray(x)), np.float64)
    assert np.isfinite(slope).all()
    x = x.astype(np.float64)
    h = 1e-6 * np.maximum(1, np.abs(x))
    np.testing.assert_allclose(slope, (EXACT[name](x + h) - EXACT[name](x - h)) / (2 * h), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mish", [mish, quick_mish])
def test_mish_of_infinities_and_of_zero(mish):
    assert float(mish(jnp.inf)) == jnp.inf
    assert float(mish(0.0)) == 0.0
    assert float(jax.grad(mish)(0.0)) == pytest.approx(0.6)


def test_both_ways_of_computing_mish_have_the_same_second_derivative():
    x = jnp.linspace(-8, 25, 200)
    quick, plain = (jax.vmap(jax.grad(jax.grad(f)))(x) for f in (quick_mish, mish))
    np.testing.assert_allclose(quick, plain, atol=2e-5)


def test_a_network_does_not_ask_how_stored_parameters_began():
    """flax would trace it at each use; what is not stored is begun, and what is stored is read."""
    asked = []

    def rule(key, shape, dtype=jnp.float32):
        asked.append(shape)
        return jax.random.normal(key, shape, dtype)

    layer, x = dense_layer()(3, kernel_init=rule), np.ones((2, 4), "f")
    params = layer.init(jax.random.PRNGKey(0), x)["params"]
    assert asked == [(4, 3)]
    np.testing.assert_allclose(layer.apply({"params": params}, x), x @ params["kernel"] + params["bias"], rtol=1e-6)
    assert asked == [(4, 3)]
    whole = nn.Dense(3, kernel_init=rule).init(jax.random.PRNGKey(0), x)["params"]
    jax.tree.map(np.testing.assert_array_equal, params, whole)


def test_layer_norm_may_follow_the_activation():
    net, params = make("tanh", layer_norm="after")
    p = reference.f64(params)
    row = {name: np.random.default_rng(3).normal(size=size) for name, size in INPUTS}
    h = sum(row[name] @ p["first"][name] for name, _ in INPUTS) + p["bias"]
    for i in range(2):
        h = h @ p[f"hidden_{i - 1}"]["kernel"] + p[f"hidden_{i - 1}"]["bias"] if i else h
        h = np.tanh(h)
        h = (h - h.mean()) / np.sqrt(h.var() + 1e-6) * p[f"norms_{i}"]["scale"] + p[f"norms_{i}"]["bias"]
    expected = h @ p["head"]["kernel"] + p["head"]["bias"]
    got = net.apply({"params": params}, {name: value.astype("f") for name, value in row.items()})
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
