from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.embeddings.fourier import fourier_features
from flowrl_dsl.components.embeddings.positional import positional_features
from flowrl_dsl.components.embeddings.raw import raw_time
from tests import reference
from tests.helpers import random_params

T = np.array([0.001, 0.3, 0.9946], "f")


def test_fourier_features_follow_their_formula_with_trained_frequencies():
    net = fourier_features(8, 0.2, 6)
    params = random_params(net, T)
    assert params["frequencies"].shape == (4,)
    for t, got in zip(T, net.apply({"params": params}, T), strict=True):
        np.testing.assert_allclose(got, reference.fourier(reference.f64(params), float(t)), rtol=1e-4, atol=1e-5)
    slope = jax.grad(lambda p: jnp.sum(net.apply({"params": p}, T) ** 2))(params)["frequencies"]
    assert (slope != 0).all()


def test_initial_frequencies_have_the_given_spread():
    params = jax.jit(fourier_features(400, 0.2, 1).init)(jax.random.PRNGKey(0), T[:1])["params"]
    assert float(jnp.std(params["frequencies"])) == pytest.approx(0.2, rel=0.2)
    assert float(jnp.mean(params["frequencies"])) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("fastest, inner", [(1000.0, None), (1.0, 7)])
def test_positional_features_follow_their_formula(fastest, inner):
    net = positional_features(6, 10_000.0, 5, fastest, inner)
    params = random_params(net, T)
    assert params["Dense_0"]["bias"].shape == (inner or 5,) and params["Dense_1"]["bias"].shape == (5,)
    p = reference.f64(params)
    for t, got in zip(T.astype(np.float64), net.apply({"params": params}, T), strict=True):
        np.testing.assert_allclose(got, reference.positional(p, t, 6, fastest), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("make", [lambda: fourier_features(8, 0.2, 6), lambda: positional_features(8, 1e4, 6)])
def test_a_scalar_time_is_one_row_and_axes_are_kept(make):
    net = make()
    params = {"params": random_params(net, T)}
    whole = net.apply(params, jnp.stack([T, T[::-1]]))
    assert whole.shape == (2, 3, 6)
    one = net.apply(params, jnp.float32(T[1]))
    assert one.shape == (6,)
    np.testing.assert_allclose(one, whole[0, 1], rtol=1e-4, atol=1e-5)


def test_the_raw_time_is_one_feature_without_parameters():
    variables = raw_time().init(jax.random.PRNGKey(0), T)
    assert not variables
    np.testing.assert_array_equal(raw_time().apply({}, T), T[:, None])
    np.testing.assert_array_equal(raw_time().apply({}, jnp.float32(0.3)), np.array([0.3], "f"))
