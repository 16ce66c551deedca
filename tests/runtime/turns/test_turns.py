"""A turn is written once: a training, its rerun from logged rows and joined members do the same, whichever turn it is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import registry
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.population import Population, SharedDisplay
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.turns.base import named
from tests.runtime.test_train import _same
from tests.runtime.toy_program import ToyProgram, toy_settings
from tests.runtime.toy_run import Quiet, train
from tests.runtime.turns import rounds

TASK = "InvertedPendulum-v5"
TURNS = sorted(registry.names_of("turn"))
assert {"off_policy", rounds.Rounds.name} <= set(TURNS)

COUNTS = {"on_policy": {"updates": 10, "rollout": 10}}
"""Counts of a toy run with a turn: as many updates as steps."""

CHOSEN, RANDOM = "step with the policy's actions", "step with random actions"


class Recorder:
    """A player that notes what it is asked."""

    def __init__(self, **counts: int):
        self.settings = toy_settings("task", **counts)
        self.step, self.asked = 0, []

    def act(self) -> str:
        self.asked.append("act")
        return "the policy's"

    fills = False

    def random_actions(self) -> str:
        return "random"

    def update(self, count: int) -> None:
        self.asked.append(f"update {count}")

    def iterate(self, steps: int, *, between: int | None = None, after: int | None = None) -> bool:
        return False

    def count_step(self) -> None:
        self.asked.append("count")
        self.step += self.settings.envs

    def interact(self, actions: str) -> None:
        self.asked.append(f"step with {actions} actions")
        self.step += self.settings.envs


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"warmup": 2}, [RANDOM] * 2 + ["act", "update 1", CHOSEN] * 2),
        # one transition must be there to learn from
        ({"warmup": 0, "updates": 2, "envs": 3}, ["act", CHOSEN] + ["act", "update 6", CHOSEN] * 3),
        ({"warmup": 4, "envs": 3}, [RANDOM] * 2 + ["act", "update 3", CHOSEN] * 2),
    ],
)
def test_off_policy_updates_after_it_acts_and_before_it_steps(counts: dict[str, int], expected: list[str]) -> None:
    player, turn = Recorder(**counts), named("off_policy")
    for _ in range(4):
        turn.advance(player)
    assert player.asked == expected


def test_offline_steps_are_updates() -> None:
    player, turn = Recorder(updates=2, warmup=5), named("offline")
    for _ in range(2):
        turn.advance(player)
    assert player.asked == ["update 2", "count"] * 2


def test_after_its_offline_steps_an_algorithm_acts_and_never_at_random() -> None:
    player, turn = Recorder(updates=2, warmup=9, envs=2, offline=3), named("offline_to_online")
    for _ in range(4):
        turn.advance(player)
    assert player.asked == ["update 4", "count"] * 2 + ["act", "update 4", CHOSEN] * 2


def test_on_policy_updates_after_each_rollout() -> None:
    player, turn = Recorder(updates=6, warmup=9, envs=2, rollout=3), named("on_policy")
    for _ in range(6):
        turn.advance(player)
    assert player.asked == (["act", CHOSEN] * 3 + ["update 6"]) * 2


@pytest.mark.parametrize("name", ["off_policy", "offline", "offline_to_online", "on_policy"])
def test_the_shortest_run_with_an_update(name: str) -> None:
    turn = named(name)

    def updates(steps: int) -> int:
        player = Recorder(warmup=7, envs=2, rollout=5)
        while player.step < steps:
            turn.advance(player)
        return sum(one.startswith("update") for one in player.asked)

    needed = turn.steps_to_update(Recorder(warmup=7, envs=2, rollout=5).settings)
    assert updates(needed) >= 1 and updates(needed - 1) == 0


def test_an_unknown_turn_is_the_authors_mistake() -> None:
    with pytest.raises(ValueError, match=r'unknown turn "of_policy"; known: off_policy'):
        named("of_policy")


@pytest.mark.parametrize("turn", TURNS)
def test_the_rerun_from_logged_rows_leads_to_the_state_before_the_bad_update(turn: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"FRL0420.*update 230"):
        train(tmp_path / "bad", blow_up_at=230, turn=turn, **COUNTS.get(turn, {}))
    steps = {"off_policy": 280, "offline": 230, "offline_to_online": 230, "on_policy": 230}.get(turn, 275)
    good = train(tmp_path / "good", steps=steps, turn=turn, **COUNTS.get(turn, {}))
    assert good.updates == 230
    loaded = Checkpoints(tmp_path / "good").load()
    saved = dict(np.load(tmp_path / "bad/nonfinite/state.npz"))
    assert {f"_{name}" for name in loaded.state} == set(saved)
    assert all(np.array_equal(saved[f"_{name}"], array) for name, array in loaded.state.items())


@pytest.mark.parametrize("turn", TURNS)
def test_a_bad_update_in_the_middle_of_a_dispatch_is_found(turn: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"FRL0420.*update 232"):
        train(tmp_path / "bad", blow_up_at=232, turn=turn, envs=2, **COUNTS.get(turn, {}))
    assert np.load(tmp_path / "bad/nonfinite/state.npz")["_['step']"] == 232


@pytest.mark.parametrize("turn", TURNS)
def test_an_interrupted_run_goes_on_bit_for_bit(turn: str, tmp_path: Path) -> None:
    counts = COUNTS.get(turn, {})
    train(tmp_path / "whole", turn=turn, **counts)
    with pytest.raises(Interrupted):
        interrupt = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 250 else None  # noqa: E731
        train(tmp_path / "parts", at_log=interrupt, turn=turn, **counts)
    train(tmp_path / "parts", turn=turn, **counts)
    _same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("turn", TURNS)
def test_joined_members_take_the_turns_that_they_take_alone(turn: str, tmp_path: Path) -> None:
    program = ToyProgram(4, 1)
    shared = SharedDisplay(Quiet(200))

    def member(seed: int, name: str, display) -> Training:
        folder = RunFolder.create(tmp_path, "toy", TASK, seed, {}, out=tmp_path / name)
        counts = {"steps": 200, "envs": 2, **COUNTS.get(turn, {})}
        return Training(program, toy_settings(TASK, seed, **counts), folder, display, turn=turn)

    members = {name: member(seed, name, shared.of(name)) for name, seed in (("one", 1), ("two", 2))}
    assert Population(members, shared, joined=True).run() == {}
    for name, seed in (("one", 1), ("two", 2)):
        alone = member(seed, f"{name}_alone", Quiet(200))
        alone.run()
        joined = members[name]
        counters = [(one.step, one.iteration, one.updates, one.replay.total) for one in (joined, alone)]
        assert counters[0] == counters[1] and alone.updates > 0
        found, expected = (RunFolder(tmp_path / folder).records() for folder in (name, f"{name}_alone"))
        # random actions and the first updates; later a rounding may have led the policy elsewhere
        for key in ("step", "updates", "episodes", "return", "length"):
            assert found[0][key] == expected[0][key]
        assert found[1]["critic.loss"] == pytest.approx(expected[1]["critic.loss"], rel=1e-3)
