"""Tables, means and JSON of benchmarks, from rows made up for it: nothing is measured and no time is asserted."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from flowrl_dsl import cli
from flowrl_dsl.bench import machine, report
from flowrl_dsl.bench.act import Row as ActRow
from flowrl_dsl.bench.env import Row as EnvRow
from flowrl_dsl.bench.kind import Asked, CannotMeasure, Fact, Failed, Kind, each_spec, reason
from flowrl_dsl.bench.report import KINDS, Report, as_json, from_json, kind_of, markdown, summary, text
from flowrl_dsl.bench.step import Row as StepRow
from flowrl_dsl.bench.timing import geometric_mean, in_turns, ratio
from flowrl_dsl.bench.train import DEFAULTS, shares, with_defaults
from flowrl_dsl.bench.train import Row as TrainRow
from flowrl_dsl.commands import bench
from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError
from flowrl_dsl.runtime.errors import Interrupted, RunError

ROOT = Path(__file__).parents[2]
STEP = StepRow("qsm", False, 2.0, 20.0, 10.0, 5_000_000, 0.25, 12.0, 1.0, 3000, 2000, 4, False)
ROWS = {
    "step": [STEP, replace(STEP, spec="sdac", many_actions=True, ratio=8.0), replace(STEP, spec="odd", warm_s=None)],
    "act": [ActRow("qsm", "explore", (1, 16, 256), (200.0, 300.0, 900.0), (100.0, 300.0, 450.0), (2.0, 1.0, 2.0))],
    "env": [EnvRow("Hopper-v5", "flowrl-dsl", 8, 12345.6)],
    "train": [TrainRow("qsm", "Hopper-v5", 90.0, 20.0, shares({"act": 1, "environment": 2, "replay": 1, "update": 4}, 10))],
}
MACHINE = {"machine": "abacus", "cpus": 2, "jax": "0.0"}


def _report(kind: str) -> Report:
    asked = Asked(kind, ("qsm",), "Hopper-v5", ("a=1|2",), 7)
    return Report(asked, 7, ROWS[kind], [Failed("bad", "because")], {"speed": 4e10}, MACHINE, True)


def test_the_kinds_are_those_of_the_command_line() -> None:
    assert tuple(bench.KINDS) == KINDS


def test_a_ratio_is_that_of_neighbours() -> None:
    # the machine becomes ten times slower after the first pair; of medians apart, the ratio would be 20 / 10
    assert ratio([3.0, 20.0, 20.0], [1.0, 10.0, 5.0]) == 3.0
    with pytest.raises(ValueError):
        ratio([1.0], [1.0, 2.0])


def test_the_geometric_mean_treats_a_ratio_and_its_inverse_alike() -> None:
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1.0)
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    with pytest.raises(ValueError, match="no values"):
        geometric_mean([])


def test_samples_are_taken_in_turns() -> None:
    called: list[str] = []
    samples = in_turns({name: lambda name=name: called.append(name) for name in "ab"}, 3)
    assert "".join(called) == "ababab" and {name: len(found) for name, found in samples.items()} == {"a": 3, "b": 3}


def test_shares_sum_to_one() -> None:
    found = shares({"act": 0.1, "update": 0.6}, 1.0)
    assert found["overhead"] == pytest.approx(0.3) and math.fsum(found.values()) == pytest.approx(1.0)
    assert math.fsum(ROWS["train"][0].shares.values()) == pytest.approx(1.0)


def test_a_training_is_short_unless_told_how_long() -> None:
    assert with_defaults(()) == tuple(f"{name}={value}" for name, value in DEFAULTS.items())
    assert with_defaults(("train.steps = 90",)) == ("train.warmup=500", "train.steps = 90")


def test_means_are_over_all_and_over_those_with_many_actions() -> None:
    found = summary(_report("step"))
    assert found["geometric mean of none / all"] == pytest.approx(32 ** (1 / 3))
    assert found["geometric mean of none / all, many actions for each state"] == pytest.approx(8.0)
    few = Report(Asked("step"), 1, [STEP])
    assert list(summary(few)) == ["geometric mean of none / all"]
    assert summary(Report(Asked("step"), 1)) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_json_holds_the_numbers_and_is_read_back(kind: str) -> None:
    found = _report(kind)
    said = json.loads(json.dumps(as_json(found)))
    assert {"bench", "asked", "repeat", "machine", "facts", "rows", "failed", "summary", "interrupted"} == set(said)
    assert said["bench"] == kind and said["machine"] == MACHINE and said["failed"] == [{"what": "bad", "reason": "because"}]
    assert said["rows"] == json.loads(json.dumps([asdict(row) for row in ROWS[kind]]))
    assert from_json(json.dumps(as_json(found))) == found


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_fills_every_column(kind: str) -> None:
    lines = text(_report(kind)).splitlines()
    titles, *rows = lines[1 : len(ROWS[kind]) + 2]
    assert lines[0] == kind_of(kind).title
    # columns are aligned: each title begins where its cells do
    for title in kind_of(kind).columns:
        place = titles.index(title)
        assert all(row[place] != " " and (place == 0 or row[place - 1] == " ") for row in rows), title
    assert "failed: because" in lines[len(ROWS[kind]) + 2] and lines[-1].startswith("interrupted")
    assert "machine abacus, cpus 2" in lines[-2] and "samples 7, task Hopper-v5, --set a=1|2" in lines[-2]


def test_the_table_of_steps() -> None:
    rows = text(_report("step")).splitlines()[2:5]
    assert rows[0].split() == ["qsm", "2.00", "20", "10", "5", "Mflop", "25%", "12.0", "1.0", "3", "kB", "2", "kB"]
    assert rows[1].startswith("sdac * ") and rows[2].split()[-5] == "-"


@pytest.mark.parametrize("kind", KINDS)
def test_markdown_has_as_many_cells_in_every_row(kind: str) -> None:
    lines = markdown(_report(kind)).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(ROWS[kind]) + 1
    assert len({line.count("|") for line in table}) == 1 and lines[len(table)] == ""


def test_a_page_is_filled_between_its_marks() -> None:
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs" / "make_performance.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (ROOT / "docs" / "performance.md").read_text()
    tables = {kind: f"table of {kind}" for kind in KINDS}
    filled = script.filled(page, tables)
    assert all(f"<!-- {kind} -->\ntable of {kind}\n<!-- end of {kind} -->" in filled for kind in KINDS)
    assert filled.splitlines()[0] == page.splitlines()[0] and script.filled(filled, tables) == filled


def test_reasons_are_one_line() -> None:
    assert reason(RuntimeError("out of memory\nwhile allocating")) == "RuntimeError: out of memory"
    assert reason(AssertionError()) == "AssertionError" and reason(CannotMeasure("too short")) == "too short"
    assert reason(RunError("FRL0401", "no such task", "another?")) == "FRL0401: no such task; another?"
    two = [Diagnostic("FRL0101", "one"), Diagnostic("FRL0102", "two")]
    assert reason(DiagnosticError(two)) == "FRL0101: one (and 1 more)"


def _measured(spec: str) -> Iterator[StepRow]:
    if spec == "bad":
        raise RuntimeError("boom")
    if spec == "stop":
        raise KeyboardInterrupt
    if spec == "asked":
        raise Interrupted
    yield replace(STEP, spec=spec)


@pytest.fixture
def made_up(monkeypatch) -> None:
    """``bench step`` without a measurement: what becomes of a spec is told by its name."""

    def measure(asked: Asked, repeat: int) -> Iterator[object]:
        yield Fact("speed", 1e9)
        yield from each_spec(asked, _measured)

    kind = Kind("made up", StepRow, kind_of("step").columns, measure, 3, kind_of("step").summary)
    monkeypatch.setattr(report, "kind_of", lambda name: kind)
    monkeypatch.setattr(machine, "facts", lambda: MACHINE)


def test_a_spec_that_fails_does_not_stop_the_others(made_up, capsys) -> None:
    words = ["bench", "step", "one", "bad", "two"]
    assert cli.main(words) == 1
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()[2:5]] == ["one", "two", "bad"]
    assert "bad   failed: RuntimeError: boom" in shown.out and "measuring step: two, 3 of 3" in shown.err
    assert cli.main([*words, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert len(said["rows"]) == 2 and said["failed"][0]["what"] == "bad" and said["repeat"] == 3


@pytest.mark.parametrize("how", ["stop", "asked"])
def test_ctrl_c_prints_what_was_measured(made_up, how: str, capsys) -> None:
    words = ["bench", "step", "one", how, "two", "--repeat", "9"]
    assert cli.main(words) == 130
    out = capsys.readouterr().out
    assert "one " in out and "two" not in out and "interrupted: results so far" in out
    assert cli.main([*words, "--json"]) == 130
    said = json.loads(capsys.readouterr().out)
    assert said["interrupted"] and said["repeat"] == 9 and [row["spec"] for row in said["rows"]] == ["one"]


def test_nothing_measured_is_no_error_of_its_own(made_up, capsys) -> None:
    assert cli.main(["bench", "step", "bad"]) == 1
    assert "geometric" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["bench"],
        ["bench", "steps"],
        ["bench", "env", "qsm"],
        ["bench", "step", "--repeat", "0"],
        ["bench", "act", "--set", "x"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2 and "usage: flowrl-dsl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["env", "--task", "HalfCheeta-v5"], "HalfCheetah-v5"),
        (["train", "td3", "--task", "HalfCheeta-v5"], "HalfCheetah-v5"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(words: list[str], said: str, capsys) -> None:
    assert cli.main(["bench", *words]) == 3
    captured = capsys.readouterr()
    assert said in captured.err and captured.out == "" and "measuring" not in captured.err
