"""Sections that read different entries of dictionary observations: from the graphs to runs, exports and messages."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest

import flowrl_dsl
from flowrl_dsl import cli, driver
from flowrl_dsl.components.inspection import values_graph
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.lowering.evaluate import node_by_node
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.record import Layout, counted
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.spec.show import show
from tests.runtime.worlds import stubs
from tests.whole_runs import check_resumed

HIDDEN, STATE = 2, 3
ENTRIES = {"hidden": HIDDEN, "state": STATE}
NETWORKS = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8")
APART = ("policy.observation=state", "critic.observation=[hidden, state]")
TASK = "Entries-v0"


class Reach(gymnasium.Env):
    """A point is to reach a goal that only the entry ``hidden`` shows, beside noise in ``state``."""

    observation_space = gymnasium.spaces.Dict(
        {"state": gymnasium.spaces.Box(-9, 9, (STATE,)), "hidden": gymnasium.spaces.Box(-9, 9, (HIDDEN,))}
    )
    action_space = gymnasium.spaces.Box(-2, 2, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1, 2)
        return self._observed(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.x += 0.1 * float(action[0])
        return self._observed(), -abs(self.x - self.goal), False, False, {}

    def _observed(self) -> dict[str, np.ndarray]:
        shown = np.array([self.x, 1, self.np_random.uniform()], np.float32)
        return {"state": shown, "hidden": np.array([self.goal, -self.goal], np.float32)}


@pytest.fixture(autouse=True, scope="module")
def tasks() -> Iterator[None]:
    gymnasium.register(TASK, Reach, max_episode_steps=5)
    with stubs.installed():
        yield
    del gymnasium.registry[TASK]


@cache
def program(*sets: str, entries: bool = True, spec: str = "td3") -> Program:
    sizes = (ENTRIES if entries else STATE, 1)
    return flowrl_dsl.load(spec, sizes=sizes, sets=[*NETWORKS, *sets]).program


def batch(size: int = HIDDEN + STATE) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(8, size)).astype(np.float32) for name in ("s", "s_next")}
    ends = {"r": np.ones(8, np.float32), "d": np.zeros(8, np.float32)}
    return rows | ends | {"a": rng.uniform(-1, 1, (8, 1)).astype(np.float32)}


# layouts


@pytest.mark.parametrize(
    ("names", "ranges"),
    [(("b",), ((2, 3),)), (("a", "c"), ((0, 2), (3, 6))), (("c", "b"), ((2, 6),)), ((), ((0, 2), (3, 6)))],
)
def test_entries_are_ranges_of_the_vector_in_its_order(names: tuple[str, ...], ranges: Any) -> None:
    layout = Layout.of({"a": 2, "b": 1, "c": 3}, usual=("a", "c"))
    assert layout.ranges(names) == ranges and layout.size == 6
    # independently: which components belong to the entries
    owner = np.repeat(["a", "b", "c"], [2, 1, 3])
    chosen = np.flatnonzero(np.isin(owner, names or ("a", "c")))
    assert [at for start, end in ranges for at in range(start, end)] == chosen.tolist()
    assert counted(ranges) == len(chosen)


def test_without_a_task_entries_share_the_components() -> None:
    assert Layout.split(("a", "b", "c"), 17).sizes == (("a", 6), ("b", 6), ("c", 5))


# what networks read


def test_the_policy_is_blind_to_entries_it_does_not_name_and_the_critic_is_not() -> None:
    compiled = flowrl_dsl.load("td3", sizes=(ENTRIES, 1), sets=[*NETWORKS, *APART])
    own, state = compiled.program, compiled.program.init(0)
    rows = batch()["s"]
    other = rows.copy()
    other[:, :HIDDEN] += 1
    for mode in ("explore", "evaluate"):
        one, two = (np.asarray(own.act(state, s, 0, mode, own.hyper)["action"]) for s in (rows, other))
        np.testing.assert_array_equal(one, two)
        moved = np.asarray(own.act(state, rows + 1, 0, mode, own.hyper)["action"])
        assert (one != moved).any()
        assert own.acts_on(mode) == ((HIDDEN, HIDDEN + STATE),) and own.acting_entries(mode) == ("state",)
    graph = values_graph(compiled.algorithm, Sizes(HIDDEN + STATE, 1, layout=own.layout))
    given = {f"state.{name}": value for name, value in state.items()} | {"action": np.zeros((8, 1, 1), np.float32)}
    q = [np.asarray(node_by_node(graph, given | {"obs": s})["value"]) for s in (rows, other)]
    assert (q[0] != q[1]).all()


def test_the_policy_is_that_of_a_task_with_this_entry_alone() -> None:
    """The same parameters, and the same actions: the size of what it reads is all that it takes from the layout."""
    apart, alone = program(*APART), program(entries=False)
    states = apart.init(0), alone.init(0)
    jax.tree.map(np.testing.assert_array_equal, states[0]["policy"], states[1]["policy"])
    rows = batch()["s"]
    one = apart.act(states[0], rows, 3, "evaluate", apart.hyper)["action"]
    other = alone.act(states[1], rows[:, HIDDEN:], 3, "evaluate", alone.hyper)["action"]
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_naming_all_entries_changes_no_bit_of_an_update() -> None:
    every = "[hidden, state]"
    named, plain = program(f"policy.observation={every}", f"critic.observation={every}"), program()
    assert plain.layout is None
    results = [one.step(one.init(0), batch(), one.hyper) for one in (named, plain)]
    jax.tree.map(np.testing.assert_array_equal, *(one[0] for one in results))
    assert show(driver.resolve_or_raise("td3", None, [])[0]).find("observation") == -1


def test_an_update_moves_the_first_layer_of_the_policy_by_its_own_entries_alone() -> None:
    own = program(*APART)
    state = own.init(0)
    kernels = [leaf for leaf in jax.tree.leaves(state["policy"]) if leaf.shape[0] == STATE]
    assert kernels and not any(leaf.shape[0] == STATE + HIDDEN for leaf in jax.tree.leaves(state["policy"]))
    assert any(STATE + HIDDEN in leaf.shape for leaf in jax.tree.leaves(state["critic"]))


def test_acting_by_values_needs_what_they_read() -> None:
    ranked = program(*APART, "act.evaluate=best_of(4)", spec="qsm")
    assert ranked.acts_on("evaluate") == ((0, HIDDEN + STATE),) and ranked.acting_entries("explore") == ("state",)


# worlds


def test_a_world_contains_the_usual_entry_and_those_that_are_named() -> None:
    usual, more = (catalogue.make("playground/Slide", 2, 0, entries=names) for names in ((), ("privileged_state",)))
    one, two = (np.asarray(world.reset()) for world in (usual, more))
    assert more.layout.sizes == (("privileged_state", 3), ("state", 2)) and more.layout.usual == ("state",)
    np.testing.assert_array_equal(one, two[:, 3:])
    np.testing.assert_allclose(two[:, :3], one[:, :1] ** [1, 2, 3], rtol=1e-6)
    assert catalogue.sizes("playground/Slide") == (2, 1)


def test_entries_of_a_dictionary_of_gymnasium_lie_where_its_vector_has_them() -> None:
    world = catalogue.make(TASK, 1, 0)
    obs = world.reset()[0]
    assert world.layout == Layout.of(ENTRIES)
    assert obs[0] == -obs[1] and obs[HIDDEN + 1] == 1


# runs

ON_POLICY = """
algorithm apart "Reads of its own" extends "ppo.flowrl" {
  rollout { steps = 8  epochs = 1  minibatches = 2 }
  policy { network = mlp([8])  observation = state }
  value { network = mlp([8])  observation = privileged_state }
  train { envs = 2  steps = 48  evaluate_every = 48  episodes = 1 }
}
"""


def test_an_on_policy_run_goes_on_exactly_and_its_policy_takes_its_own_entry(tmp_path: Path) -> None:
    spec = tmp_path / "apart.flowrl"
    spec.write_text(ON_POLICY)
    for name, more in (("whole", []), ("half", ["--steps", "32"])):
        words = ["train", str(spec), "--task", "playground/Slide", "--out", str(tmp_path / name), *more]
        assert cli.main(words) == 0
    check_resumed(tmp_path / "whole", tmp_path / "half", 48)
    said = json.loads((tmp_path / "whole/run.json").read_text())["spaces"]
    assert (said["observation"], said["entries"]) == (5, {"privileged_state": 3, "state": 2})
    policy = flowrl_dsl.load_policy(tmp_path / "whole")
    assert (policy.observation_size, policy.entries) == (2, ("state",))
    rows = np.float32([[0.1, 1], [-0.2, 1]])
    actions = policy.act(rows)
    with pytest.raises(RunError, match="reads observations of 2 numbers"):
        policy.act(np.zeros(5))
    assert policy.act(rows, deterministic=False).shape == (2, 1)
    assert cli.main(["export", str(tmp_path / "whole"), "--format", "numpy", "--out", str(tmp_path / "taken")]) == 0
    exported = _module(tmp_path / "taken/policy.py")
    assert exported.OBSERVATION_SIZE == 2 and "`state`" in (tmp_path / "taken/README.md").read_text()
    noise = exported.draw(2, np.random.default_rng(0))
    np.testing.assert_allclose(exported.act(rows, noise), actions, atol=1e-6)
    with pytest.raises(ValueError, match="expected observations"):
        exported.act(np.zeros(5))


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("taken", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OFF_POLICY = (
    *NETWORKS,
    *APART,
    "train.warmup=10",
    "train.steps=30",
    "train.evaluate_every=30",
    "train.episodes=1",
)


def test_an_off_policy_run_on_a_dictionary_of_gymnasium(tmp_path: Path) -> None:
    run = flowrl_dsl.train("td3", TASK, sets=list(OFF_POLICY), out=tmp_path / "run", quiet=True)
    policy = run.policy()
    assert (policy.observation_size, policy.entries) == (STATE, ("state",)) and np.isfinite(policy.act([0.1, 1, 0.5])).all()
    run.resume(steps=40, quiet=True)
    assert len(run.evaluate(quiet=True).returns) == 1


# mistakes


@pytest.mark.parametrize(
    ("task", "sets", "code", "words"),
    [
        (TASK, ("policy.observation=stat",), "FRL0433", ("its entries are hidden, state", 'did you mean "state"?')),
        ("playground/Slide", ("value.observation=privileged",), "FRL0433", ("its entries are privileged_state, state",)),
        ("Pendulum-v1", ("policy.observation=state",), "FRL0434", ("--set policy.observation=none",)),
    ],
)
def test_entries_that_a_task_lacks(task: str, sets: tuple[str, ...], code: str, words: tuple[str, ...]) -> None:
    spec = "ppo" if "value" in sets[0] else "sac"
    algorithm, _ = driver.resolve_or_raise(spec, task, sets)
    with pytest.raises(RunError) as caught:
        driver.build_program(algorithm, *driver.task_sizes(task, algorithm))
    found = caught.value.diagnostics[0]
    assert found.code == code and found.span is not None and found.span.file == "--set"
    assert all(any(word in note for note in found.notes) for word in words)


def test_wrong_values_of_the_option_are_reported_once() -> None:
    for text in ("3", "[]", "[1, state]"):
        with pytest.raises(DiagnosticError) as caught:
            driver.resolve_or_raise("sac", None, [f"policy.observation={text}"])
        assert [one.code for one in caught.value.diagnostics] == ["FRL0213"]
        assert "a string or a list of strings" in caught.value.diagnostics[0].message
