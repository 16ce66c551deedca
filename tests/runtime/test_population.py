"""Members of a population are the runs that they are alone, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from flowrl_dsl.runtime import environments
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.population import Population, SharedDisplay
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.train import Training
from tests.runtime.toy_program import ToyLoop, ToyProgram
from tests.runtime.toy_run import Quiet

TASK = "InvertedPendulum-v5"
SETTINGS = replace(Settings.of(ToyLoop(steps=240), TASK, 0, checkpoint_every=70, log_every=50, evaluate_every=120))
MEMBERS = {"slow": (0, 1e-3), "fast": (0, 1e-1), "other": (1, 1e-3)}
"""Seed and rate."""


@pytest.fixture(scope="module")
def program() -> ToyProgram:
    return ToyProgram(*environments.sizes(TASK))


def _training(program: ToyProgram, folder: Path, name: str, display) -> Training:
    seed, rate = MEMBERS[name]
    if not (folder / name / "run.json").exists():
        RunFolder.create(folder, "toy", TASK, seed, {}, out=folder / name)
    settings = replace(SETTINGS, seed=seed)
    return Training(program, settings, RunFolder(folder / name), display, hyper=program.hyper | {"rate": rate})


def _alone(program: ToyProgram, folder: Path, name: str) -> None:
    _training(program, folder, name, Quiet(240)).run()


def _population(program: ToyProgram, folder: Path, at_log=None) -> Population:
    shared = SharedDisplay(Quiet(240, at_log))
    return Population({name: _training(program, folder, name, shared.of(name)) for name in MEMBERS}, shared)


def _metrics(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name / "metrics.jsonl").read_bytes() for name in MEMBERS}


@pytest.fixture(scope="module")
def alone(program: ToyProgram, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    for name in MEMBERS:
        _alone(program, folder, name)
    return folder


def test_each_member_is_bit_for_bit_the_run_that_it_is_alone(program: ToyProgram, alone: Path, tmp_path: Path) -> None:
    population = _population(program, tmp_path)
    assert population.run() == {}
    assert _metrics(tmp_path) == _metrics(alone)
    assert len(set(_metrics(tmp_path).values())) == 3
    for name, member in population.members.items():
        theirs = json.loads((alone / name / "metrics.jsonl").read_text().splitlines()[-1])
        assert member.result.record()["return_mean"] == theirs["return_mean"]


def test_an_interrupted_population_goes_on_equal_also_after_a_member_went_on_alone(
    program: ToyProgram, alone: Path, tmp_path: Path
) -> None:
    def interrupt(step: int) -> None:
        if step == 100:
            os.kill(os.getpid(), signal.SIGINT)
            handled.append(step)

    handled: list[int] = []
    with pytest.raises(Interrupted):
        # the first member to reach this step stops all of them, each at the end of its turn
        _population(program, tmp_path, lambda step: handled or interrupt(step)).run()
    steps = {name: _training(program, tmp_path, name, Quiet(240)).checkpoints.load().step for name in MEMBERS}
    assert set(steps.values()) == {100}
    _alone(program, tmp_path, "fast")
    assert _population(program, tmp_path).run() == {}
    assert _metrics(tmp_path) == _metrics(alone)


def test_a_member_that_is_not_finite_stops_alone(program: ToyProgram, alone: Path, tmp_path: Path) -> None:
    population = _population(program, tmp_path)
    population.members["fast"].program = ToyProgram(*environments.sizes(TASK), blow_up_at=60)
    failures = population.run()
    assert list(failures) == ["fast"] and failures["fast"].code == "FRL0420"
    assert any(text.startswith("fast stopped, the others go on: update 60") for text in population.display._display.said)
    found, expected = _metrics(tmp_path), _metrics(alone)
    assert (found["slow"], found["other"]) == (expected["slow"], expected["other"])
    assert population.members["fast"].checkpoints.load().step == 70 and (tmp_path / "fast/nonfinite/report.json").exists()


def test_trouble_that_is_not_of_one_member_ends_the_population(program: ToyProgram, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise RunError("FRL0410", "cannot write: no space left")

    population = _population(program, tmp_path)
    monkeypatch.setattr(population.members["fast"], "checkpoint", full)
    with pytest.raises(RunError, match="FRL0410"):
        population.run()


def test_the_display_shows_the_mean_return_and_all_updates() -> None:
    shown: list[tuple] = []
    display = Quiet(10)
    display.show = lambda *numbers: shown.append(numbers)
    shared = SharedDisplay(display)
    one, two = shared.of("one"), shared.of("two")
    one.show(5, 10.0, 100.0)
    two.show(5, None, 50.0)
    two.show(6, 20.0, 50.0)
    shared.leave("one")
    two.show(7, 20.0, 60.0)
    two.say("done")
    assert shown == [(5, 10.0, 100.0), (5, 10.0, 150.0), (6, 15.0, 150.0), (7, 20.0, 60.0)]
    assert display.said == ["two: done"]
