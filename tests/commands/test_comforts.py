"""``doctor``, ``init``, ``completion``, ``--quiet`` and ``--json`` as a user runs them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flowrl_dsl import cli, doctor, driver
from flowrl_dsl.commands import commands
from tests.runtime.toy_program import ToyProgram

ROOT = Path(__file__).parents[2]


def test_doctor_prints_every_check(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [line[1] for line in lines] == ["versions", "pairs", "devices", "cache", "disk", "renderer", "training"]
    assert lines[0][2].startswith("flowrl-dsl ") and lines[-1][2].startswith("60 steps of td3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change, state, cure",
    [
        ({}, "ok", ""),
        ({"mujoco": "4.0.1"}, "bad", "pip install 'mujoco>=3.17,<4'"),
        ({"mujoco": "3.2.0"}, "bad", "pip install 'mujoco>=3.17,<4'"),
        ({"jaxlib": "0.5.1"}, "bad", "pip install --upgrade jax jaxlib"),
        ({"python": "3.13.1", "dm-control": None}, "note", "use Python 3.11 or 3.12 for tasks of DeepMind Control"),
    ],
)
def test_bad_pairs_of_versions(change: dict, state: str, cure: str) -> None:
    installed = {"jax": "0.6.1", "jaxlib": "0.6.0", "mujoco": "3.17.0", "dm-control": "1.0.50", "python": "3.12.1"} | change
    found = doctor.bad_pairs({name: version for name, version in installed.items() if version is not None})
    assert [(one.state, one.cure) for one in found] == [(state, cure)]


def test_doctor_fails_where_nothing_can_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    found = [doctor.Finding("devices", "bad", "no device", "get one"), doctor.Finding("disk", "note", "little")]
    monkeypatch.setattr(doctor, "findings", lambda: iter(found))
    assert cli.main(["doctor", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == [
        {"check": "devices", "state": "bad", "found": "no device", "cure": "get one"},
        {"check": "disk", "state": "note", "found": "little", "cure": ""},
    ]
    assert cli.main(["doctor"]) == 3 and "cure: get one" in capsys.readouterr().out


def test_a_new_project_passes_its_own_tests(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "my-first"
    assert cli.main(["init", str(folder)]) == 0
    names = ["my_first.flowrl", "my_first_components.py", "test_my_first.py", "pyproject.toml", "README.md", ".gitignore"]
    assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout
    assert cli.main(["fmt", "--check", str(folder / "my_first.flowrl")]) == 0
    assert cli.main(["init", str(folder)]) == 3 and "FRL0495" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["param", "2nd", "ö ä!"])
def test_a_project_needs_the_name_of_an_algorithm(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["init", str(tmp_path / name)]) == 3
    assert "FRL0495" in capsys.readouterr().err and not (tmp_path / name).exists()


COMPLETED = """
source "$1"
COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); COMPREPLY=()
$(complete -p flowrl-dsl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_commands_specs_runs_and_options(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mine.flowrl").touch()
    (tmp_path / "runs/qsm/Ant-v5/seed0").mkdir(parents=True)

    def completed(*words: str) -> list[str]:
        command = ["bash", "-c", COMPLETED, "-", "./script", "flowrl-dsl", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    assert completed("tra") == ["train"]
    assert completed("compile", "qsm_") == ["qsm_dpmd", "qsm_hl_gauss", "qsm_td7"]
    assert "mine.flowrl" in completed("train", "mi")
    assert completed("resume", "runs/q")[0] == "runs/qsm/Ant-v5/seed0"
    assert completed("train", "qsm", "--see") == ["--seed", "--seeds"]
    assert completed("export", "run", "--format", "s") == ["stablehlo"]


@pytest.mark.parametrize("shell, text", [("zsh", "#compdef flowrl-dsl"), ("fish", "complete -c flowrl-dsl")])
def test_other_shells_get_the_specs_too(shell: str, text: str, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert text in out and "qsm_dpmd" in out and "runs/*/*/*" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_read_their_scripts(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    if shutil.which(shell) is None:
        # a program of the system, which no Python package brings
        pytest.skip(f"{shell} is not installed")
    assert cli.main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    done = subprocess.run([shell, "-n", "script"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_specs_runs_and_options(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["completion", "fish"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mine.flowrl").touch()
    (tmp_path / "runs/qsm/Ant-v5/seed0").mkdir(parents=True)

    def completed(line: str) -> list[str]:
        command = ["fish", "-c", f"source script; complete -C 'flowrl-dsl {line}'"]
        env = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        return [each.split("\t")[0] for each in done.stdout.splitlines()]

    assert completed("tra") == ["train"]
    assert completed("compile qsm_") == ["qsm_dpmd", "qsm_hl_gauss", "qsm_td7"]
    assert "mine.flowrl" in completed("train mi")
    assert completed("resume runs/q")[0] == "runs/qsm/Ant-v5/seed0"
    assert completed("train qsm --see") == ["--seed", "--seeds"]
    assert completed("export run --format s") == ["stablehlo"]


def test_completion_without_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("flowrl_dsl.runtime.errors.find_spec", lambda name: None if name == "shtab" else find_spec(name))
    assert cli.main(["completion", "bash"]) == 3
    assert "pip install 'flowrl-dsl[completion]'" in capsys.readouterr().err


def test_quiet_runs_print_nothing_and_eval_prints_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))
    words = ["train", "qsm", "--task", "Pendulum-v1", "--steps", "60", "--set", "train.warmup=50", "--episodes", "2"]
    assert cli.main([*words, "--out", "run", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["resume", "run", "--steps", "80", "--quiet"]) == 0 and capsys.readouterr().out == ""
    assert cli.main(["resume", "run", "--steps", "40", "--quiet"]) == 3 and "FRL0426" in capsys.readouterr().err
    assert cli.main(["eval", "run", "--episodes", "2", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["run"] == "run" and len(found["returns"]) == 2 and found["return_mean"] == sum(found["returns"]) / 2


TABLES = {
    "bench": ("step", "act", "env", "train"),
    "suite": ("plan", "status", "table", "random"),
    **dict.fromkeys(("collect", "compile", "data", "diff", "doctor", "eval", "list", "runs", "search"), ()),
}
"""The commands that print a table, those of ``bench`` and ``suite`` by their kinds."""
NO_TABLES = {
    # texts, progress, paths; `check` has formats of its own
    *("check", "completion", "diagnose", "explain", "export", "fmt", "init", "look", "lsp", "new", "plot", "report"),
    *("resume", "train", "video"),
}


def test_json_stands_for_every_table() -> None:
    assert {*TABLES} | NO_TABLES == {*commands()} and not {*TABLES} & NO_TABLES
    (found,) = (one for one in cli.parser()._actions if isinstance(one, argparse._SubParsersAction))
    for name, parser in found.choices.items():
        kinds = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        parsers = {f"{name} {kind}": of for one in kinds for kind, of in one.choices.items()} or {name: parser}
        tables = {f"{name} {kind}" for kind in TABLES.get(name, ())} or ({name} if name in TABLES else set())
        flags = {which for which, of in parsers.items() if "--json" in of._option_string_actions}
        assert flags == tables
        assert all(parsers[one]._option_string_actions["--json"].nargs == 0 for one in flags), "it takes no value"


def test_differences_as_json(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["diff", "sac", "sac", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"left": "sac", "right": "sac", "differences": []}
    assert cli.main(["diff", "qsm", "qsm_dpmd", "--json"]) == 0
    found = {one["path"]: (one["left"], one["right"]) for one in json.loads(capsys.readouterr().out)["differences"]}
    assert found["improve weighted_regression"] == ("-", "yes")


def test_list_prints_json(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["list", "specs", "--json"]) == 0
    (qsm,) = [one for one in json.loads(capsys.readouterr().out)["specs"] if one["name"] == "qsm"]
    assert qsm == {
        "name": "qsm",
        "axes": "diffusion, score_matching",
        "title": "Q-score matching",
        "paper": "arXiv:2312.11752",
    }
    assert cli.main(["list", "sampler", "--json"]) == 0
    assert "ddim" in [one["name"] for one in json.loads(capsys.readouterr().out)["sampler"]]
