"""The folder of a new run belongs to one process, and a kill leaves it complete or free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from flowrl_dsl.runtime import claims, files
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder, members, new_population, write_members
from tests.runtime.test_checkpoint import Killed

ROOT = Path(__file__).parents[2]
CONTENTS = {"spec/a.flowrl": "a", "spec/b.flowrl": "b", "resolved.flowrl": "c"}


def _create(out: Path | None, base: Path) -> RunFolder:
    return RunFolder.create(base, "a", "task", 0, {"seed": 0}, CONTENTS, out)


def _population(out: Path) -> None:
    names = ["seed0", "seed1", "population.json"]
    with new_population(out.parent, "a", "task", out, names) as parent:
        for name in names[:2]:
            _create(parent / name, out.parent)
        write_members(parent, names[:2])


def _killed_at(operation: int, work, monkeypatch) -> bool:
    """Whether the work was killed before its n-th change of the disk, or was over before."""
    left = [operation]

    def announce(action: str, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "announce", announce)
        try:
            work()
        except Killed:
            return True
    return False


def test_a_kill_at_any_operation_leaves_a_run_complete_or_free(tmp_path: Path, monkeypatch) -> None:
    ends, operation = set(), 0
    while _killed_at(operation, partial(_create, out := tmp_path / f"run{operation}", tmp_path), monkeypatch):
        complete = (out / "run.json").exists()
        ends.add(complete)
        if complete:
            assert {name: (out / name).read_text() for name in CONTENTS} == CONTENTS
        else:
            with pytest.raises(RunError, match=r"FRL0411"):
                RunFolder(out)
            assert _create(out, tmp_path).settings == {"seed": 0}
        with pytest.raises(RunError, match="FRL0414"):
            _create(out, tmp_path)
        operation += 1
    assert ends == {True, False}


def test_a_kill_at_any_operation_leaves_a_population_complete_or_free(tmp_path: Path, monkeypatch) -> None:
    operation = 0
    while _killed_at(operation, partial(_population, out := tmp_path / f"p{operation}"), monkeypatch):
        if not (out / "population.json").exists():
            _population(out)
        assert [RunFolder(path).settings for path in members(out)] == [{"seed": 0}] * 2
        operation += 1
    assert operation > 20


def test_resume_of_a_half_made_folder_names_the_cure(tmp_path: Path, monkeypatch) -> None:
    assert _killed_at(12, lambda: _create(tmp_path / "run", tmp_path), monkeypatch)
    assert (tmp_path / "run" / "spec").exists()
    with pytest.raises(RunError, match="stopped before") as refused:
        RunFolder(tmp_path / "run")
    assert f"--out {tmp_path / 'run'}" in refused.value.diagnostics[0].notes[0]


def test_a_half_made_folder_is_used_again_where_the_name_is_chosen(tmp_path: Path, monkeypatch) -> None:
    assert _killed_at(12, lambda: _create(None, tmp_path), monkeypatch)
    assert _create(None, tmp_path).path.name == "seed0" and _create(None, tmp_path).path.name == "seed0-2"


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints", "metrics.jsonl"])
def test_a_folder_with_anything_else_is_not_touched(tmp_path: Path, monkeypatch, name: str) -> None:
    out = tmp_path / "run"
    assert _killed_at(12, lambda: _create(out, tmp_path), monkeypatch)
    (out / name).write_text("mine")
    before = sorted(path.name for path in out.rglob("*"))
    with pytest.raises(RunError, match="FRL0414"):
        _create(out, tmp_path)
    assert sorted(path.name for path in out.rglob("*")) == before


def test_a_refused_folder_gets_no_lock(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match="FRL0414"):
        _create(tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_while_a_folder_is_claimed_another_process_has_no_part_in_it(tmp_path: Path) -> None:
    with claims.claimed(tmp_path / "run", ["run.json"]), pytest.raises(RunError, match="FRL0415"):
        _create(tmp_path / "run", tmp_path)


CREATE = """
import sys
from pathlib import Path
from flowrl_dsl.runtime.logs import RunFolder
sys.stdin.readline()
print(RunFolder.create(Path(sys.argv[1]), "a", "task", 0, {"seed": 0}, {"resolved.flowrl": "c"}).path.name)
"""


def test_processes_that_create_runs_at_once_get_one_each(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": variables}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert len(names) == 3 and all(name.startswith("seed0") for name in names)
    for name in names:
        assert json.loads((tmp_path / "a" / "task" / name / "run.json").read_text()) == {"seed": 0}
