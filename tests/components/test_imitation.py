"""Every backbone that can be drawn to given actions: weighted regression on proposals, against loops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.registry import members_of
from tests.helpers import algorithm, batch, component, drawn, improve, loss_of, mlp, policy, random_state, seq

DATA = batch(3)
BACKBONES = ("deterministic", "gaussian", "tanh_gaussian")


def seen_of(backbone: str, **options):
    made = component("backbone", backbone)
    alg = algorithm(
        improve("weighted_regression", particles=drawn(4, "policy_target"), **options),
        order=seq("critic", "policy", "targets"),
        policy=policy(made, network=mlp(8, activation="tanh"), target=component("target", "copy", every=100)),
    )
    state = random_state(alg, 5)
    return loss_of(alg, state, DATA), state["policy"], np.asarray(DATA["s"], np.float64)


def test_deterministic_policies_are_drawn_by_weighted_squares():
    seen, _, _ = seen_of("deterministic")
    own, a, w = (np.asarray(seen[name], np.float64) for name in ("imitating", "proposals", "fixed_weight"))
    total = sum(w[i, n] * np.mean((own[i] - a[i, n]) ** 2) for i, n in np.ndindex(w.shape)) / len(w)
    assert own.shape == (8, 2) and float(seen.outputs["loss"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("backbone", ["gaussian", "tanh_gaussian"])
def test_densities_are_drawn_by_weighted_likelihood(backbone):
    seen, _, _ = seen_of(backbone)
    density, w = (np.asarray(seen[name], np.float64) for name in ("log_prob", "fixed_weight"))
    assert density.shape == w.shape == (8, 4)
    total = -sum(w[i, n] * density[i, n] for i, n in np.ndindex(w.shape)) / len(w)
    assert float(seen.outputs["loss"]) == pytest.approx(total, rel=1e-4)


def test_a_gaussian_fitted_to_proposals_has_their_density():
    """log N(a; mean, std^2) of each proposal, from the parameters."""
    seen, params, _ = seen_of("gaussian")
    a, mean = np.asarray(seen["proposals"], np.float64), np.asarray(seen["density_mean"], np.float64)
    std = np.exp(np.asarray(params["log_std"], np.float64))
    for i, n in np.ndindex(a.shape[:2]):
        expected = np.sum(-0.5 * ((a[i, n] - mean[i]) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi))
        assert float(seen["log_prob"][i, n]) == pytest.approx(expected, rel=1e-3)


def test_what_offers_imitation_says_so():
    """The capability stands exactly where the method does; a generator and an energy have no regression of their own."""
    from flowrl_dsl.components.base import Backbone

    for name, cls in members_of("backbone").items():
        assert ("imitation" in cls.provides) == (cls.imitate is not Backbone.imitate), name
    assert {name for name, cls in members_of("backbone").items() if "imitation" not in cls.provides} == {
        "generator",
        "energy",
        "coupled_flow",
    }
