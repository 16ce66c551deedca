"""The command line: exit codes, what is printed where, and that nobody sees a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl import __version__, cli, driver
from flowrl_dsl.runtime.worlds.vector import SyncVector
from tests.runtime.toy_program import ToyProgram

ROOT = Path(__file__).parents[1]


def _flowrl(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "flowrl_dsl", *words]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=cwd or ROOT, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def toy(monkeypatch, tmp_path: Path) -> None:
    """`train` and its kin with a program that compiles at once, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))


TRAIN = ("train", "qsm", "--steps", "300", "--set", "train.warmup=50", "--evaluate-every", "150", "--episodes", "2")


def test_the_version(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"flowrl-dsl {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["trai", "qsm"],
        ["train"],
        ["train", "qsm", "--stepz", "3"],
        ["train", "qsm", "--step", "3"],
        ["train", "qsm", "--steps", "0"],
        ["train", "qsm", "--steps", "1.5"],
        ["train", "qsm", "--seed", "-1"],
        ["train", "qsm", "--set", "temperature"],
        ["train", "qsm", "--seeds", "0"],
        ["train", "qsm", "--seeds", "2000"],
        ["train", "qsm", "--sweep", "temperature"],
        ["train", "qsm", "--sweep", "temperature=0.1,"],
        ["train", "qsm", "--sweep", "temperature=0.1,0.1"],
        ["train", "qsm", "--sweep", "temperature=0.1,nan"],
        ["train", "qsm", "--sweep", "policy.network=mlp([8])"],
        ["compile", "qsm", "--emit", "poem"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2 and "usage: flowrl-dsl" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["runs", "--filter", "x"], ["train", "qsm", "--step", "9"], ["suite", "run", "small", "--job=2"]]
)
def test_an_unknown_option_is_reported_with_the_usage_of_its_command(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    command = " ".join(words[: 2 if words[0] == "suite" else 1])
    close = {"train": "--steps", "suite": "--jobs"}.get(words[0])
    message = capsys.readouterr().err
    assert caught.value.code == 2 and message.startswith(f"usage: flowrl-dsl {command} ")
    assert f"did you mean {close}?" in message if close else "did you mean" not in message


def test_numbers_may_be_written_as_in_specs() -> None:
    from flowrl_dsl.cli import parser

    parsed = parser().parse_args(["train", "qsm", "--steps", "1_000", "--envs", "1e3"])
    assert (parsed.steps, parsed.envs) == (1000, 1000)


def test_check_accepts_every_shipped_spec_and_never_loads_jax() -> None:
    specs = sorted(map(str, (ROOT / "specs").glob("*.flowrl")))
    code = f"import sys; from flowrl_dsl import cli; print(cli.main({['check', *specs]!r}), 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


def test_printed_python_has_all_it_calls_whatever_else_was_imported() -> None:
    printed = _flowrl("compile", "driftpo", "--emit", "python", "--passes", "all").stdout
    assert printed.count("in_pieces(") > 1 and "def in_pieces(" in printed


def test_check_reports_all_files_at_once(tmp_path: Path, capsys) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.flowrl").write_text(f"algorithm {name} {{ policy {{ backbone = nonsense }} }}\n")
    files = [str(tmp_path / "one.flowrl"), str(tmp_path / "two.flowrl")]
    assert cli.main(["check", *files]) == 1
    text = capsys.readouterr().out
    assert all(f"--> {name}:1:" in text for name in files) and "error[FRL" in text
    assert cli.main(["check", "--format", "json", *files]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {place["place"]["file"] for place in found} == set(files)


def test_fmt_changes_a_file_once_and_check_changes_nothing(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.flowrl"
    untidy = "algorithm a {   # why\n\n\n policy { backbone=deterministic }\n}\n"
    path.write_text(untidy)
    path.chmod(0o640)
    (tmp_path / "link.flowrl").symlink_to(path)
    assert cli.main(["fmt", "--check", str(path)]) == 1 and path.read_text() == untidy
    assert cli.main(["fmt", str(tmp_path / "link.flowrl")]) == 0 and "# why" in path.read_text() != untidy
    assert (tmp_path / "link.flowrl").is_symlink() and path.stat().st_mode & 0o777 == 0o640
    capsys.readouterr()
    assert cli.main(["fmt", "--check", str(path)]) == 0 and capsys.readouterr().out == ""
    path.write_text("algorithm {")
    assert cli.main(["fmt", str(path)]) == 1 and path.read_text() == "algorithm {"


def test_too_little_memory_is_told_without_a_traceback(monkeypatch, capsys) -> None:
    import jax.numpy as jnp

    def build(algorithm, *sizes):
        jnp.zeros((2**20, 2**20, 2**10)).block_until_ready()

    monkeypatch.setattr(driver, "build_program", build)
    assert cli.main(["compile", "qsm"]) == 3
    assert "error[FRL0423]: out of memory" in capsys.readouterr().err


def test_a_mistake_of_the_program_itself_keeps_its_traceback(monkeypatch) -> None:
    def build(algorithm, *sizes):
        raise RuntimeError("a bug")

    monkeypatch.setattr(driver, "build_program", build)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["compile", "qsm"])


@pytest.mark.parametrize("words", [["check", "qsn"], ["train", "qsn"], ["compile", "qsn"], ["diff", "qsm", "qsn"]])
def test_a_misspelt_shipped_spec(words: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    assert 'did you mean the shipped spec "qsm"?' in "".join(capsys.readouterr())


def test_fmt_of_a_file_that_is_not_there_shows_no_line_of_it(tmp_path: Path, capsys) -> None:
    assert cli.main(["fmt", str(tmp_path / "no.flowrl")]) == 1
    assert "FRL0101" in (text := capsys.readouterr().err) and "|" not in text


def test_what_cannot_be_written_is_named_as_it_was_asked_for(tmp_path: Path, capsys) -> None:
    assert cli.main(["compile", "qsm", "--emit", "tree", "-o", str(tmp_path / "no" / "tree.txt")]) == 3
    assert f"cannot write {tmp_path}/no/tree.txt: No such file" in capsys.readouterr().err


def test_explain_knows_every_code_of_a_run(capsys) -> None:
    from flowrl_dsl.codes import run

    for code in run.CODES:
        assert cli.main(["explain", code.code.lower()]) == 0
        assert code.title in capsys.readouterr().out
    assert cli.main(["explain", "FRL9999"]) == 2


def test_every_code_that_a_run_raises_is_explained() -> None:
    import re

    from flowrl_dsl.codes import CODES, pictures, run

    package = ROOT / "flowrl_dsl"
    files = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] != "codes"]
    raised = {code for path in files for code in re.findall(r'"(FRL04\d{2})"', path.read_text())}
    assert raised <= CODES.keys() and {code.code for code in (*run.CODES, *pictures.CODES)} <= raised


def test_train_makes_a_whole_run_folder_and_the_other_commands_read_it(toy, tmp_path: Path, capsys) -> None:
    assert cli.main([*TRAIN, "--seed", "4"]) == 0
    run = tmp_path / "runs/qsm/InvertedPendulum-v5/seed4"
    out = capsys.readouterr().out
    relative = run.relative_to(tmp_path)
    assert out.startswith(f"run folder: {relative}\nif interrupted: flowrl-dsl resume {relative}\n")
    names = {path.name for path in run.iterdir()}
    assert {"run.json", "spec", "resolved.flowrl", "metrics.jsonl", "metrics.csv", "timing.jsonl"} <= names
    assert {"tensorboard", "checkpoints", "curve.png"} <= names
    said = json.loads((run / "run.json").read_text())
    assert said["versions"]["flowrl-dsl"] == __version__ and said["settings"]["evaluate_every"] == 150
    assert (run / "spec/qsm.flowrl").read_text() == (ROOT / "specs/qsm.flowrl").read_text()
    _reads(str(relative), capsys)


def _reads(run: str, capsys) -> None:
    assert cli.main(["resume", run]) == 0 and "already finished" in capsys.readouterr().out
    assert cli.main([*TRAIN, "--seed", "5"]) == 0
    assert cli.main(["eval", run, run.replace("seed4", "seed5"), "--episodes", "3"]) == 0
    out = capsys.readouterr().out
    assert "at step 300: return" in out and "inter-quartile mean" in out and "over 2 runs" in out
    assert cli.main(["plot", run, "-o", "both.png"]) == 0 and Path("both.png").exists()
    assert cli.main(["diagnose", run]) == 3


def _edit(name: str, **values: object):
    def edit(run: Path) -> None:
        path = run / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


def _replace(name: str, text: bytes):
    return lambda run: (run / name).write_bytes(text)


PLOT, EVAL, RESUME = ("plot", "run", "-o", "curve.png"), ("eval", "run", "--episodes", "1"), ("resume", "run")
DAMAGED = {
    "run.json is a list": ([PLOT, EVAL, RESUME], _replace("run.json", b"[]")),
    "run.json is empty": ([PLOT, EVAL, RESUME], _replace("run.json", b"{}")),
    "run.json is not text": ([PLOT, EVAL, RESUME], _replace("run.json", b"\xff\xfe")),
    "task": ([PLOT, RESUME], _edit("run.json", task=5)),
    "spec": ([PLOT, RESUME], _edit("run.json", spec=None)),
    "main": ([RESUME], _edit("run.json", main=7)),
    "seed": ([RESUME], _edit("run.json", seed="x")),
    "sets": ([PLOT, RESUME], _edit("run.json", sets=5)),
    "an override": ([RESUME], _edit("run.json", sets=[5])),
    "given": ([RESUME], _edit("run.json", given=[])),
    "an unknown setting": ([RESUME], _edit("run.json", given={"stepz": 3})),
    "negative steps": ([RESUME], _edit("run.json", given={"steps": -3})),
    "another task": ([RESUME], _edit("run.json", task="Nope-v1")),
    "the resolved spec is not text": ([EVAL, RESUME], _replace("resolved.flowrl", b"\xff\xfe")),
    "no copy of the spec": ([EVAL, RESUME], lambda run: (run / "spec" / "qsm.flowrl").unlink()),
    "metrics are not JSON": ([PLOT], _replace("metrics.jsonl", b"junk\n")),
    "metrics are not text": ([PLOT], _replace("metrics.jsonl", b"\xff\xfe\n")),
    "metrics are numbers": ([PLOT], _replace("metrics.jsonl", b"5\n")),
    "an evaluation without return": ([PLOT], _replace("metrics.jsonl", b'{"kind": "eval", "step": 1}\n')),
    "a manifest is a number": ([EVAL], lambda run: (next(run.glob("checkpoints/step-*")) / "manifest.json").write_text("5")),
    "no rest of a checkpoint": ([EVAL], lambda run: (next(run.glob("checkpoints/step-*")) / "rest.json").unlink()),
    "no checkpoints": ([EVAL], lambda run: shutil.rmtree(run / "checkpoints")),
}


def test_a_damaged_run_folder_is_told_without_a_traceback(toy, capsys) -> None:
    assert cli.main([*TRAIN, "--steps", "150", "--out", "whole"]) == 0
    for what, (commands, damage) in DAMAGED.items():
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("whole", "run")
        damage(Path("run"))
        for words in commands:
            capsys.readouterr()
            # an exception that `main` does not know passes through it
            assert cli.main(words) in (1, 3), (what, words)
            assert "error[FRL0" in capsys.readouterr().err, (what, words)


def test_a_population_is_a_folder_of_runs_that_the_other_commands_read(toy, tmp_path: Path, capsys) -> None:
    assert cli.main([*TRAIN, "--seed", "4", "--seeds", "2"]) == 0
    parent = "runs/qsm/InvertedPendulum-v5/population"
    out = capsys.readouterr().out
    assert out.startswith(f"population of 2 runs: {parent}\nif interrupted: flowrl-dsl resume {parent}\n")
    assert "seed5: evaluation at step 300" in out and "qsm on InvertedPendulum-v5: inter-quartile mean" in out
    runs = [Path(parent) / name for name in ("seed4", "seed5")]
    assert all((run / name).exists() for run in runs for name in ("curve.png", "metrics.csv", "tensorboard", "spec"))
    assert [json.loads((run / "run.json").read_text())["seed"] for run in runs] == [4, 5]
    assert cli.main([*TRAIN, "--seed", "5", "--out", "alone"]) == 0
    assert (runs[1] / "metrics.jsonl").read_bytes() == Path("alone/metrics.jsonl").read_bytes()
    before = (runs[1] / "metrics.jsonl").read_bytes()
    assert cli.main(["resume", parent]) == 0 and cli.main(["resume", str(runs[0])]) == 0
    assert (runs[1] / "metrics.jsonl").read_bytes() == before
    capsys.readouterr()
    assert cli.main(["eval", parent, "--episodes", "2"]) == 0 and "over 2 runs" in capsys.readouterr().out
    assert cli.main(["plot", parent, "alone", "-o", "all.png"]) == 0 and Path("all.png").exists()
    assert cli.main([*TRAIN, "--seeds", "2", "--out", parent]) == 3 and "FRL0414" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--sweep", "policy.sampler.steps=3,4"], 3, "error[FRL0417]"),
        (["--sweep", "train.steps=300,400"], 3, "start one run per value with --set"),
        (["--set", "train.batch=8", "--sweep", "temperature=0.1,-1"], 1, "in --sweep temperature=-1"),
        (["--sweep", "temperture=0.1,1"], 1, 'did you mean "temperature"?'),
        (["--set", "temperture=0.1", "--seeds", "2"], 1, "--set:1:1"),
        (["--sweep", "temperature=1", "--sweep", "temperature=2"], 2, "--sweep temperature is given twice"),
        (["--seed", "2147483647", "--seeds", "2"], 2, "exceeds the largest seed, 2147483647"),
        (["--seeds", "2", "--wandb", "mine"], 2, "--wandb only logs a single run"),
    ],
)
def test_a_population_that_cannot_be_is_told_in_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch, capsys, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "qsm", *words]) == code
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_sweep_changes_the_numbers_of_one_program(tmp_path: Path, monkeypatch, capsys) -> None:
    tiny = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8", "train.warmup=20")
    words = [*(word for text in tiny for word in ("--set", text)), "--steps", "60", "--evaluate-every", "60"]
    words += ["--episodes", "1"]
    swept = "critic.optimizer.learning_rate"
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "td3", *words, "--sweep", f"{swept}=1e-3,1e-2", "--out", "both"]) == 0
    assert cli.main(["train", "td3", *words, "--set", f"{swept}=1e-2", "--out", "alone"]) == 0
    runs = (f"both/{swept}=1e-3_seed0", f"both/{swept}=1e-2_seed0", "alone")
    low, high, alone = (Path(run, "metrics.jsonl").read_bytes() for run in runs)
    assert high == alone != low
    capsys.readouterr()
    assert cli.main(["eval", "both", "--episodes", "1"]) == 0 and "inter-quartile" not in capsys.readouterr().out


def test_a_run_folder_is_never_used_twice(toy, tmp_path: Path, capsys) -> None:
    assert cli.main([*TRAIN, "--out", "mine", "--steps", "60"]) == 0
    assert cli.main([*TRAIN, "--out", "mine"]) == 3
    assert "error[FRL0414]" in capsys.readouterr().err


def test_resume_refuses_a_spec_that_was_edited(toy, tmp_path: Path, capsys) -> None:
    assert cli.main([*TRAIN, "--out", "mine", "--steps", "60"]) == 0
    copy = tmp_path / "mine/spec/qsm.flowrl"
    copy.write_text(copy.read_text().replace("20", "30"))
    assert cli.main(["resume", "mine"]) == 3
    assert "error[FRL0416]" in capsys.readouterr().err


def test_a_spec_that_extends_a_shipped_one_is_kept_whole(toy, tmp_path: Path) -> None:
    (tmp_path / "mine.flowrl").write_text('algorithm mine extends "qsm.flowrl" { }\n')
    assert cli.main(["train", "mine.flowrl", "--out", "run", "--steps", "60"]) == 0
    assert {path.name for path in (tmp_path / "run/spec").iterdir()} >= {"mine.flowrl", "qsm.flowrl"}
    assert cli.main(["resume", "run"]) == 0


def test_ctrl_c_exits_with_130_and_prints_how_to_go_on(toy, tmp_path: Path, monkeypatch, capsys) -> None:
    step = SyncVector.step

    def interrupted(self, *arguments):
        if self.count == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SyncVector, "step", interrupted)
        # the second signal arrives before the first step is over in no run, so the loop ends in order
        patch.setattr(os, "kill", _once(os.kill))
        assert cli.main([*TRAIN, "--out", "mine"]) == 130
    assert "resume with: flowrl-dsl resume mine" in capsys.readouterr().out
    assert cli.main(["resume", "mine"]) == 0


def _once(function):
    done = []

    def call(*arguments):
        if not done:
            done.append(True)
            function(*arguments)

    return call


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "nowhere.flowrl"], 1, "nowhere.flowrl"),
        (["train", "qsm", "--set", "nonsense=3"], 1, "nonsense"),
        (["train", "qsm", "--task", "HalfCheeta-v5"], 3, "HalfCheetah-v5"),
        (["train", "qsm", "--task", "CartPole-v1"], 3, "error[FRL0402]"),
        (["train", "qsm", "--task", "Hopper-v5", "--env", "frame_skp=2"], 3, 'did you mean "frame_skip"'),
        (["train", "qsm", "--env", "frame skip=2"], 3, "error[FRL0408]"),
        (["train", "qsm", "--out", "/dev/null/run"], 3, "error[FRL0410]"),
        (["resume", "."], 3, "error[FRL0411]"),
        (["eval", "nowhere"], 3, "error[FRL0411]"),
        (["plot", "nowhere"], 3, "error[FRL0411]"),
        (["compile", "qsm", "--emit", "spec", "-o", "/dev/null/spec"], 3, "error[FRL0410]"),
    ],
)
def test_mistakes_are_told_in_words(toy, capsys, words: list[str], code: int, said: str) -> None:
    assert cli.main(words) == code
    captured = capsys.readouterr()
    assert said in captured.err and captured.out == ""


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.flowrl"
    bad.write_text("algorithm a {" + " x = 1" * 3000 + "}")
    command = f"{sys.executable} -m flowrl_dsl.cli check --format json {bad} | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_no_colour_reaches_a_file() -> None:
    done = _flowrl("check", "specs/qsm.flowrl", "no such file")
    assert done.returncode == 1 and "\x1b" not in done.stdout
