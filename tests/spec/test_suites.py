"""Suites: what is chosen, which settings hold, and what ``check`` and ``diff`` report of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowrl_dsl.algorithm import starts
from flowrl_dsl.resources import shipped_specs, shipped_suites
from flowrl_dsl.spec.compare import Difference
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.spec.suites.compare import compare_suites
from flowrl_dsl.spec.suites.resolve import SuiteResolution, check_file, resolve_suite
from flowrl_dsl.spec.suites.suite import Suite
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse_file
from tests.spec.helpers import algorithm_of

ROOT = Path(__file__).parents[2]
BASE = """suite base "A base" {
  specs  = [sac, td3]
  tasks  = ["Hopper-v5", "dm_control/walker-run"]
  seeds  = 2
  budget = small

  budget small { steps = 20_000 }
  budget smoke { steps = 300 }
  train { batch = 64 }

  group quick {
    critic { network = mlp([64]) }
    for task "dm_control/*" { train { batch = 32 } }
  }
}
"""


def suite_of(folder: Path, text: str, name: str = "one.flowrl") -> Suite:
    (folder / name).write_text(text, encoding="utf-8")
    found = resolve_suite(str(folder / name))
    assert found.suite is not None, [str(d) for d in found.diagnostics]
    return found.suite


def sets(suite: Suite, task: str, group: int = 0, budget: str | None = None) -> list[str]:
    return [override.text for override in suite.overrides(suite.groups[group], task, None, budget)]


def test_choices_and_settings(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, BASE)
    (group,) = suite.groups
    assert (suite.name, suite.title, group.name) == ("base", "A base", "quick")
    assert [*group.specs] == ["sac", "td3"] and group.seeds == (0, 1) and group.budget == "small"
    assert sets(suite, "Hopper-v5") == ["train.batch=64", "critic.network=mlp([64])", "train.steps=20_000"]
    assert sets(suite, "dm_control/walker-run", budget="smoke") == [
        "train.batch=64",
        "critic.network=mlp([64])",
        "train.batch=32",
        "train.steps=300",
    ]
    assert [*suite.variants(group)] == [("Hopper-v5", None), ("dm_control/walker-run", None)]


OFFLINE = """suite sets {
  specs  = [iql]
  tasks  = ["Hopper-v4", "Walker2d-v4"]
  seeds  = 1
  budget = smoke
  budget smoke { steps = 40  for task "walker2d-*" { steps = 50 } }
  for task "Hopper-v4" { data = ["~/sets/hopper_medium-v2.hdf5", "sets/hopper_expert-v2.hdf5"] }
  for task "Walker2d-v4" { data = ["~/sets/walker2d_medium-v2.hdf5", "sets/walker2d_expert-v2.hdf5"] }
  for task "hopper-medium-*" { param tau = 0.8 }
  group one { for task "*-expert-*" { param beta = 4.0 } }
}
"""


def test_settings_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    suite = suite_of(tmp_path, OFFLINE)
    (group,) = suite.groups
    chosen = {
        source.name: [one.text for one in suite.overrides(group, task, source.name)] for task, source in group.places()
    }
    assert chosen == {
        "hopper_medium-v2": ["tau=0.8", "train.steps=40"],
        "hopper_expert-v2": ["beta=4.0", "train.steps=40"],
        "walker2d_medium-v2": ["train.steps=40", "train.steps=50"],
        "walker2d_expert-v2": ["beta=4.0", "train.steps=40", "train.steps=50"],
    }
    assert [data for _, data in suite.variants(group)] == [*chosen], "each of them is a choice of its own"
    assert sets(suite, "Hopper-v4") == ["train.steps=40"], "without a data set"
    folders = [source.source for source in group.sources("Hopper-v4")]
    assert folders == [
        str(tmp_path / at / "sets" / name) for at, name in (("home", "hopper_medium-v2.hdf5"), ("", "hopper_expert-v2.hdf5"))
    ]


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("param tau = 0.8", "param tua = 0.8", "FRL0261", "tua"),
        ('"*-expert-*"', '"*-random-*"', "FRL0278", 'no task and no data set "*-random-*"'),
        ("param tau = 0.8", "data = []", "FRL0278", 'no task "hopper-medium-*"'),
    ],
)
def test_mistakes_in_settings_of_data_sets(tmp_path: Path, old: str, new: str, code: str, message: str) -> None:
    (tmp_path / "one.flowrl").write_text(OFFLINE.replace(old, new))
    (error,) = resolve_suite(str(tmp_path / "one.flowrl")).diagnostics.errors
    assert error.code == code and message in error.message


def test_extending_a_suite(tmp_path: Path) -> None:
    suite_of(tmp_path, BASE, "base.flowrl")
    suite = suite_of(
        tmp_path,
        """suite more extends "base.flowrl" {
  seeds = [7]
  budget small { evaluate_every = 500 }
  group quick { critic { ensemble = 3 } }
  group qsm { specs = ["mine.flowrl", qsm]  budget = smoke }
}
"""
        if (tmp_path / "mine.flowrl").write_text('algorithm mine extends "sac.flowrl" {}\n')
        else "",
    )
    quick, other = suite.groups
    assert suite.title == "A base" and quick.seeds == other.seeds == (7,)
    assert sets(suite, "Hopper-v5") == [
        "train.batch=64",
        "critic.network=mlp([64])",
        "critic.ensemble=3",
        "train.steps=20_000",
        "train.evaluate_every=500",
    ]
    assert other.specs == {"mine": str(tmp_path / "mine.flowrl"), "qsm": str(shipped_specs()["qsm"])}
    assert sets(suite, "Hopper-v5", 1) == ["train.batch=64", "train.steps=300"]


def test_errors_of_specs_under_the_settings_of_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "wrong.flowrl"
    path.write_text(BASE.replace("mlp([64])", "mlp([64], activation = mesh)").replace("batch = 32", "batch = 0"))
    found = resolve_suite(str(path))
    assert [(d.code, d.span and d.span.line, d.notes[-1]) for d in found.diagnostics] == [
        ("FRL0215", 12, "in sac, td3"),
        ("FRL0214", 13, "in sac, td3"),
    ]
    path.write_text(BASE.replace("steps = 300", "stops = 300"))
    (error,) = resolve_suite(str(path)).diagnostics
    assert error.code == "FRL0261" and error.notes[0] == 'did you mean "train.steps"?'


PHASED = """suite phased {
  specs  = [qc]
  tasks  = ["Hopper-v5", "Walker2d-v5"]
  seeds  = 1
  budget = small

  budget small { steps = 20_000 }
  budget smoke {
    steps = 300
    offline { updates = 100 }
    for task "Walker2d-*" { online { steps = 50 } }
  }
  group both {
    offline { updates = 2_000 }
    online { steps = 9_000 }
  }
  group alone {
    regime = off_policy
    online { steps = none }
  }
}
"""


def test_a_budget_has_the_lengths_of_the_phases_that_a_group_sets(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, PHASED)
    of_group = ["offline.updates=2_000", "online.steps=9_000"]
    assert sets(suite, "Hopper-v5") == [*of_group, "train.steps=20_000"]
    assert sets(suite, "Hopper-v5", budget="smoke") == [*of_group, "train.steps=300", "offline.updates=100"]
    assert sets(suite, "Walker2d-v5", budget="smoke")[-1] == "online.steps=50"
    alone = sets(suite, "Walker2d-v5", 1, "smoke")
    assert alone == ["regime=off_policy", "online.steps=none", "train.steps=300"], "its phase is taken back"


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("offline { updates = 100 }", "ofline { updates = 100 }", "FRL0279", "no group sets ofline.updates"),
        ("offline { updates = 100 }", "offline { steps = 100 }", "FRL0279", "no group sets offline.steps"),
        ("offline { updates = 100 }", "offline { order = critic }", "FRL0208", 'phase "offline" has no length "order"'),
        ("offline { updates = 100 }", "policy { network = mlp([8]) }", "FRL0276", 'settings of "policy" cannot stand'),
        ("offline { updates = 100 }", "param rate = 0.1", "FRL0276", 'settings of "rate" cannot stand'),
        ("offline { updates = 100 }", "steps = 200", "FRL0206", '"train.steps" is given twice'),
        ("online { steps = 50 }", "on_line { steps = 50 }", "FRL0279", "no group sets on_line.steps"),
    ],
)
def test_mistakes_in_budgets(tmp_path: Path, old: str, new: str, code: str, message: str) -> None:
    (tmp_path / "one.flowrl").write_text(PHASED.replace(old, new))
    (error,) = resolve_suite(str(tmp_path / "one.flowrl")).diagnostics.errors
    assert error.code == code and message in error.message


def test_a_syntax_error_hides_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "broken.flowrl"
    path.write_text('suite a {\n  specs = [sac td3]\n  tasks = ["x"]\n  group g { seed = }\n  group h { seeds = 0 }\n}\n')
    found = check_file(str(path))
    assert isinstance(found, SuiteResolution) and found.suite is None
    assert {d.code for d in found.diagnostics} == {"FRL0110", "FRL0112", "FRL0214"}


def test_differences_of_suites(tmp_path: Path) -> None:
    left = suite_of(tmp_path, BASE)
    assert compare_suites(left, suite_of(tmp_path, BASE.replace("A base", "Another title"))) == []
    changed = BASE.replace("seeds  = 2", "seeds = [0, 2]").replace("batch = 32", "batch = 16")
    right = suite_of(tmp_path, changed.replace("steps = 300", "steps = 300  episodes = 1"))
    assert compare_suites(left, right) == [
        Difference("group quick seeds", "[0, 1]", "[0, 2]"),
        Difference('group quick train.batch for task "dm_control/*"', "32", "16"),
        Difference("budget smoke episodes", "-", "1"),
    ]


@pytest.mark.parametrize("name", shipped_suites())
def test_shipped_suites_are_valid_and_formatted(name: str) -> None:
    path = shipped_suites()[name]
    found = check_file(name)
    assert isinstance(found, SuiteResolution) and found.suite is not None and list(found.diagnostics) == []
    assert "smoke" in found.suite.budgets
    file, _ = parse_file(path)
    assert file is not None and format_file(file) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", shipped_suites())
def test_smoke_reaches_the_last_phase(name: str) -> None:
    """That of a spec which learns from a data set; one that acts from its start may leave its phases out."""
    suite = resolve_suite(name).suite
    assert suite is not None
    for group in suite.groups:
        task, data = next(suite.variants(group))
        for spec, path in group.specs.items():
            algorithm = algorithm_of(
                resolve(path, task=task, data=data, overrides=suite.overrides(group, task, data, "smoke"))
            )
            if algorithm.phases and not algorithm.regime.acts:
                train = algorithm.sections["train"]
                assert starts(algorithm.phases)[-1] < train.steps * train.updates, (spec, group.name)


def test_the_suite_of_the_page_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```\n(suite mine.*?)^```", (ROOT / "docs" / "suites.md").read_text(), re.S | re.M)
    (tmp_path / "my_algo.flowrl").write_text('algorithm my_algo extends "sac.flowrl" {}\n')
    suite = suite_of(tmp_path, text)
    assert sets(suite, "Hopper-v5", 1)[1:] == [
        "policy.sampler.steps=5",
        "temperature=0.2",
        "score_matching.factor=0.5",
        "train.steps=100_000",
        "train.evaluate_every=5_000",
    ]


def test_the_suite_of_the_page_that_has_data_sets_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```\n(suite offline_mine.*?)^```", (ROOT / "docs" / "suites.md").read_text(), re.S | re.M)
    (group,) = suite_of(tmp_path, text).groups
    assert [(task, source and source.name) for task, source in group.places()] == [
        ("Hopper-v5", "hopper-medium-v2"),
        ("Hopper-v5", "mujoco/hopper/expert-v0"),
        ("HalfCheetah-v5", "mine/halfcheetah-replay-v0"),
    ]
    assert group.sources("Hopper-v5")[0].source == str(tmp_path / "sets" / "hopper-medium-v2.hdf5")


def test_the_suites_of_the_benchmarks() -> None:
    mujoco, control = (resolve_suite(name).suite for name in ("gym_mujoco", "dm_control"))
    assert mujoco is not None and control is not None
    assert {len(group.tasks) for group in mujoco.groups} == {11} and len(control.groups[0].tasks) == 28
    assert all(group.seeds == (0, 1, 2, 3, 4) for group in (*mujoco.groups, *control.groups))
