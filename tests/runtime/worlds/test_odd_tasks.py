"""Tasks of other people: each trains, or ends with a coded diagnostic that names the task, the step and its file."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.evaluation import evaluate
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.worlds import base, boundary, catalogue
from flowrl_dsl.runtime.worlds.generators import Generators
from tests.runtime.toy_run import train
from tests.runtime.worlds import odd

BUDGET = {"steps": 40, "warmup": 10, "evaluate_every": 20, "log_every": 20, "checkpoint_every": 20}

TRAINS = [
    odd.Tank,
    odd.ReusedArray,
    odd.WritesOnActions,
    odd.UnevenBounds,
    odd.NothingToChoose,
    odd.Picture,
    odd.OneNumber,
    odd.Composite,
    odd.OneStep,
    odd.OwnClock,
    odd.CannotClose,
    odd.GlobalDraws,
    odd.normalized,
]
ENDS = {
    odd.FewNumbers: "FRL0404.*observation of shape \\(2,\\) at a reset, but its observation space has shape \\(3,\\)",
    odd.Broadcastable: "FRL0404.*observation of shape \\(1,\\) at a reset",
    odd.Grows: "FRL0404.*observation of shape \\(4,\\) at step 3 of an episode",
    odd.Nothing: "FRL0404.*observations of shape \\(0,\\)",
    odd.NoSpace: "FRL0409.*has no observation_space",
    odd.NotANumber: "FRL0406.*observation at step 3 of an episode: entry 1 is nan",
    odd.NotANumberAtReset: "FRL0406.*observation at a reset: entry 0 is inf",
    odd.TooLarge: "FRL0406.*entry 2 is inf",
    odd.OldReset: "FRL0409.*value of type ndarray from `reset`",
    odd.OldStep: "FRL0409.*from `step` at step 1 of an episode, but `step` returns five values",
    odd.ListedReward: "FRL0409.*the reward array.* at step 1 of an episode, but a reward is one number",
    odd.NoReward: "FRL0409.*the reward None",
    odd.InfiniteReward: "FRL0406.*the reward inf at step 1",
    odd.NoEnd: "FRL0409.*terminated = None",
    odd.Leaves: "FRL0405.*failed at step 5 of an episode: SystemExit: no licence",
    odd.OnlyOne: "FRL0405.*the port is in use.*evaluation needs copies of its own",
}


@pytest.mark.parametrize("task", TRAINS, ids=lambda task: task.__name__)
def test_an_odd_task_trains_the_same_each_time(task: Any, tmp_path: Path, recwarn) -> None:
    runs = [train(tmp_path / name, odd.named(task), **BUDGET) for name in ("one", "two")]
    one, two = ((run.folder.path / "metrics.jsonl").read_bytes() for run in runs)
    assert one == two and runs[0].step == BUDGET["steps"]
    assert not [str(w.message) for w in recwarn if "overflow" in str(w.message)]


@pytest.mark.parametrize(("task", "message"), ENDS.items(), ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.filterwarnings("error:overflow")
def test_a_task_that_breaks_a_rule_is_an_error_with_its_place(task: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        train(tmp_path / "run", odd.named(task), **BUDGET)
    found = caught.value.diagnostics[0]
    text = " ".join([found.code, found.message, *found.notes])
    assert re.search(message, text), text
    if task is not odd.Nothing:
        assert odd.__file__ in text


def test_a_task_that_cannot_be_closed_costs_nothing(capsys) -> None:
    world = catalogue.make(odd.named(odd.CannotClose), 1, 0)
    world.reset()
    world.close()
    world.close()
    assert "could not be closed (RuntimeError: the viewer is gone); nothing is lost" in capsys.readouterr().err
    base.close_quietly("odd", sys.exit)
    assert "odd could not be closed (SystemExit: )" in capsys.readouterr().err


@pytest.mark.parametrize("task", [odd.Tank, odd.GlobalDraws, odd.normalized], ids=lambda task: task.__name__)
def test_an_evaluation_is_independent_of_earlier_ones(task: Any, tmp_path: Path) -> None:
    run = train(tmp_path / "run", odd.named(task), **BUDGET)
    recorded = [record for record in RunFolder(tmp_path / "run").records() if record["kind"] == "eval"]
    world = catalogue.make(odd.named(task), run.settings.episodes, 0, evaluation=True)
    again = evaluate(run.program, run.state, run.hyper, world).record()
    assert len(recorded) == 2 and recorded[-1] == {"kind": "eval", "step": 40, **again}


def test_what_a_run_evaluates_changes_nothing_that_it_draws(tmp_path: Path) -> None:
    for every in (5, 40):
        train(tmp_path / str(every), odd.named(odd.GlobalDraws), **BUDGET | {"evaluate_every": every})
    one, two = (
        [record for record in RunFolder(tmp_path / str(every)).records() if record["kind"] == "train"] for every in (5, 40)
    )
    assert one == two


def test_draws_from_the_global_generators_are_reported_once(tmp_path: Path) -> None:
    said = train(tmp_path / "run", odd.named(odd.GlobalDraws), **BUDGET).display.said
    assert len([line for line in said if "draws from the global generators of random or NumPy" in line]) == 1
    said = train(tmp_path / "other", odd.named(odd.Tank), **BUDGET).display.said
    assert not [line for line in said if "generators" in line]


def test_each_world_has_its_own_states_of_the_global_generators() -> None:
    def draws() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]

    one, other = Generators(1), Generators(2)
    one.install()
    first, middle = draws(), one.snapshot()
    assert other.snapshot() is None
    other.install()
    assert draws() != first
    one.install()
    second = draws()
    one.restore(plain.unpack(*plain.pack(middle)))
    assert draws() == second
    one.seed(1)
    assert one.snapshot() is None and draws() == first


def test_foreign_tasks_have_seeds_of_31_bits_that_keep_training_and_evaluation_apart() -> None:
    training = {base.signed_seed(seed) for seed in (0, 5, 2**31 - 1, 2**31 - 2**20, base.seed_of(3, 0))}
    evaluated = {base.signed_seed(base.evaluation_seed(k)) for k in range(1000)}
    assert len(evaluated) == 1000 and max(training) < min(evaluated) <= max(evaluated) < 2**31
    seen: list[int] = []

    class Seeds(odd.Tank):
        def reset(self, *, seed=None, options=None):
            seen.append(seed)
            return super().reset(seed=seed)

    catalogue.make(odd.named(Seeds), 2, 0, evaluation=True).reset()
    assert seen == [2**31 - 1, 2**31 - 2]


@pytest.mark.parametrize("value", [1, 1.5, True, np.float32(2), np.int64(3), np.array(4.0)])
def test_a_reward_is_any_single_number(value: Any) -> None:
    assert boundary.number(value) == float(value)


def test_gymnasiums_own_tasks_keep_their_seeds_and_serve_several_evaluations() -> None:
    world = catalogue.make("InvertedPendulum-v5", 1, 0, evaluation=True)
    plainly, _ = gymnasium.make("InvertedPendulum-v5").reset(seed=base.evaluation_seed(0))
    assert world.reusable and np.array_equal(world.reset()[0], plainly.astype(np.float32))
    assert not catalogue.make("Pendulum-v1", 1, 0).reusable


class _Shaken(InvertedPendulumEnv):
    """A task on MuJoCo, whose state can be saved inside an episode, that draws from a global generator."""

    def step(self, action):
        return super().step(action + 0.1 * np.random.randn(1))


def test_a_restored_task_continues_what_it_draws_from_the_global_generators() -> None:
    original, copy = (catalogue.make(odd.named(_Shaken), 2, 1) for _ in range(2))
    original.reset()
    for _ in range(5):
        original.step(np.zeros((2, 1)))
    assert original.exact and original.notices()
    copy.restore(plain.unpack(*plain.pack(original.snapshot())))
    for _ in range(20):
        assert np.array_equal(original.step(np.zeros((2, 1))).next_obs, copy.step(np.zeros((2, 1))).next_obs)
