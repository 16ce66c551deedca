"""Phases: which updates they span, what happens where one begins, and the program against separate ones, one by one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from flowrl_dsl.lowering.program import Program
from flowrl_dsl.testing.trees import assert_close, assert_equal, on_host
from flowrl_dsl.testing.trials import Trial, trial
from flowrl_dsl.testing.values import check_passes_keep_values, check_printed, check_three_ways

FIRST, SECOND = "behavior -> targets", "critic -> [behavior, policy] -> targets"
NEVER = 1_000_000
BEGIN = "begin = [copy(behavior_target, policy), reset(behavior)]"


def text(head: str) -> str:
    return f"""
algorithm small {{
  regime = offline
  {head}
  policy {{ backbone = deterministic  network = mlp([8])  target = ema(0.1) }}
  policy behavior {{ backbone = deterministic  network = mlp([8])  target = ema(0.2)  improve imitation {{ }} }}
  critic {{ network = mlp([8])  next_action = sample from behavior_target }}
  train {{ batch = 9 }}
  act {{ evaluate = sample from policy_target }}
  improve reparameterized {{ }}
}}
"""


@cache
def phased() -> Trial:
    return trial(text(f"phase pretrain {{ updates = 3  order = {FIRST} }} phase main {{ order = {SECOND}  {BEGIN} }}"))


@cache
def alone(order: str) -> Program:
    return trial(text(f"order = {order}")).program


def step(program: Program, state: dict[str, Any]) -> dict[str, Any]:
    """The state after one more update on the batch of the trial."""
    return on_host(program.step({name: value for name, value in state.items()}, phased().batch, program.hyper)[0])


@cache
def states() -> list[dict[str, Any]]:
    """The states after 0, 1, ... updates of the program with phases."""
    found = [on_host(phased().program.init(0))]
    for _ in range(6):
        found.append(step(phased().program, found[-1]))
    return found


@cache
def one_by_one() -> list[dict[str, Any]]:
    """The same by two programs without phases, with the beginning of the second phase done between them by NumPy."""
    first = alone(f"behavior -> targets -> after({NEVER}, critic -> policy)")
    found = [on_host(first.init(0))]
    for _ in range(3):
        found.append(step(first, found[-1]))
    state = dict(found[-1])
    state |= dict.fromkeys(("policy", "policy_target"), state["behavior_target"])
    state["behavior_opt"] = found[0]["behavior_opt"]
    for _ in range(3):
        state = step(alone(SECOND), state)
        found.append(state)
    return found


@pytest.mark.parametrize("k", range(7))
def test_the_parameters_are_those_of_separate_programs(k: int) -> None:
    assert states()[k].keys() == one_by_one()[k].keys()
    for name, value in states()[k].items():
        assert_close(name, value, one_by_one()[k][name])


@pytest.mark.parametrize("k", range(3))
def test_what_no_stage_of_a_phase_moves_stays_as_it_is(k: int) -> None:
    for name in ("critic", "critic_opt", "policy", "policy_opt"):
        assert_equal(name, states()[k + 1][name], states()[0][name])
    assert not np.array_equal(leaf(states()[k + 1]["behavior"]), leaf(states()[k]["behavior"]))


def leaf(tree: Any) -> np.ndarray:
    while isinstance(tree, dict):
        tree = next(iter(tree.values()))
    return np.asarray(tree)


def test_a_phase_begins_in_one_update_only() -> None:
    """Adam counts its steps: those of the behaviour begin anew at update 3."""
    counts = [int(state["behavior_opt"].count) for state in states()]
    assert counts == [0, 1, 2, 3, 1, 2, 3]
    assert [int(state["policy_opt"].count) for state in states()] == [0, 0, 0, 0, 1, 2, 3]


def test_metrics_have_one_name_in_all_phases() -> None:
    metrics = [on_host(phased().program.step(dict(states()[k]), phased().batch, phased().hyper)[1]) for k in (1, 4)]
    assert metrics[0].keys() == metrics[1].keys() and not [name for name in metrics[0] if name.endswith("_2")]
    assert np.isfinite([one["behavior_loss"] for one in metrics]).all()
    assert metrics[0]["ran.critic_loss"] == metrics[0]["critic_loss"] == 0
    assert metrics[1]["ran.critic_loss"] == 1 and np.isfinite(metrics[1]["critic_loss"])
    assert [one["ran.behavior_loss"] for one in metrics] == [1, 1]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_printed_and_interpreted_equal_compiled_around_a_boundary(k: int) -> None:
    one = Trial(phased().algorithm)
    one.__dict__["state"] = one.__dict__["fresh"] = states()[k]
    check_three_ways(one)
    check_printed(one)
    check_passes_keep_values(one)
