"""``flowrl-dsl runs``: the table, its filters and orders, and what --prune removes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowrl_dsl import cli
from flowrl_dsl.runtime.claims import LOCK, Lock


def make(path: Path, spec: str, steps: int, reached: int, value: float | None) -> Path:
    """A run folder as far as this command reads it."""
    path.mkdir(parents=True)
    said = {"spec": spec, "task": "Pendulum-v1", "seed": 0, "settings": {"steps": steps}, "created": "2026-01-01T00:00:00"}
    (path / "run.json").write_text(json.dumps(said))
    records = [{"kind": "train", "step": reached}]
    records += [] if value is None else [{"kind": "eval", "step": reached, "return_mean": value}]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "runs"
    make(home / "qsm/Pendulum-v1/seed0", "qsm", 100, 100, -20.0)
    make(home / "sac/Pendulum-v1/seed0", "sac", 100, 40, -10.0)
    make(home / "sac/Pendulum-v1/seed1", "sac", 100, 40, None)
    (make(home / "td3/Pendulum-v1/seed0", "td3", 100, 10, None) / "run.json").write_text("{")
    return home


def listed(capsys: pytest.CaptureFixture, *words: str) -> list[dict]:
    assert cli.main(["runs", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_states_and_returns(folder: Path, capsys: pytest.CaptureFixture) -> None:
    with Lock(folder / "sac/Pendulum-v1/seed1" / LOCK):
        found = listed(capsys)
    assert [(one["spec"], one["state"], one["step"], one["return"]) for one in found] == [
        ("qsm", "finished", 100, -20.0),
        ("sac", "stopped", 40, -10.0),
        ("sac", "running", 40, None),
        (None, "damaged", None, None),
    ]


def test_the_table_has_one_line_for_each_run(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].split() == ["run", "spec", "task", "seed", "step", "return", "state"]
    assert lines[1].split() == ["runs/qsm/Pendulum-v1/seed0", "qsm", "Pendulum-v1", "0", "100/100", "-20.0", "finished"]
    assert cli.main(["runs", "nowhere"]) == 0 and capsys.readouterr().out == "no runs\n"


def test_filters_and_orders(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert [one["return"] for one in listed(capsys, "--where", "task=Pendulum", "--sort", "return")] == [-10.0, -20.0, None]
    found = listed(capsys, "--where", "spec=sac", "--where", "path=seed1")
    assert [one["path"] for one in found] == ["runs/sac/Pendulum-v1/seed1"]
    assert cli.main(["runs", "--sort", "speed"]) == 2
    assert 'there is no column "speed"; expected one of path, state' in capsys.readouterr().err


def test_pruning_asks_first(folder: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["runs", "--where", "spec=sac", "--prune"]
    assert cli.main(words) == 2 and "nothing was removed" in capsys.readouterr().err
    assert (folder / "sac/Pendulum-v1/seed0").exists()
    with Lock(folder / "sac/Pendulum-v1/seed1" / LOCK):
        assert cli.main([*words, "--yes"]) == 3
    assert "FRL0492" in capsys.readouterr().err and (folder / "sac/Pendulum-v1/seed0").exists()
    assert cli.main([*words, "--yes"]) == 0
    assert [path.name for path in (folder / "sac/Pendulum-v1").iterdir()] == []
    assert (folder / "qsm/Pendulum-v1/seed0/run.json").exists()
