"""The chain whose values and advantages are known, and an algorithm that must find them."""

from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.testing.on_policy_answers import Bandit, Chain, learn

CHAIN = Chain()


def test_values_of_uniform_actions_are_integrals() -> None:
    """E[(a - 0.5)^2] = 1/3 + 1/4 over [-1, 1], on either side; half of the first actions lead to each state."""
    grid = (np.arange(20_000) + 0.5) / 10_000 - 1
    left, right = 0.5 - 7 / 12, 1 - 7 / 12
    expected = [0.99 * (left + right) / 2, right, left]
    np.testing.assert_allclose(CHAIN.values(np.tile(grid[:, None], (3, 1, 1))), expected, atol=1e-6)


def test_advantages_are_zero_in_the_mean_of_the_policy_and_differences_of_returns() -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 500, 1))
    values = CHAIN.values(actions)
    for state in range(3):
        found = CHAIN.advantages(np.full(500, state), actions[state], values)
        assert abs(found.mean()) < 1e-12
    pair = CHAIN.advantages(np.array([1, 1]), np.array([[0.5], [0.0]]), values)
    assert pair[0] - pair[1] == pytest.approx(0.25)
    first = CHAIN.advantages(np.array([0, 0]), np.array([[0.1], [-0.1]]), values)
    assert first[0] - first[1] == pytest.approx(0.99 * (values[1] - values[2]))


def test_the_best_return_of_the_chain_is_the_discount() -> None:
    best = np.array([0.3, 0.5, -0.5])[:, None, None]
    np.testing.assert_allclose(CHAIN.values(best), [0.99, 1.0, 0.5])


def test_bandits_end_at_once() -> None:
    reward, ends, after = Bandit("ring").step(np.zeros(2, int), np.array([[0.7, 0.0], [0.0, 0.0]]))
    assert ends.all() and not after.any() and reward[0] > reward[1]


def test_ppo_learns_the_values_of_its_policy_and_advantages_follow_them() -> None:
    small = ("rollout.epochs=4", "rollout.minibatches=2", "rollout.decay=0", "value.network=mlp([16])")
    rates = ("value.optimizer=adam(2e-2)", "policy.optimizer=adam(2e-3)", "policy.network=mlp([8], head = 0.01)")
    found = learn("ppo", CHAIN, sets=(*small, *rates), rollouts=20, draws=500)
    exact = CHAIN.values(found.actions)
    state, a, gain = found.gains
    assert np.sqrt(np.mean(np.square(found.values - exact)[state])) < 0.12
    assert np.corrcoef(CHAIN.advantages(state, a, exact), gain)[0, 1] > 0.9
    assert exact[0] > 0.6  # of the first policy, a Gaussian of deviation 1, it is 0
