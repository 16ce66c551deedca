"""MuJoCo Playground and Brax: their interfaces by small environments, and one task of each where they are installed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flowrl_dsl import catalogue as lists
from flowrl_dsl.runtime import plain
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.worlds import stubs

TASKS = ("playground/Slide", "brax/slide(episode_length=8)")
LIMIT = 8


@pytest.fixture(autouse=True, scope="module")
def packages(request: pytest.FixtureRequest) -> Iterator[None]:
    with stubs.installed():
        yield


@pytest.mark.parametrize("task", TASKS)
def test_time_limits_are_truncated_ends_are_terminal_and_the_last_observation_is_the_true_one(task: str) -> None:
    world = catalogue.make(task, 3, 0)
    starts = np.array(world.reset())
    x, ends, cuts = starts[:, 0], 0, 0
    for _ in range(2 * LIMIT):
        # the second copy is pushed into the wall
        stepped = world.step(np.float32([[0], [1], [0]]))
        assert np.all(abs(stepped.next_obs[:, 0] - x - [0, 0.1, 0]) < 0.01)
        assert np.array_equal(stepped.terminal, abs(stepped.next_obs[:, 0]) > stubs.WALL)
        still = ~stepped.done
        assert np.array_equal(np.asarray(stepped.obs)[still], stepped.next_obs[still])
        assert np.all(abs(np.asarray(stepped.obs)[stepped.done, 0]) <= 0.1)
        x, ends, cuts = np.asarray(stepped.obs)[:, 0], ends + stepped.terminal.sum(), cuts + stepped.truncated.sum()
    assert ends >= 2 and cuts == 4
    # the executables of training serve each step: neither weak types nor a reset change those of the state
    assert world.copies.step._cache_size() == 1


@pytest.mark.parametrize("task", TASKS)
def test_a_restored_world_continues_bit_for_bit_and_evaluations_are_apart(task: str) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2, 1)).astype(np.float32)
    world, other = catalogue.make(task, 2, 0), catalogue.make(task, 2, 0)
    assert world.copies is other.copies and world.exact and world.reusable
    first = np.array(world.reset())
    for action in actions[:5]:
        world.step(action)
    assert np.array_equal(other.restore(plain.unpack(*plain.pack(world.snapshot()))), world.episodes.obs)
    for action in actions[5:]:
        one, two = world.step(action), other.step(action)
        assert np.array_equal(one.next_obs, two.next_obs) and np.array_equal(one.obs, two.obs)
        assert np.array_equal(one.reward, two.reward) and one.finished == two.finished
    assert not np.isin(np.array(catalogue.make(task, 2, 0, evaluation=True).reset())[:, 0], first[:, 0]).any()


def test_the_part_of_the_observations_and_entries_of_the_configuration_are_arguments() -> None:
    world = catalogue.make("playground/Slide(observation='privileged_state',episode_length=2)", 1, 0)
    assert (world.observation_size, catalogue.sizes("playground/Slide")) == (3, (2, 1))
    world.reset()
    assert [bool(world.step(np.zeros((1, 1), np.float32)).truncated[0]) for _ in range(4)] == [False, True] * 2
    twice = catalogue.make("playground/Slide(action_repeat=2)", 1, 0, action_repeat=2)
    twice.reset()
    assert [bool(twice.step(np.zeros((1, 1), np.float32)).truncated[0]) for _ in range(4)] == [False, True] * 2
    assert catalogue.make("brax/slide(backend='spring')", 1, 0).observation_size == 2


@pytest.mark.parametrize(
    ("task", "code", "said"),
    [
        ("playground/Slid", "FRL0401", 'did you mean "playground/Slide"?'),
        ("brax/slid", "FRL0401", 'did you mean "brax/slide"?'),
        ("playground/Slide(observation='stat')", "FRL0408", 'did you mean "state"?'),
        ("brax/slide(observation='state')", "FRL0408", "its observations are one vector"),
        ("playground/Slide(pus=0.2)", "FRL0408", 'did you mean "push"?'),
        ("playground/Slide(push='far')", "FRL0408", "push is no float"),
        ("brax/slide(backend='mujoco')", "FRL0408", "backend should be in generalized, spring"),
        ("brax/slide(episode_length=0)", "FRL0408", "episode_length is a number of frames"),
        ("playground/Robot", "FRL0405", "could not be cloned: git"),
    ],
)
def test_mistakes_are_coded_with_a_cure(task: str, code: str, said: str) -> None:
    with pytest.raises(RunError) as caught:
        catalogue.make(task, 1, 0)
    first = caught.value.diagnostics[0]
    assert first.code == code and said in "\n".join((first.message, *first.notes))


def test_dictionary_observations_without_the_policys_part_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stubs.Slide, "_observed", lambda self, x: {"pixels": x, "depth": x})
    with pytest.raises(RunError, match=r'FRL0408.*has no observation "state"') as caught:
        catalogue.make("playground/Slide(push=0.3)", 1, 0)
    assert "it observes depth [1], pixels [1]" in caught.value.diagnostics[0].notes
    assert "choose one: --env observation=depth" in caught.value.diagnostics[0].notes


def test_values_that_are_not_finite_and_exceptions_are_the_worlds_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    world = catalogue.make("brax/slide", 2, 0)
    world.reset()
    with pytest.raises(RunError, match=r"FRL0406.*in copy 1 at step 1: entry 0 is nan"):
        world.step(np.float32([[0], [np.nan]]))
    monkeypatch.setattr(stubs.Slide, "step", lambda self, state, action: state.nothing)
    with pytest.raises(RunError, match=r"FRL0405.*brax/slide\(push=0.2\) failed when.*AttributeError"):
        catalogue.make("brax/slide(push=0.2)", 1, 0)


def test_tasks_are_listed_with_what_they_need() -> None:
    rows = {row["name"]: row for row in lists.listed("tasks")["tasks"]}
    assert rows["playground/Slide"]["state"] == rows["brax/slide"]["state"] == "installed"
    assert "mujoco_menagerie" in rows["playground/Robot"]["needs"]
    assert {"Hopper-v5", "Pendulum-v1", "known/ring"} <= rows.keys() and "Hopper-v4" not in rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "find_spec", lambda package: None)
        rows = {row["name"]: row for row in lists.listed("tasks")["tasks"]}
    assert rows["brax/*"]["needs"] == "pip install 'flowrl-dsl[brax]'" and "brax/slide" not in rows


@pytest.mark.parametrize(("task", "package"), [("playground/Slide", "mujoco_playground"), ("brax/slide", "brax")])
def test_a_missing_package_is_coded_with_its_extra(task: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrl_dsl.runtime.errors.find_spec", lambda name: None)
    stubs.forget()
    with pytest.raises(RunError, match=f"FRL0491: {package} is not installed") as caught:
        catalogue.make(task, 1, 0)
    extra = task.partition("/")[0]
    assert caught.value.diagnostics[0].notes[0] == f"pip install 'flowrl-dsl[{extra}]'"
