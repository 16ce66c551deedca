"""State values, imitation of the batch, and what updates read of a data set: against loops in NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from flowrl_dsl.components.actions.one_of import take_by_weight
from flowrl_dsl.components.sections.data import STATISTICS, inside_window
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference

TAU, BETA, CAP, DISCOUNT = 0.7, 3.0, 4.0, 0.9
IQL = f"""
algorithm small {{
  regime = offline
  order  = value -> [policy, critic] -> targets
  let q = min(Q_target(s, a), over = ensemble)
  data {{ reward = 10 * r / (return_max - return_min)  clip = 0.5 }}
  observe {{ normalize = data }}
  value {{ fit = expectile(q - V(s), {TAU})  network = mlp([8], activation = tanh) }}
  critic {{ network = mlp([8], activation = tanh)  discount = {DISCOUNT}  backup = td(r, d, discount, V(s_next)) }}
  policy {{ backbone = gaussian  network = mlp([8], activation = tanh) }}
  improve imitation {{ weight = exponential_advantage(q, V(s), {BETA}, {CAP}) }}
  train {{ batch = 9 }}
  act {{ evaluate = one_of(5, weight = softmax(min(Q(s, a), over = ensemble), over = particle)) }}
}}
"""


@cache
def seen() -> Trial:
    return trial(IQL)


@cache
def rows() -> dict[str, np.ndarray]:
    """The batch as the stages read it: normalised observations, clipped actions, scaled rewards."""
    one = seen()
    moments = reference.f64(one.state["normalizer"])
    batch = {name: np.asarray(value, np.float64) for name, value in one.batch.items()}
    normalised = {name: (batch[name] - moments["mean"]) / moments["std"] for name in ("s", "s_next")}
    low, high, bound = (one.hyper[f"data.{name}"] for name in ("return_min", "return_max", "clip"))
    return batch | normalised | {"a": np.clip(batch["a"], -bound, bound), "r": 10 * batch["r"] / (high - low)}


def v(params, s) -> float:
    return reference.mlp(reference.f64(params), [s], ["s"], "tanh")[0]


def lowest(params, k: int) -> float:
    return reference.q_values(reference.f64(params), rows()["s"][k], rows()["a"][k]).min()


def test_values_are_fitted_to_an_expectile():
    one, errors = seen(), []
    for k, s in enumerate(rows()["s"]):
        x = lowest(one.state["critic_target"], k) - v(one.state["value"], s)
        errors.append((TAU if x > 0 else 1 - TAU) * x**2)
    assert float(one.stepped[1]["value_loss"]) == pytest.approx(np.mean(errors), rel=1e-3)


def test_the_backup_reads_the_values_just_written():
    one, data = seen(), rows()
    new = one.stepped[0]["value"]
    expected = [data["r"][k] + DISCOUNT * (1 - data["d"][k]) * v(new, data["s_next"][k]) for k in range(len(data["r"]))]
    np.testing.assert_allclose(one.interpreted["critic.y"], expected, rtol=1e-3, atol=1e-4)


def test_the_policy_imitates_by_weight():
    one, data, losses = seen(), rows(), []
    policy, new = reference.f64(one.state["policy"]), one.stepped[0]["value"]
    for k, (s, a) in enumerate(zip(data["s"], data["a"], strict=True)):
        weight = min(np.exp(BETA * (lowest(one.state["critic_target"], k) - v(new, s))), CAP)
        mean = np.tanh(reference.mlp(policy["mean"], [s], ["s"], "tanh"))
        density = -0.5 * ((a - mean) / np.exp(policy["log_std"])) ** 2 - policy["log_std"] - 0.5 * np.log(2 * np.pi)
        losses.append(-weight * density.sum())
    assert float(one.stepped[1]["policy_loss"]) == pytest.approx(np.mean(losses), rel=1e-3)


def test_moments_of_a_data_set_stay_as_they_are():
    before, after = seen().state["normalizer"], seen().stepped[0]["normalizer"]
    for name in ("mean", "std"):
        np.testing.assert_array_equal(before[name], after[name])


def test_statistics_are_inputs_of_the_program():
    inputs = {name.removeprefix("data.") for name in seen().program.hyper if name.startswith("data.")}
    assert inputs == {"return_min", "return_max", "clip"} and inputs - {"clip"} < {*STATISTICS}


def test_rewards_outside_of_a_window_stay_zero():
    windows = np.array([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]], np.float32)
    found = inside_window(windows - 1, np.array([1.0, 3.0], np.float32))
    np.testing.assert_array_equal(found, [[1, 0, 0], [6, 10, 12]])


def test_one_of_draws_in_proportion_to_the_weights():
    import jax

    count = 20_000
    a = np.broadcast_to(np.arange(4.0, dtype=np.float32)[:, None], (count, 4, 1))
    weight = np.broadcast_to(np.array([1.0, -3.0, 2.0, 5.0], np.float32), (count, 4))
    shares = np.bincount(np.asarray(take_by_weight(jax.random.key(0), a, weight))[:, 0].astype(int), minlength=4) / count
    np.testing.assert_allclose(shares, [1 / 8, 0, 2 / 8, 5 / 8], atol=0.015)
    none = take_by_weight(jax.random.key(1), a, np.zeros_like(weight))
    np.testing.assert_allclose(np.bincount(np.asarray(none)[:, 0].astype(int)) / count, 0.25, atol=0.015)


def test_one_of_takes_the_best_where_it_has_all_the_weight():
    import jax

    a = np.random.default_rng(0).normal(size=(50, 6, 2)).astype(np.float32)
    q = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    best = np.eye(6, dtype=np.float32)[q.argmax(axis=1)]
    np.testing.assert_array_equal(take_by_weight(jax.random.key(0), a, best), a[np.arange(50), q.argmax(axis=1)])
