"""Members of a population are the runs that they are alone, whatever becomes of the others."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.population import Population, SharedDisplay
from flowrl_dsl.runtime.progress import Speed
from flowrl_dsl.runtime.signals import Stop
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.toy_program import ToyProgram, toy_settings
from tests.runtime.toy_run import Quiet

TASK = "InvertedPendulum-v5"
SETTINGS = toy_settings(TASK, steps=240, checkpoint_every=70, evaluate_every=120)
MEMBERS = {"slow": (0, 1e-3), "fast": (0, 1e-1), "other": (1, 1e-3)}
"""Seed and rate."""


@pytest.fixture(scope="module")
def program() -> ToyProgram:
    return ToyProgram(*catalogue.sizes(TASK))


def _training(program: ToyProgram, folder: Path, name: str, display) -> Training:
    seed, rate = MEMBERS[name]
    if not (folder / name / "run.json").exists():
        RunFolder.create(folder, "toy", TASK, seed, {}, out=folder / name)
    settings = replace(SETTINGS, seed=seed)
    return Training(program, settings, RunFolder(folder / name), display, hyper=program.hyper | {"rate": rate})


def _alone(program: ToyProgram, folder: Path, name: str) -> None:
    _training(program, folder, name, Quiet(240)).run()


def _population(program: ToyProgram, folder: Path, at_log=None, joined: bool = False) -> Population:
    shared = SharedDisplay(Quiet(240, at_log))
    members = {name: _training(program, folder, name, shared.of(name)) for name in MEMBERS}
    return Population(members, shared, joined=joined)


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


@pytest.fixture(scope="module")
def joined(program: ToyProgram, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    assert _population(program, folder, joined=True).run() == {}
    return folder


def test_members_updated_in_one_dispatch_learn_what_they_learn_alone(alone: Path, joined: Path) -> None:
    """Products of many matrices round in their own way: close, not equal bit for bit."""
    for name in MEMBERS:
        found, expected = RunFolder(joined / name).records(), RunFolder(alone / name).records()
        assert [record.keys() for record in found] == [record.keys() for record in expected]
        # random actions, the first updates and all counts; later a rounding may have led the policy elsewhere
        assert found[0] == expected[0]
        for key in ("step", "updates"):
            assert [record.get(key) for record in found] == [record.get(key) for record in expected]
        second, theirs = found[1], expected[1]
        assert second["critic.loss"] == pytest.approx(theirs["critic.loss"], rel=1e-3)
    assert len(set(_metrics(joined).values())) == 3


def test_members_updated_in_one_dispatch_go_on_bit_for_bit(program: ToyProgram, joined: Path, tmp_path: Path) -> None:
    def interrupt(step: int) -> None:
        if step == 100 and not handled:
            handled.append(step)
            os.kill(os.getpid(), signal.SIGINT)

    handled: list[int] = []
    with pytest.raises(Interrupted):
        _population(program, tmp_path, interrupt, joined=True).run()
    steps = {name: _training(program, tmp_path, name, Quiet(240)).checkpoints.load().step for name in MEMBERS}
    assert set(steps.values()) == {100}
    assert _population(program, tmp_path, joined=True).run() == {}
    assert _metrics(tmp_path) == _metrics(joined)


def test_a_member_behind_catches_up_and_joins(program: ToyProgram, joined: Path, tmp_path: Path) -> None:
    """Its replay leaves its own ring for its place among the others."""
    population = _population(program, tmp_path, joined=True)
    with ExitStack() as opened:
        for name, member in population.members.items():
            member.open()
            opened.callback(member.close)
            member.begin()
            for _ in range(80 if name == "fast" else 90):
                member.advance()
        before = {name: member.replay.total for name, member in population.members.items()}
        population._loop(Stop())
    assert before == {"slow": 90, "fast": 80, "other": 90}
    for name in MEMBERS:
        records = RunFolder(tmp_path / name).records()
        assert records[-1]["step"] == 240 and population.members[name].updates == 190


def test_a_member_stops_and_its_place_among_the_others_is_kept(program: ToyProgram, joined: Path, tmp_path: Path) -> None:
    population = _population(program, tmp_path, joined=True)
    fast, settle = population.members["fast"], population.members["fast"].settle

    def broken(before: int, stop: Stop) -> None:
        if fast.step == 150:
            raise RunError("FRL0420", "update 99 is not finite")
        settle(before, stop)

    fast.settle = broken
    assert list(population.run()) == ["fast"] and fast.step == 150
    found, expected = _metrics(tmp_path), _metrics(joined)
    assert (found["slow"], found["other"]) == (expected["slow"], expected["other"])


def test_a_member_that_is_not_finite_stops_alone(program: ToyProgram, alone: Path, tmp_path: Path) -> None:
    population = _population(program, tmp_path)
    population.members["fast"].program = ToyProgram(*catalogue.sizes(TASK), blow_up_at=60)
    failures = population.run()
    assert list(failures) == ["fast"] and failures["fast"].code == "FRL0420"
    assert any(text.startswith("fast stopped, the others continue: update 60") for text in population.display._display.said)
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
    one.show(5, 10.0, Speed(100.0, 8.0))
    two.show(5, None, Speed(50.0, 4.0))
    two.show(6, 20.0, Speed(50.0, 4.0))
    shared.leave("one")
    two.show(7, 20.0, Speed(60.0, 5.0))
    two.say("done")
    assert [numbers[:2] for numbers in shown] == [(5, 10.0), (5, 10.0), (6, 15.0), (7, 20.0)]
    assert [numbers[2] for numbers in shown] == [(100.0, 8.0), (150.0, 12.0), (150.0, 12.0), (60.0, 5.0)]
    assert display.said == ["two: done"]
