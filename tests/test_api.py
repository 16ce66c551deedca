"""The package from Python: what the documentation shows, callbacks, records, and policies without environments."""

from __future__ import annotations

import re
import subprocess
import sys
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


@pytest.mark.parametrize("page", ["docs/python.md"])
def test_the_examples_of_the_documentation_run(page: str, tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert len(examples) == 2
    command = [sys.executable, "-c", "\n".join(examples)]
    surroundings = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, check=False)
    assert done.returncode == 0


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import flowrl_dsl, sys; assert not {'jax', 'numpy', 'gymnasium'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {*flowrl_dsl.__all__} <= {*dir(flowrl_dsl), *flowrl_dsl.__all__}
    with pytest.raises(AttributeError):
        flowrl_dsl.no_such_name  # noqa: B018
