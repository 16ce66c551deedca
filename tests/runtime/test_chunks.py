"""Chunks between the steps that take them: in training, resumed inside of a chunk, joined, evaluated, recorded, exported."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.runtime.worlds.cart  # noqa: F401  a world of pure functions
from flowrl_dsl import api, cli, runs
from flowrl_dsl.collecting import Behavior
from flowrl_dsl.exporting import export
from flowrl_dsl.record import columns
from flowrl_dsl.runtime import learner
from flowrl_dsl.runtime.chunks import Chunks
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.recording import record
from flowrl_dsl.runtime.worlds import catalogue
from tests.whole_runs import check_joined, check_resumed

TASK = "InvertedPendulum-v5"
SPEC = """
algorithm chunked {
  policy { backbone = deterministic  network = mlp([4])  optimizer = adam(1e-30) }
  critic { network = mlp([4]) }
  improve reparameterized {}
  act { chunk = 4  explore = sample  evaluate = sample }
  train { batch = 8  warmup = 3  envs = 2  evaluate_every = 1000  episodes = 2 }
}
"""
"""A policy that stays as it is, so that what it would choose in any state of the run is known."""
H, STEPS = 4, 80


class Queue:
    """The slow way: a list of actions for each copy."""

    def __init__(self, count: int):
        self.lists: list[list[Any]] = [[] for _ in range(count)]

    def take(self, chosen: np.ndarray) -> np.ndarray:
        for own, chunk in zip(self.lists, chosen, strict=True):
            own += [] if own else list(chunk)
        return np.stack([own.pop(0) for own in self.lists])


@settings(max_examples=20, deadline=None)
@given(length=st.integers(1, 4), count=st.integers(1, 3), seed=st.integers(0, 1000))
def test_each_copy_takes_its_own_chunks_to_their_ends(length: int, count: int, seed: int) -> None:
    """Against lists; some episodes end, and at each step all is saved and continued by another object."""
    rng, chunks, queue = np.random.default_rng(seed), Chunks(length, count, 2), Queue(count)
    for _ in range(8):
        chosen = rng.normal(size=(count, length, 2)).astype(np.float32)
        assert chunks.due == any(not own for own in queue.lists)
        taken = chunks.take(chosen.reshape(count, -1) if chunks.due else None)
        np.testing.assert_array_equal(taken, queue.take(chosen))
        done = rng.random(count) < 0.3
        chunks.end(done)
        queue.lists = [[] if over else own for own, over in zip(queue.lists, done, strict=True)]
        continued = Chunks(length, count, 2)
        continued.restore(chunks.snapshot())
        chunks = continued


@pytest.mark.parametrize(("actions", "left"), [((2, 3, 1), (3, 0)), ((2, 3, 1), (0, -1)), ((2, 2, 1), (0, 0))])
def test_chunks_of_another_program_are_refused(actions: tuple[int, ...], left: tuple[int, ...]) -> None:
    with pytest.raises(RunError, match="FRL0413"):
        Chunks(3, 2, 1).restore({"actions": np.zeros(actions, np.float32), "left": np.array(left)})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chunked")
    (folder / "chunked.flowrl").write_text(SPEC)
    return folder


def train(home: Path, out: str, *words: str, task: str = TASK) -> Path:
    assert cli.main(["train", str(home / "chunked.flowrl"), "--task", task, "--out", str(home / out), *words]) == 0
    return home / out


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    return train(home, "whole", "--steps", str(STEPS))


def lines_of(run: Path) -> list[dict[str, np.ndarray]]:
    """The steps of each of the two environments that a run has stored."""
    behavior = Behavior.at(run)
    return in_lines(behavior.load()[0].rows, behavior.prepared.program)


def in_lines(rows: np.ndarray, program: Any) -> list[dict[str, np.ndarray]]:
    fields = columns(rows, program.data.stored, program.axis_sizes)
    return [{name: np.asarray(value)[k::2] for name, value in fields.items()} for k in range(2)]


def check_open_loop(s: np.ndarray, a: np.ndarray, end: np.ndarray, policy: api.Policy, skipped: int = 0) -> int:
    """Actions [T, A] are the chunks that the policy chooses at every fourth state of each episode, after ``skipped`` steps.

    Returns the number of chunks that the end of an episode cuts.
    """
    t, cut = skipped, 0
    while t < len(s):
        chosen = policy.act(s[t])
        assert chosen.shape == (H, 1)
        for k, action in enumerate(chosen):
            taken = policy.low + (a[t] + 1) / 2 * (policy.high - policy.low)
            np.testing.assert_allclose(taken, action, rtol=1e-5, atol=1e-6)
            t += 1
            if t == len(s) or end[t - 1]:
                cut += t < len(s) and k < H - 1
                break
    return cut


def test_training_takes_whole_chunks_and_leaves_them_where_an_episode_ends(whole: Path) -> None:
    policy, cut = api.load_policy(whole), 0
    for line in lines_of(whole):
        random = int(np.argmax([*line["end"][: H - 1], True])) + 1  # the first chunk
        cut += (random < H) + check_open_loop(line["s"], line["a"], line["end"], policy, skipped=random)
    assert cut > 1


def test_in_a_pure_world_too_the_host_holds_what_is_left(home: Path) -> None:
    run = train(home, "pure", "--steps", "40", task="cart/walls")
    policy = api.load_policy(run)
    for line in lines_of(run):
        check_open_loop(line["s"], line["a"], line["end"], policy, skipped=H)


def test_resume_is_exact_inside_of_chunks(home: Path, whole: Path) -> None:
    half = train(home, "half", "--steps", "24")
    left = Behavior.at(half).load()[0].rest["chunks"]["left"]
    assert left.all() and left[0] != left[1]
    check_resumed(whole, half, STEPS)
    for one, other in zip(lines_of(whole), lines_of(half), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_joined_members_take_their_own_chunks(whole: Path) -> None:
    member = check_joined(whole, STEPS)["b"]
    rows = member.checkpoints.load(learner.expected(member.state, member.replay)).rows
    for line, alone in zip(in_lines(rows, member.program), lines_of(whole), strict=True):
        np.testing.assert_allclose(line["a"], alone["a"], atol=1e-4)


def test_recorded_and_evaluated_episodes_are_those_of_chunks(whole: Path) -> None:
    """A recording is checked step by step, and the evaluation by its returns: those of the recording of the same world."""
    prepared, policy = runs.rebuild(RunFolder(whole)), api.load_policy(whole)
    program, world = prepared.program, catalogue.make(TASK, 2, 0, 1, evaluation=True)
    episodes = record(program, policy._state, program.hyper, world, 160)
    assert len(episodes) > 2
    for episode in episodes:
        check_open_loop(episode.observations[:-1], episode.actions, np.zeros(len(episode)), policy)
    returns = {episode.rewards.sum() for episode in episodes if episode.whole}
    assert set(api.Run(whole).evaluate(2, quiet=True).returns.tolist()) <= returns


def test_a_policy_gives_chunks_for_one_observation_or_many_and_keeps_them_for_stable_baselines(whole: Path) -> None:
    policy = api.load_policy(whole)
    obs = np.random.default_rng(0).normal(size=(7, 2, policy.observation_size)).astype(np.float32)
    both = policy.act(obs[0])
    assert (policy.chunk, both.shape, policy.act(obs[0, 0]).shape) == (H, (2, H, 1), (H, 1))
    np.testing.assert_allclose(both[0], policy.act(obs[0, 0]), rtol=1e-5)
    queue, state = Queue(2), None
    for step, rows in enumerate(obs):
        starts = np.array([step == 0, step in (0, 4)])
        queue.lists = [[] if over else own for own, over in zip(queue.lists, starts, strict=True)]
        action, state = policy.predict(rows, state, starts, deterministic=True)
        np.testing.assert_allclose(action, queue.take(policy.act(rows)), rtol=1e-5)
    action, state = policy.predict(obs[0, 0], deterministic=True)
    assert action.shape == (1,) and state is not None


def test_an_exported_policy_gives_whole_chunks(whole: Path, tmp_path: Path) -> None:
    export(whole, "numpy", "evaluate", tmp_path)
    spec = importlib.util.spec_from_file_location("exported", tmp_path / "policy.py")
    exported = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exported)
    obs, policy = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32), api.load_policy(whole)
    np.testing.assert_allclose(exported.act(obs), policy.act(obs), rtol=1e-4, atol=1e-5)
    assert exported.act(obs[0]).shape == (H, 1)
    assert "| result | `(n, 4, 1)` | actions in the order of time" in (tmp_path / "README.md").read_text()
