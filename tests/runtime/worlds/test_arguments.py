"""Constructor arguments of tasks: ``NAME(argument=value)``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flowrl_dsl import runs
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.worlds import arguments, catalogue
from flowrl_dsl.spec.resolve import resolve
from tests import needs
from tests.runtime.toy_run import train
from tests.runtime.worlds import odd

TANK = odd.named(odd.Tank)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("-0.5", -0.5), ("true", True), ("False", False), ("none", None), ("[1, 2]", [1, 2]), ("a.xml", "a.xml")],
)
def test_an_argument_survives_its_notation(text: str, value: Any) -> None:
    task = arguments.named("Hopper-v5", [f"x={text}"])
    assert arguments.split(task) == ("Hopper-v5", {"x": value}) and arguments.named(task, []) == task


def test_the_order_of_arguments_does_not_matter_and_the_last_of_a_name_holds() -> None:
    assert arguments.named("A-v0", ["b=1", "a=(2)", "b=3"]) == arguments.named("A-v0(b=3)", ["a=2"]) == "A-v0(a=2,b=3)"
    assert arguments.named("A-v0", []) == "A-v0"


def test_arguments_reach_the_constructor() -> None:
    world = catalogue.make(arguments.named(TANK, ["leak=0.5", "tilt=(1.0, 2.0)", "kind=square"]), 2, 0)
    tank = world._singles[1].task
    assert (tank.leak, tank.tilt, tank.lid, tank.kind) == (0.5, (1.0, 2.0), True, "square")


def test_max_episode_steps_is_an_argument_of_every_task_of_gymnasium() -> None:
    world = catalogue.make("Hopper-v5(max_episode_steps=7)", 2, 0)
    assert world._singles[0].time_limit._max_episode_steps == 7


def test_frame_skip_equals_a_task_made_with_it_and_another_one_does_not() -> None:
    one, other = (catalogue.make(f"HalfCheetah-v5(frame_skip={n})", 1, 0) for n in (2, 5))
    assert one._singles[0].task.frame_skip == 2 and other._singles[0].task.frame_skip == 5


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            f"{TANK}(leek=1)",
            r'has no argument "leek".*did you mean "leak".*it accepts leak=0.1, tilt=\(0.0, 0.0\)',
        ),
        (f"{TANK}(leak=-1)", r"cannot be made with leak=-1: ValueError: a tank cannot leak -1.*it accepts leak=0.1"),
        ("Hopper-v5(frame_skp=2)", r'has no argument "frame_skp" did you mean "frame_skip"'),
        ("Hopper-v5(frame_skip='two')", r"cannot be made with frame_skip='two': TypeError"),
        ("Hopper-v5(id=1)", r'has no argument "id"'),
        ("Hopper-v5(2)", r"is not a task with arguments"),
        ("Hopper-v5(frame_skip=os.sep)", r"is not a task with arguments"),
        ("Hopper-v5(frame_skip=2", r"is not a task with arguments"),
        pytest.param(
            "dm_control/cartpole-swingup(limit=2)",
            r'has no argument "limit".*it accepts time_limit=10',
            marks=needs.dm_control,
        ),
    ],
)
def test_an_argument_that_is_refused_is_an_error_with_those_that_are_accepted(task: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        catalogue.make(task, 1, 0)
    found = caught.value.diagnostics[0]
    assert found.code == "FRL0408" and re.search(message, " ".join([found.message, *found.notes]))


@needs.dm_control
def test_a_task_of_dm_control_takes_arguments() -> None:
    world = catalogue.make("dm_control/cartpole-swingup(time_limit=0.05)", 1, 0)
    world.reset()
    assert [bool(world.step([[0.0]]).done[0]) for _ in range(6)].count(True) >= 1


def test_a_block_for_a_task_applies_to_the_task_with_arguments() -> None:
    plain, given = (resolve("qsm", task=task).algorithm for task in ("InvertedPendulum-v5", "InvertedPendulum-v5(a=1)"))
    assert given is not None and given.sections == plain.sections
    assert given.sections != resolve("qsm", task="Hopper-v5").algorithm.sections


def test_a_run_records_its_arguments_and_resumes_with_them(tmp_path: Path) -> None:
    budget = {"warmup": 10, "evaluate_every": 20, "log_every": 20, "checkpoint_every": 20}
    task = "InvertedPendulum-v5(frame_skip=3)"
    train(tmp_path / "whole", task, steps=40, **budget)
    for steps in (20, 40):
        train(tmp_path / "parts", task, steps=steps, **budget)
    train(tmp_path / "plain", "InvertedPendulum-v5", steps=40, **budget)
    whole, parts, plain = (RunFolder(tmp_path / name).records()[-1] for name in ("whole", "parts", "plain"))
    assert whole == parts != plain


def test_runs_with_other_arguments_are_of_other_kinds() -> None:
    made = [runs.prepare(runs.TrainArguments("td3", arguments.named(TANK, given))).settings for given in ([], ["leak=0.5"])]
    assert made[0].task == TANK and made[1].task == f"{TANK}(leak=0.5)"
