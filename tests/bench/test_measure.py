"""Benchmarks that really run, as small as they can be; what they read from graphs and count in a loop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import jax
import numpy as np
import pytest

from flowrl_dsl import cli, driver
from flowrl_dsl.algorithm import show_stage
from flowrl_dsl.bench import env, iteration, machine, report, train
from flowrl_dsl.bench.kind import Asked, CannotMeasure, Failed
from flowrl_dsl.bench.step import in_last_phase, many_actions, of_last_phase, synthetic_replay, without_names
from flowrl_dsl.bench.train import PARTS, Watch, _train, shares, turn_of
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.worlds import catalogue
from tests import needs
from tests.helpers import program_of, td3
from tests.runtime.toy_program import ToyProgram, toy_settings
from tests.runtime.worlds import cart  # noqa: F401  (registers its world)

TINY = ("--set", "critic.network=mlp([8])", "--set", "policy.network=mlp([8])", "--set", "train.batch=4")
TASK = "InvertedPendulum-v5"


@pytest.mark.parametrize(
    ("spec", "sets", "many"),
    [
        ("sdac", (), True),
        ("rfm", (), True),
        ("dpmd", (), True),
        ("qvpo", (), True),
        ("qsm", (), False),
        ("td3", (), False),
        ("diffusion_bptt", (), False),
        # its entropy is of draws in a few states, now and then
        ("dacer", (), False),
    ],
)
def test_many_actions_are_read_from_the_graph(spec: str, sets: tuple[str, ...], many: bool) -> None:
    algorithm, _ = driver.resolve_or_raise(spec, None, sets)
    renamed = algorithm.model_copy(update={"name": "nameless"})
    assert many_actions(driver.build_graphs(renamed, 5, 2, ()).graphs["step"]) is many


def test_one_step_end_to_end(monkeypatch, capsys) -> None:
    monkeypatch.setattr(machine, "SHAPES", ((64, 64, 64),))
    before = jax.config.jax_compilation_cache_dir
    assert cli.main(["bench", "step", "td3", *TINY, "--repeat", "1", "--json"]) == 0
    assert jax.config.jax_compilation_cache_dir == before
    said = json.loads(capsys.readouterr().out)
    (row,) = said["rows"]
    assert row["spec"] == "td3" and not row["many_actions"] and row["flops"] > 0 and row["updates"] % 2 == 0
    assert all(row[name] > 0 for name in ("ratio", "none_ms", "all_ms", "share", "cold_s", "memory_all", "memory_none"))
    assert row["warm_s"] is None or row["warm_s"] > 0
    assert said["machine"]["device"] and said["facts"]["matrix products, flop/s"] > 0
    assert "none / all" in report.text(report.from_json(json.dumps(said)))


def test_programs_that_differ_in_names_alone_are_the_same() -> None:
    def compiled(function: Callable[[jax.Array], jax.Array]) -> str:
        return without_names(jax.jit(function).lower(np.ones(3, np.float32)).compile().as_text())

    def one(x: jax.Array) -> jax.Array:
        return jax.numpy.sin(x) + 2

    def other(x: jax.Array) -> jax.Array:
        sine = jax.numpy.sin(x)
        return sine + 2

    # the name of the function is that of its module
    assert compiled(one).replace("jit_one", "jit_other") == compiled(other)
    assert compiled(one).replace("jit_one", "jit_<lambda>") != compiled(lambda x: jax.numpy.cos(x) + 2)


def test_a_spec_with_phases_is_measured_in_its_last_one() -> None:
    """The last phase of srpo improves the policy and leaves the critic as it is; the first one imitates alone."""
    sets = [f"{section}.network=mlp([8])" for section in ("critic", "value", "policy", "behavior")]
    algorithm, _ = driver.resolve_or_raise("srpo", None, (*sets, "train.batch=4"))
    program = driver.build_program(algorithm, 3, 2, None, capacity=16)
    fresh = in_last_phase(program.init(0), algorithm)
    before = jax.tree.map(np.asarray, fresh)
    after, _ = program.update(fresh, synthetic_replay(program), 2, program.hyper)
    assert int(before["step"]) == 3_500_000
    moved = {group for group in after if jax.tree.all(jax.tree.map(np.array_equal, before[group], after[group])) is False}
    assert "policy" in moved and not {"critic", "behavior"} & moved, moved
    assert show_stage(of_last_phase(algorithm).order) == "policy"


def test_a_spec_without_phases_is_measured_as_it_is() -> None:
    algorithm, _ = driver.resolve_or_raise("td3", None, ())
    assert of_last_phase(algorithm) is algorithm


def test_the_replay_has_episodes_and_no_empty_row() -> None:
    replay = synthetic_replay(program_of(td3(), capacity=4096))
    rows = int(replay["size"])
    assert replay["s"].shape == (rows, 3) and replay["a"].shape == (rows, 2) and int(replay["total"]) == rows
    assert 0 < int(replay["end"].sum()) < rows / 10 and bool((abs(replay["s"]).sum(1) > 0).all())


def _settings(**given: int) -> Settings:
    return toy_settings(TASK, **({"steps": 81, "episodes": 1, "checkpoint_every": 5_000, "log_every": 1_000} | given))


def test_a_watched_training_counts_every_step_that_learns_once() -> None:
    program = ToyProgram(*catalogue.sizes(TASK))
    watch = _train("toy", program, _settings(), "off_policy")
    # the first five turns that learn compile; of the 26 others half is free
    assert (watch.free_turns, watch.watched_turns) == (13, 13)
    assert all(watch.seconds[part] > 0 for part in PARTS)
    assert sum(watch.seconds.values()) < watch.watched_seconds
    assert math.fsum(shares(watch.seconds, watch.watched_seconds).values()) == pytest.approx(1.0)


def test_the_halves_of_a_training_with_rollouts_are_whole_rollouts() -> None:
    """Of five rollouts the first compiles, two are free and two are watched."""
    program = ToyProgram(*catalogue.sizes(TASK))
    watch = _train("toy", program, _settings(steps=50, rollout=10, updates=4), "on_policy")
    assert (watch.free_turns, watch.watched_turns) == (20, 20) and watch.seconds["update"] > 0


def test_in_a_pure_world_parts_of_the_one_executable_are_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ("policy.network=mlp([8])", "value.network=mlp([8])", "train.envs=2", "rollout.steps=4", "rollout.minibatches=1")
    ended: list[iteration.Timed] = []
    measured = iteration.parts
    monkeypatch.setattr(train, "parts", lambda training: ended.append(training) or measured(training))
    (row,) = train.measure(Asked("train", ("ppo",), "cart/walls", sets), 1)
    # of five rollouts of eight steps the first one compiles
    assert isinstance(row, train.Row) and row.steps_per_second == pytest.approx(4 * 8 / ended[0].seconds)
    assert all(row.shares[part] > 0 for part in PARTS) and math.fsum(row.shares.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("spec", "turn"), [("sac", "off_policy"), ("ppo", "on_policy"), ("bc", "off_policy"), ("fql_online", "off_policy")]
)
def test_the_turn_that_is_measured_needs_no_data_set(spec: str, turn: str) -> None:
    """An offline turn would draw its batches from an empty replay."""
    assert turn_of(driver.resolve_or_raise(spec, None, ())[0]) == turn


def test_a_training_too_short_is_told_how_long_it_must_be() -> None:
    with pytest.raises(CannotMeasure, match=r"train.steps = 56 is too short: with this warm-up it takes 57"):
        Watch(_settings(steps=56))
    Watch(_settings(steps=57))


def test_environments_are_stepped_in_every_layer(monkeypatch) -> None:
    monkeypatch.setattr(env, "_SECONDS", 0.01)
    monkeypatch.setattr(env, "COUNTS", (2,))
    monkeypatch.setattr(env, "_async", _broken)
    *rows, failed = env.measure(Asked("env", task=TASK), 1)
    assert [(row.layer, row.environments) for row in rows] == [("flowrl-dsl", 2), ("gymnasium SyncVectorEnv", 2)]
    assert all(row.steps_per_second > 0 for row in rows)
    assert failed == Failed("gymnasium AsyncVectorEnv, 2 copies", "OSError: no processes left")


def _broken(task: str, count: int):
    raise OSError("no processes left")


@needs.dm_control
def test_gymnasium_has_no_tasks_of_dm_control(monkeypatch) -> None:
    monkeypatch.setattr(env, "_SECONDS", 0.01)
    monkeypatch.setattr(env, "COUNTS", (1,))
    (row,) = env.measure(Asked("env", task="dm_control/cartpole-balance"), 1)
    assert row.layer == "flowrl-dsl"
