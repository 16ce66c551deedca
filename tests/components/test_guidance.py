"""Guidance against its closed forms: a loss linear in the prediction, and the best prediction beside imitation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.common import weighted_squared_error
from flowrl_dsl.components.mechanisms.guidance import mean_product
from flowrl_dsl.formula import Formula
from tests.components.losses import DATA, f64, flow
from tests.helpers import A_T, algorithm, ew, grad, improve, loss_of, net, policy, random_state, red, sampler, var
from tests.helpers import S as S_

ALONG = Formula(ew("mul", var("sigma", "batch"), grad(red("mean", net("Q_target", S_, A_T), "ensemble"), A_T)))


@pytest.mark.parametrize("backbone", ["diffusion", "flow"])
def test_the_loss_is_the_mean_product_of_the_field_and_the_prediction(backbone):
    own = policy() if backbone == "diffusion" else policy(flow(), sampler=sampler("heun"))
    alg = algorithm(improve("guidance", along=ALONG), policy=own)
    seen = loss_of(alg, random_state(alg, 4), DATA, gradient=True)
    along, said = f64(seen["along"]), f64(seen["eps"])
    assert along.shape == said.shape == (8, 2) and np.abs(along).min() > 0
    total = sum(along[i, j] * said[i, j] for i, j in np.ndindex(along.shape)) / along.size
    assert float(seen.outputs["loss"]) == pytest.approx(total, rel=1e-4)


def test_with_imitation_the_best_prediction_is_the_noise_less_half_the_field():
    """eta mean (eps - noise)^2 + mean (along eps) is stationary at eps = noise - along / (2 eta)."""
    random, eta = np.random.default_rng(0), 0.3
    noise, along = (random.normal(size=(6, 2)).astype("f") for _ in range(2))

    def total(eps):
        return eta * weighted_squared_error(eps, noise, jnp.ones(6)) + mean_product(along, eps)

    np.testing.assert_allclose(jax.grad(total)(noise - along / (2 * eta)), 0.0, atol=1e-6)
