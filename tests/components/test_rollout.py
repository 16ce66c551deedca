"""Rollouts: their advantages, the parts that updates read, and the objective of the ratio of new to old likelihoods."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.adaptations.adaptive import by_divergence
from flowrl_dsl.components.sections.rollout import advantages
from flowrl_dsl.driver import build_program
from flowrl_dsl.testing.texts import check_valid

STEPS, ENVS, EPOCHS, PARTS = 6, 3, 2, 3
DISCOUNT, DECAY = 0.9, 0.7
TIMEOUTS = ("final_observation", "repeat_state", "end")
SPEC = """
algorithm small {{
  regime = on_policy
  order = [policy, value] -> targets
  rollout {{ steps = {steps}  epochs = {epochs}  minibatches = {parts}  advantage = {advantage} }}
  policy {{ backbone = gaussian(squash = false, clip = false)  network = mlp([5])  old = rollout  optimizer = {optimizer} }}
  value {{ fit = clipped_error(V(s), V(s) from old_value, returns, 0.2)  network = mlp([5])  old = rollout }}
  improve surrogate {{ objective = {objective} }}
  observe {{ normalize = {normalize} }}
  act {{ evaluate = mean }}
}}
"""
PLAIN = {
    "steps": STEPS,
    "epochs": EPOCHS,
    "parts": PARTS,
    "advantage": "gain",
    "objective": "clipped(ratio, gain, 0.2)",
    "normalize": "none",
    "optimizer": "adam(1e-2)",
}


@cache
def program(**changes: Any) -> Any:
    return build_program(check_valid(SPEC.format(**{**PLAIN, **changes})), 4, 2, envs=ENVS, capacity=STEPS * ENVS)


def rollout(seed: int = 0) -> dict[str, np.ndarray]:
    """A full storage: every field [steps envs, ...], step by step."""
    rng, rows = np.random.default_rng(seed), STEPS * ENVS
    end = (rng.uniform(size=rows) < 0.3).astype(np.float32)
    fields = {"s": rng.normal(2, 3, (rows, 4)), "s_next": rng.normal(2, 3, (rows, 4)), "a_drawn": rng.normal(size=(rows, 2))}
    fields |= {"r": rng.normal(size=rows), "end": end, "d": end * (rng.uniform(size=rows) < 0.5)}
    fields["a"] = np.clip(fields["a_drawn"], -1, 1)
    count = {"size": np.int32(rows), "total": np.int32(rows)}
    return {name: np.asarray(field, np.float32) for name, field in fields.items()} | count


def by_loop(r, d, end, v, v_next, timeout: str) -> np.ndarray:
    """One environment and one step at a time, in float64."""
    gain = np.zeros((STEPS, ENVS))
    shaped = [np.asarray(x, np.float64).reshape(STEPS, ENVS) for x in (r, d, end, v, v_next)]
    for e in range(ENVS):
        later = 0.0
        for t in reversed(range(STEPS)):
            r_t, d_t, end_t, v_t, v_after = (x[t, e] for x in shaped)
            if d_t:
                after = 0.0
            elif end_t:
                after = {"final_observation": v_after, "repeat_state": v_t, "end": 0.0}[timeout]
            else:
                after = v_after
            if end_t:
                later = 0.0
            later = r_t + DISCOUNT * after - v_t + DISCOUNT * DECAY * later
            gain[t, e] = later
    return gain.reshape(-1)


@given(st.integers(0, 10_000), st.sampled_from(TIMEOUTS))
@settings(max_examples=40, deadline=None)
def test_advantages_are_those_of_a_loop(seed: int, timeout: str) -> None:
    data, rng = rollout(seed), np.random.default_rng(seed + 1)
    v, v_next = rng.normal(size=(2, STEPS * ENVS)).astype(np.float32)
    given_ = (data["r"], data["d"], data["end"], v, v_next)
    gain, returns = advantages(*given_, DISCOUNT, DECAY, steps=STEPS, timeout=timeout)
    np.testing.assert_allclose(gain, by_loop(*given_, timeout), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns, gain + v, rtol=1e-6, atol=1e-6)


def test_advantages_of_whole_returns_are_discounted_sums() -> None:
    """With decay 1 and one episode that ends with the rollout, gain + v is the discounted sum of the rewards to come."""
    r, v = np.arange(1.0, STEPS + 1, dtype=np.float32), np.full(STEPS, 7.0, np.float32)
    end = np.eye(STEPS, dtype=np.float32)[-1]
    gain, returns = advantages(r, end, end, v, v, 0.5, 1.0, steps=STEPS, timeout="end")
    expected = [sum(0.5**k * r[t + k] for k in range(STEPS - t)) for t in range(STEPS)]
    np.testing.assert_allclose(returns, expected, rtol=1e-6)
    np.testing.assert_allclose(gain, np.array(expected) - 7.0, rtol=1e-6)


def test_environments_do_not_mix() -> None:
    data, order = rollout(), np.array([2, 0, 1])
    v = np.random.default_rng(5).normal(size=STEPS * ENVS).astype(np.float32)

    def moved(x):
        return np.asarray(x).reshape(STEPS, ENVS)[:, order].reshape(-1)

    rows = (data["r"], data["d"], data["end"], v, v[::-1])
    one, other = (advantages(*given_, DISCOUNT, DECAY, steps=STEPS, timeout="end")[0] for given_ in (rows, map(moved, rows)))
    np.testing.assert_array_equal(moved(one), other)


def prepared(made: Any, data: dict[str, np.ndarray], state: Any = None) -> dict[str, Any]:
    state = made.init(0) if state is None else state
    return dict(jax.jit(made._prepared)(state, data, made.on_device(made.hyper))[0])


def test_batches_have_the_actions_as_drawn_and_advantages_standardized_over_the_rollout() -> None:
    data = rollout()
    plain, scaled = prepared(program(), data), prepared(program(advantage="standardized(gain)"), data)
    np.testing.assert_array_equal(plain["a"], data["a_drawn"])
    gain = np.asarray(plain["gain"], np.float64)
    np.testing.assert_allclose(scaled["gain"], (gain - gain.mean()) / (gain.std() + 1e-8), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(plain["returns"], scaled["returns"])


def test_each_epoch_reads_every_transition_once() -> None:
    made, data = program(), rollout()
    state, seen = made.init(0), []
    for _ in range(EPOCHS * PARTS):
        seen.append(np.asarray(made.draw_batch(state, data)["r"]))
        state, _ = made.update(state, data, 1, made.hyper)
    for epoch in range(EPOCHS):
        rows = np.concatenate(seen[epoch * PARTS : (epoch + 1) * PARTS])
        np.testing.assert_array_equal(np.sort(rows), np.sort(data["r"]))


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_old_copies_and_moments_are_those_that_collected_until_the_rollout_is_used() -> None:
    made, data, updates = program(normalize="running"), rollout(), EPOCHS * PARTS
    first = jax.device_get(made.init(0))
    state, _ = made.update(made.init(0), data, updates - 1, made.hyper)
    state = jax.device_get(state)
    assert same(state["old_policy"], first["policy"]) and same(state["old_value"], first["value"])
    assert same(state["normalizer"], first["normalizer"]) and not same(state["policy"], first["policy"])
    state, _ = made.update(jax.tree.map(jnp.asarray, state), data, 1, made.hyper)
    state = jax.device_get(state)
    assert same(state["old_policy"], state["policy"]) and same(state["old_value"], state["value"])
    np.testing.assert_allclose(state["normalizer"]["mean"], data["s"].mean(axis=0), rtol=1e-5)
    # the next rollout is normalised with these moments, and moves them
    newer = rollout(1)
    found = prepared(made, newer, jax.tree.map(jnp.asarray, state))
    std = data["s"].astype(np.float64).std(axis=0)
    np.testing.assert_allclose(
        found["s"], np.clip((newer["s"] - data["s"].mean(axis=0)) / std, -10, 10), rtol=2e-4, atol=1e-4
    )


def test_updates_one_by_one_are_those_of_one_dispatch() -> None:
    made, data, updates = program(normalize="running"), rollout(), EPOCHS * PARTS
    at_once, _ = made.update(made.init(3), data, updates, made.hyper)
    state = made.init(3)
    for _ in range(updates):
        state, _ = made.update(state, data, 1, made.hyper)
    assert same(jax.device_get(at_once), jax.device_get(state))


def test_the_first_gradient_is_the_policy_gradient() -> None:
    """One step of size 1 of gradient descent on all transitions: the ratio is 1, and its gradient that of log pi gain."""
    made, data = program(epochs=1, parts=1, optimizer="sgd(1.0)"), rollout()
    data["s"] = 0.03 * data["s"]  # the means are within the bounds that acting clips to
    state = made.init(0)
    batch = prepared(made, data)
    before = jax.device_get(state["policy"])
    new, metrics = made.update(state, data, 1, made.hyper)
    assert abs(float(metrics["kl"])) < 1e-6
    moved = jax.tree.map(lambda x, y: np.asarray(x) - y, jax.device_get(new["policy"]), before)
    std, mean = np.exp(before["log_std"]), np.asarray(made.act(made.init(0), data["s"], 0, "evaluate", made.hyper)["action"])
    assert np.abs(mean).max() < 1
    error = (np.asarray(batch["a"], np.float64) - mean) / std
    slope = np.mean(np.asarray(batch["gain"], np.float64)[:, None] * (error**2 - 1), axis=0)
    np.testing.assert_allclose(moved["log_std"], slope, rtol=1e-3, atol=1e-5)
    head = np.mean(np.asarray(batch["gain"], np.float64)[:, None] * error / std, axis=0)
    np.testing.assert_allclose(moved["mean"]["head"]["bias"], head, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("objective", ["clipped(ratio, gain, 0.2)", "penalized(ratio, gain, 0.2)", "ratio * gain"])
def test_every_objective_has_the_same_first_gradient(objective: str) -> None:
    data, changes = rollout(), {"epochs": 1, "parts": 1, "optimizer": "sgd(1.0)"}
    plain, other = (program(**changes, objective=text) for text in ("ratio * gain", objective))
    one, two = (jax.device_get(made.update(made.init(0), data, 1, made.hyper)[0]["policy"]) for made in (plain, other))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_the_entropy_of_a_gaussian_is_in_closed_form() -> None:
    """sum_i log std_i + log(2 pi e) / 2 per component; its gradient moves every log std alike."""
    made, data = program(epochs=1, parts=1, optimizer="sgd(1.0)", objective="0 * ratio + 0.3 * entropy(s)"), rollout()
    state = made.init(0)
    before = jax.device_get(state["policy"])
    after = jax.device_get(made.update(state, data, 1, made.hyper)[0]["policy"])
    np.testing.assert_allclose(after["log_std"] - before["log_std"], 0.3, rtol=1e-5)
    assert same(after["mean"], before["mean"])


@pytest.mark.parametrize(
    ("kl", "expected"), [(0.021, 2 / 1.5), (0.02, 2.0), (0.005, 2.0), (0.004, 3.0), (0.0, 2.0), (1.0, 2 / 1.5)]
)
def test_a_step_size_follows_the_divergence(kl: float, expected: float) -> None:
    assert float(by_divergence(2.0, kl, 0.01, 1.5, 0.0, 10.0)) == pytest.approx(expected)
    assert 1.875 <= float(by_divergence(2.0, kl, 0.01, 1.5, 1.875, 2.125)) <= 2.125


def test_an_adaptive_rate_is_that_of_the_next_update() -> None:
    """A target that no step reaches lets the rate grow after every update but the first on a rollout, where the kl is 0."""
    text = SPEC.format(**{**PLAIN, "optimizer": "adam(rate)"}).replace(
        "order = [policy, value]", "order = [policy, value, rate]"
    )
    text = text.replace("{", "{\n  param rate = adaptive(1e-3, target_kl = 1e6) in [1e-4, 2e-3]", 1)
    made = build_program(check_valid(text), 4, 2, envs=ENVS, capacity=STEPS * ENVS)
    state, data, found = made.init(0), rollout(), []
    for _ in range(4):
        state, _ = made.update(state, data, 1, made.hyper)
        found.append(float(state["param.rate"]))
    np.testing.assert_allclose(found, [1e-3, 1.5e-3, 2e-3, 2e-3], rtol=1e-6)
