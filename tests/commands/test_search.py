"""``flowrl-dsl search``: ranges, trials, interruptions, and the same results as without them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from flowrl_dsl import cli, driver, runs, searching
from flowrl_dsl.commands import search as command
from flowrl_dsl.runtime.errors import Interrupted, RunError
from tests.runtime.toy_program import ToyProgram

WORDS = ("search", "qsm", "--task", "Pendulum-v1", "--steps", "60", "--set", "train.warmup=50", "--episodes", "1")
ARGUMENTS = runs.TrainArguments("qsm", "Pendulum-v1")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs with a program that compiles at once, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))


def searched(capsys: pytest.CaptureFixture, *words: str) -> list[dict]:
    assert cli.main([*WORDS, "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_trials_are_runs_and_the_best_comes_first(toy: None, capsys: pytest.CaptureFixture) -> None:
    found = searched(capsys, "--trials", "2", "--range", "temperature=0.01..1:log", "--range", "critic.ensemble=2..5:int")
    assert sorted(one["trial"] for one in found) == [0, 1]
    assert [one["return"] for one in found] == sorted((one["return"] for one in found), reverse=True)
    for one in found:
        assert 0.01 <= one["values"]["temperature"] <= 1 and one["values"]["critic.ensemble"] in (2, 3, 4, 5)
        said = json.loads((Path(one["run"]) / "run.json").read_text())
        assert f"temperature={one['values']['temperature']!r}" in said["sets"]
        assert searching.final_return(Path(one["run"])) == one["return"]


def test_a_quiet_search_prints_its_json_alone(toy: None, capsys: pytest.CaptureFixture) -> None:
    words = ("--trials", "1", "--range", "temperature=0.01..1:log", "--quiet")
    assert [one["trial"] for one in searched(capsys, *words)] == [0]
    assert cli.main([*WORDS, *words]) == 0 and capsys.readouterr().out == ""


def test_an_interrupted_search_continues_as_if_it_had_not_been(
    toy: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    whole = searched(capsys, "--trials", "2", "--out", "whole")
    train = runs.train

    def stopped(arguments: runs.TrainArguments) -> None:
        if str(arguments.out).endswith("trial1"):
            raise Interrupted
        train(arguments)

    monkeypatch.setattr(runs, "train", stopped)
    assert cli.main([*WORDS, "--trials", "2", "--out", "parts"]) == 130
    monkeypatch.setattr(runs, "train", train)
    capsys.readouterr()
    parts = searched(capsys, "--trials", "2", "--out", "parts")
    assert [(one["values"], one["return"]) for one in parts] == [(one["values"], one["return"]) for one in whole]
    monkeypatch.delattr(runs, "train")  # with all trials done, nothing runs
    assert searched(capsys, "--trials", "2", "--out", "parts") == parts


def test_a_search_continues_its_own_study_alone(toy: None, capsys: pytest.CaptureFixture) -> None:
    searched(capsys, "--trials", "1")
    assert cli.main([*WORDS, "--trials", "1", "--range", "temperature=1..2"]) == 3
    assert "has another ranges" in capsys.readouterr().err


def test_a_trial_that_diverges_fails_alone(
    toy: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    train = runs.train

    def diverging(arguments: runs.TrainArguments) -> None:
        if str(arguments.out).endswith("trial0"):
            raise RunError("FRL0420", "not finite")
        train(arguments)

    monkeypatch.setattr(runs, "train", diverging)
    found = searched(capsys, "--trials", "2")
    assert [(one["trial"], one["return"] is None) for one in found] == [(1, False), (0, True)]


def test_ranges_that_the_spec_declares() -> None:
    declared = searching.Range("temperature", 0.01, 10.0, log=True)
    assert searching.ranges(ARGUMENTS, []) == [declared] == searching.ranges(ARGUMENTS, ["temperature"])
    with pytest.raises(RunError, match=r"FRL0493.*declares no finite range"):
        searching.ranges(runs.TrainArguments("td3", "Pendulum-v1"), [])
    with pytest.raises(RunError, match=r"FRL0493.*no parameter") as caught:
        searching.ranges(ARGUMENTS, ["temprature"])
    assert 'did you mean "temperature"?' in caught.value.diagnostics[0].notes


@pytest.mark.parametrize("text", ["a=1", "a=2..1", "a=1..inf", "a=0..1:log", "a=0.5..3:int", "a=1..2:loq"])
def test_wrong_ranges_are_wrong_usage(text: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*WORDS, "--range", text])
    assert caught.value.code == 2 and "expected name=low..high" in capsys.readouterr().err
    assert command.values("a=1_000..2e3:log:int") == searching.Range("a", 1000, 2000, True, True)


def test_search_without_its_extra(toy: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("flowrl_dsl.runtime.errors.find_spec", lambda name: None if name == "optuna" else find_spec(name))
    assert cli.main([*WORDS]) == 3
    assert "pip install 'flowrl-dsl[search]'" in capsys.readouterr().err
