"""The package from Python: what the documentation shows, callbacks, records, and policies without environments."""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import re
import subprocess
import sys
import threading
import traceback
import types
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import flowrl_dsl
from flowrl_dsl.runtime.worlds import catalogue

ROOT = Path(__file__).parent.parent
TASK = "Pendulum-v1"
SMALL = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8", "train.warmup=50")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[flowrl_dsl.Run, list[dict]]:
    """A short run, and the records that its callback got."""
    seen: list[dict] = []
    out = tmp_path_factory.mktemp("api") / "run"
    run = flowrl_dsl.train(
        "td3", TASK, sets=SMALL, steps=120, evaluate_every=60, episodes=2, out=out, callback=lambda one: seen.append(one)
    )
    return run, seen


def test_the_callback_gets_every_record(trained: tuple[flowrl_dsl.Run, list[dict]]) -> None:
    run, seen = trained
    assert [one["step"] for one in run.records() if one["kind"] == "eval"] == [60, 120]
    assert [(one["kind"], one["step"]) for one in seen] == [(one["kind"], one["step"]) for one in run.records()]


def test_a_policy_acts_as_the_run_does(trained: tuple[flowrl_dsl.Run, list[dict]]) -> None:
    """Episodes with the policy alone have the returns of an evaluation of the run."""
    run, _ = trained
    policy, env = run.policy(), gymnasium.make(TASK)
    returns = []
    for episode in range(2):
        obs, _ = env.reset(seed=catalogue.evaluation_seed(episode))
        total, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, _ = env.step(policy.act(obs))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    np.testing.assert_allclose(returns, run.evaluate(2).returns, rtol=1e-4)
    assert policy.step == 120 and (policy.low, policy.high) == (-2, 2)


def test_one_observation_or_many(trained: tuple[flowrl_dsl.Run, list[dict]]) -> None:
    policy = trained[0].policy()
    obs = np.random.default_rng(0).normal(size=(5, 3))
    many = policy.act(obs)
    assert many.shape == (5, 1) and many.dtype == np.float32 and np.abs(many).max() <= 2
    np.testing.assert_allclose(policy.act(obs[2]), many[2], rtol=1e-5)
    np.testing.assert_array_equal(policy.predict(obs, deterministic=True)[0], many)
    noisy = [policy.act(obs, deterministic=False) for _ in range(2)]
    assert (noisy[0] != noisy[1]).any()


def test_errors_have_codes(trained: tuple[flowrl_dsl.Run, list[dict]], tmp_path: Path) -> None:
    with pytest.raises(flowrl_dsl.DiagnosticError, match="FRL0404"):
        trained[0].policy().act([0.0, 1.0])
    with pytest.raises(flowrl_dsl.DiagnosticError, match="FRL0101"):
        flowrl_dsl.load("no-such-spec")
    with pytest.raises(flowrl_dsl.DiagnosticError, match=r"FRL041\d"):
        flowrl_dsl.load_policy(tmp_path)


@pytest.mark.parametrize("wrong", [{"steps": 1e3}, {"episodes": 0}, {"log_every": "10"}, {"seed": -1}])
def test_what_is_no_count_is_refused_before_a_folder_is_made(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(flowrl_dsl.DiagnosticError, match=f"FRL0419: {next(iter(wrong))} = "):
        flowrl_dsl.train("td3", TASK, out=tmp_path / "run", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_counts_of_other_calls(trained: tuple[flowrl_dsl.Run, list[dict]]) -> None:
    for call in (
        lambda: trained[0].resume(1e3),
        lambda: trained[0].evaluate(0),
        lambda: flowrl_dsl.load("td3", sizes=(0, 1)),
    ):
        with pytest.raises(flowrl_dsl.DiagnosticError, match="FRL0419"):
            call()


def test_records_come_as_often_as_asked(tmp_path: Path) -> None:
    seen: list[int] = []
    run = flowrl_dsl.train(
        "td3",
        TASK,
        sets=SMALL,
        steps=np.int64(60),
        evaluate_every=60,
        episodes=1,
        log_every=20,
        out=tmp_path / "run",
        callback=lambda one: one["kind"] == "train" and seen.append(one["step"]),
    )
    assert seen == [20, 40, 60] and run.policy().step == 60


def test_a_callback_stops_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    run = flowrl_dsl.train(
        "td3",
        TASK,
        sets=SMALL,
        steps=120,
        evaluate_every=60,
        episodes=2,
        out=tmp_path / "run",
        callback=lambda one: one["kind"] == "eval",
    )
    assert run.policy().step == 60
    run.resume()
    assert run.policy().step == 120


def test_an_algorithm_and_its_program(tmp_path: Path) -> None:
    loaded = flowrl_dsl.load("td3", sets=SMALL, sizes=(3, 1))
    state = loaded.program.init(0)
    action = loaded.program.act(state, np.zeros((2, 3), np.float32), 0, "evaluate", loaded.program.hyper)["action"]
    assert loaded.algorithm.name == "td3" and action.shape == (2, 1)


class Cart(gymnasium.Env):
    """A point on a line that is pushed towards 0; the limit of 20 steps is its own."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.state, self.count = self.np_random.uniform(-1, 1, 2).astype(np.float32), 0
        return self.state, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        x, v = self.state
        self.state, self.count = np.array([x + 0.1 * v, 0.9 * v + 0.1 * action[0]], np.float32), self.count + 1
        return self.state, -float(x**2), False, self.count == 20, {}


SHORT = {"sets": SMALL, "steps": 60, "evaluate_every": 60, "episodes": 2, "quiet": True}


@pytest.mark.parametrize("environment", [Cart, Cart(), lambda: gymnasium.wrappers.TimeLimit(Cart(), 10)])
def test_environments_that_the_caller_made(environment, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = flowrl_dsl.train("td3", environment, out=tmp_path / "run", **SHORT)
    task = json.loads((run.path / "run.json").read_text())["task"]
    assert task.startswith("python/") and capsys.readouterr().out == ""
    assert run.policy().act([0.0, 1.0]).shape == (1,)
    limit = 10 if environment not in (Cart,) and callable(environment) else 20
    assert run.evaluate(2).lengths.tolist() == [limit, limit]
    # as in another process, where nobody has made it
    gymnasium.registry.pop(task)
    with pytest.raises(flowrl_dsl.DiagnosticError, match="FRL0401") as caught:
        run.evaluate(1)
    assert any("pass its environment again" in note for note in caught.value.__notes__)
    assert run.evaluate(1, env=environment, quiet=True).lengths.tolist() == [limit]
    run.resume(env=environment, steps=80, quiet=True)
    assert run.policy().step == 80


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    uncopied = Cart()
    uncopied.lock = threading.Lock()  # type: ignore[attr-defined]
    for wrong, reason in ((3, "is not an environment"), (uncopied, "cannot be copied")):
        with pytest.raises(flowrl_dsl.DiagnosticError, match=rf"FRL0494.*{reason}"):
            flowrl_dsl.train("td3", wrong, out=tmp_path / "run", **SHORT)  # type: ignore[arg-type]


def test_stable_baselines3_evaluates_a_policy(trained: tuple[flowrl_dsl.Run, list[dict]]) -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    mean, std = evaluation.evaluate_policy(trained[0].policy(), gymnasium.make(TASK), n_eval_episodes=2, warn=False)
    assert -2000 < mean < 0 and std >= 0


def test_every_public_name_has_an_example_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [name for name in flowrl_dsl.__all__ if name != "__version__"]
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for name in sorted(names, key=lambda name: name != "train"):
        (found,) = finder.find(getattr(flowrl_dsl, name), name, globs={"flowrl_dsl": flowrl_dsl})
        assert found.examples, name
        assert runner.run(found).failed == 0, name


def test_errors_show_place_and_cure(tmp_path: Path) -> None:
    path = tmp_path / "wrong.flowrl"
    path.write_text('algorithm wrong extends "td3.flowrl" { critic { ensembel = 3 } }\n')
    with pytest.raises(flowrl_dsl.DiagnosticError) as caught:
        flowrl_dsl.load(str(path))
    text = "".join(traceback.format_exception_only(caught.value))
    assert f"--> {path}:1:49" in text and 'did you mean "ensemble"?' in text


@pytest.mark.parametrize("page", ["docs/python.md"])
def test_the_examples_of_the_documentation_run(page: str, tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert len(examples) == 3
    command = [sys.executable, "-c", "\n".join(examples)]
    surroundings = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    # compiled as in other tests
    surroundings |= {name: value for name, value in os.environ.items() if name == "XLA_FLAGS" or name.startswith("JAX_")}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, check=False)
    assert done.returncode == 0


class Tracker(types.ModuleType):
    """The part of MLflow that the documentation uses."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.logged: list[tuple[dict, int]] = []

    def start_run(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.logged.append((metrics, step))


def test_the_example_with_mlflow_logs_every_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it stands in the documentation, on a short run; MLflow itself is too large for every test environment."""
    (example,) = re.findall(r"```\n(with mlflow.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    short = {"sets": SMALL, "steps": 60, "evaluate_every": 60, "episodes": 1, "out": tmp_path / "run"}
    tracker, train = Tracker(), flowrl_dsl.train
    monkeypatch.setattr(flowrl_dsl, "train", lambda spec, task, **given: train(spec, TASK, **short, **given))
    exec(example, {"flowrl_dsl": flowrl_dsl, "mlflow": tracker})
    records = list(flowrl_dsl.Run(tmp_path / "run").records())
    assert [step for _, step in tracker.logged] == [record["step"] for record in records]
    assert all(set(metrics) < set(record) for (metrics, _), record in zip(tracker.logged, records, strict=True))
    assert tracker.logged[-1][0]["return_mean"] == records[-1]["return_mean"]


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import flowrl_dsl, sys; assert not {'jax', 'numpy', 'gymnasium'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {*flowrl_dsl.__all__} <= {*dir(flowrl_dsl), *flowrl_dsl.__all__}
    with pytest.raises(AttributeError):
        flowrl_dsl.no_such_name  # noqa: B018
