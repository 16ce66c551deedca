"""``flowrl-dsl suite`` as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowrl_dsl import cli, driver
from flowrl_dsl.suites.store import Store
from tests.runtime.toy_program import ToyProgram
from tests.suites.samples import TINY, jobs, result_for, suite_file, train_in_this_process

CART = TINY.replace('"Pendulum-v1"', '"Hopper-v5"')


def flowrl(*words: object) -> int:
    return cli.main(["suite", *map(str, words)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the suite ``tiny.flowrl``."""
    monkeypatch.chdir(tmp_path)
    return suite_file(tmp_path, CART)


@pytest.fixture
def filled(here: Path) -> Path:
    """Its store with all results."""
    Store(Path("runs/suites/results.sqlite")).add([result_for(job, 1.0, 2.0, 3.0) for job in jobs(here.parent, CART)])
    return here


def test_plan_counts_what_a_suite_takes(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert flowrl("plan", here, "--no-bench") == 0
    out = capsys.readouterr().out
    assert " sac     4       80           -  0.0" in out
    assert out.endswith("8 runs, 160 updates, 0.0 GB of run folders\n")


def test_plan_names_what_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = suite_file(tmp_path, TINY.replace("Pendulum-v1", "Pendulun-v1"))
    assert flowrl("plan", path, "--no-bench") == 0
    out = capsys.readouterr().out
    assert "cannot run here: Pendulun-v1: " in out and "4 runs, 80 updates" in out
    assert flowrl("run", path) == 3
    assert "error[FRL0506]" in capsys.readouterr().err


def test_run_status_and_resume(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    train_in_this_process(monkeypatch)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))
    part = ("--specs", "sac", "--tasks", "InvertedPendulum-v5", "--seeds", 1)
    assert flowrl("run", here, *part, "--jobs", 1) == 0
    assert "1/1 sac on InvertedPendulum-v5, seed 1: return " in capsys.readouterr().out
    assert flowrl("run", here, *part) == 0
    assert "1 runs, of which 1 are in runs/suites/results.sqlite" in capsys.readouterr().out
    assert flowrl("status", here) == 0
    assert capsys.readouterr().out == "8 runs: 1 finished, 0 failed, 0 begun, 7 waiting\n"


def test_tables_and_reports(filled: Path, capsys: pytest.CaptureFixture) -> None:
    assert flowrl("table", filled, "--format", "csv", "--against", "td3") == 0
    assert 'spec,tasks,better than td3\nsac,2,"0.50 [0.50, 0.50]"' in capsys.readouterr().out
    assert flowrl("report", filled) == 0
    listed = capsys.readouterr().out.split()
    assert "runs/suites/reports/tiny/report.md" in listed and all(Path(name).exists() for name in listed)
    assert flowrl("table", filled, "--specs", "td3", "--seeds", "0") == 0
    assert "| td3 | 2 | 2 | 0 |" in capsys.readouterr().out


def test_tables_as_json(filled: Path, capsys: pytest.CaptureFixture) -> None:
    def printed(*words: object) -> Any:
        assert flowrl(*words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    plan = printed("plan", filled, "--no-bench", "--specs", "sac")
    (price,) = plan["specs"]
    assert plan["cannot_run"] == {} and (price["label"], price["runs"], price["hours"]) == ("sac", 4, None)
    (state,) = printed("status", filled, "--specs", "td3", "--tasks", "Hopper-v5", "--seeds", 1)
    assert state == {"spec": "td3", "task": "Hopper-v5", "seed": 1, "state": "finished", "step": 300, "steps": 300}
    tables = {table["name"]: table["rows"] for table in printed("table", filled, "--against", "td3")}
    (measured,) = printed("random", filled, "--tasks", "InvertedPendulum-v5", "--episodes", 5)
    assert (measured["task"], measured["episodes"]) == ("InvertedPendulum-v5", 5) and measured["return_mean"] > 0
    assert tables["improvement"] == [{"spec": "sac", "tasks": "2", "better than td3": "0.50 [0.50, 0.50]"}]


def test_export_and_import(filled: Path, capsys: pytest.CaptureFixture) -> None:
    assert flowrl("export", "all.jsonl") == 0
    assert flowrl("import", "all.jsonl", "--store", "other.sqlite") == 0
    assert flowrl("import", "all.jsonl", "--store", "other.sqlite") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 runs in all.jsonl"
    assert lines[1] == "all.jsonl: 8 runs, of which 8 are new in other.sqlite" and ", of which 0 are new" in lines[2]
    assert Store(Path("other.sqlite")).results() == Store(Path("runs/suites/results.sqlite")).results()


def test_random_actions_are_measured(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert flowrl("random", here, "--tasks", "InvertedPendulum-v5", "--episodes", 20) == 0
    name, mean, *_ = capsys.readouterr().out.split()
    assert name == "InvertedPendulum-v5:" and 2 < float(mean) < 12


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("table", "tiny.flowrl"), "FRL0504"),
        (("table", "tiny.flowrl", "--budget", "papr"), "FRL0508"),
        (("status", "tiny.flowrl", "--tasks", "Ant-v5"), "FRL0508"),
        (("status", "tiny.flowrl", "--store", "tiny.flowrl"), "FRL0500"),
        (("import", "tiny.flowrl"), "FRL0507"),
        (("import", "no.jsonl"), "FRL0507"),
        (("run", "tiny.flowrl", "--gpus", "1"), "FRL0513"),
        (("run", "tiny.flowrl", "--address", "auto"), "FRL0513"),
        (("run", "tiny.flowrl", "--scratch", "here"), "FRL0513"),
        (("run", "tiny.flowrl", "--on", "slurm", "--gpus", "0.5"), "FRL0513"),
    ],
)
def test_mistakes_are_coded(here: Path, words: tuple[str, ...], code: str, capsys: pytest.CaptureFixture) -> None:
    assert flowrl(*words) == 3
    assert f"error[{code}]" in capsys.readouterr().err


def test_mistakes_in_a_suite_exit_with_1(here: Path, capsys: pytest.CaptureFixture) -> None:
    here.write_text(CART.replace("seeds  = 2", "seeds = 0"))
    assert flowrl("status", here) == 1 and "error[FRL0214]" in capsys.readouterr().err
    assert flowrl("status", "sac") == 1 and "error[FRL0271]" in capsys.readouterr().err
    assert flowrl("status", "gym_mujoko") == 1 and 'did you mean the shipped suite "gym_mujoco"' in capsys.readouterr().err
    assert cli.main(["train", "dm_control"]) == 1 and "error[FRL0270]" in capsys.readouterr().err
    assert cli.main(["check", str(here)]) == 1


def test_other_commands_read_suites(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["check", str(here), "dm_control"]) == 0
    here.write_text(CART.replace("specs  = [sac, td3]", "specs=[sac,td3]"))
    assert cli.main(["fmt", str(here)]) == 0 and here.read_text() == CART
    Path("other.flowrl").write_text(CART.replace("seeds  = 2", "seeds  = 3"))
    capsys.readouterr()
    assert cli.main(["diff", str(here), "other.flowrl"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["", "seeds", "  - [0, 1]", "  + [0, 1, 2]"]
    assert cli.main(["list", "suites"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dm_control", "1120", "runs", "DeepMind", "Control"] in listed


def test_a_folder_that_cannot_be_made(here: Path, capsys: pytest.CaptureFixture) -> None:
    Path("file").write_text("")
    assert flowrl("run", here, "--out", "file/runs") == 3
    assert "error[FRL0410]" in capsys.readouterr().err
