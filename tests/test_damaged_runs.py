"""A run folder in foreign hands: whatever happens to its files, commands end soon, with a code and without a traceback."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowrl_dsl import cli, driver, exits, reading, runs
from flowrl_dsl.runtime import plot
from flowrl_dsl.runtime.arrays import npz
from flowrl_dsl.runtime.curves import Curve
from tests.runtime.toy_program import toy_program

ROOT = Path(__file__).parents[1]
SECONDS = 60.0
"""The longest that a command may take on a machine with other work; most take a tenth of a second."""
TRAIN = ["train", "qsm", "--steps", "120", "--checkpoint-every", "60", "--evaluate-every", "60", "--episodes", "1"]
TRAIN += ["--set", "train.warmup=40", "--set", "train.batch=16"]
COMMANDS = {
    "resume": ["resume", "run", "--steps", "140"],
    "eval": ["eval", "run", "--episodes", "1"],
    "plot": ["plot", "run", "-o", "drawn.svg"],
    "diagnose": ["diagnose", "run"],
}
CODES = (exits.OK, exits.SPEC_ERROR, exits.RUN_FAILURE)
Damage = Callable[[Path], object]


PARSER = cache(cli.parser)
DRAW = plot.draw


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path: Path) -> None:
    """The commands with one program, compiled once, one parser of words, and without pictures of finished trainings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: toy_program(*sizes))
    monkeypatch.setattr(cli, "parser", PARSER)
    monkeypatch.setattr(runs, "draw_curve", lambda paths, output: None)


@pytest.fixture(scope="module")
def drawn() -> set[str]:
    """The curves of which there was a picture."""
    return set()


@pytest.fixture(autouse=True)
def equal_curves_are_drawn_once(monkeypatch, drawn: set[str]) -> None:
    """Most accidents leave the curve as it was: there, reading it is enough."""

    def draw(curves: list[Curve], output: Path, by: str) -> None:
        if repr(curves) not in drawn:
            DRAW(curves, output, by)
            drawn.add(repr(curves))

    monkeypatch.setattr(plot, "draw", draw)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: toy_program(*sizes))
        assert cli.main([*TRAIN, "--out", str(folder)]) == exits.OK
        assert cli.main([*TRAIN, "--seeds", "2", "--out", str(folder.parent / "population")]) == exits.OK
    nonfinite = folder / "nonfinite"
    nonfinite.mkdir()
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    shutil.copy(newest / "state.npz", nonfinite)
    batch = {
        "s": np.zeros((16, 4)),
        "a": np.zeros((16, 1)),
        "r": np.zeros(16),
        "d": np.zeros(16),
        "s_next": np.zeros((16, 4)),
    }
    (nonfinite / "batch.npz").write_bytes(npz(batch))
    report = {"update": 3, "node": "n", "line": "x:1:1", "value": "inf", "hyper": {"rate": 0.1, "discount": 0.9}}
    (nonfinite / "report.json").write_text(json.dumps(report))
    return folder


def _ends(capsys, name: str, what: object, codes: tuple[int, ...] = CODES) -> int:
    """Execute a command on ``run``; returns its exit code."""
    capsys.readouterr()
    began = time.monotonic()
    # an exception that `main` does not expect passes through it
    code = cli.main(COMMANDS[name])
    assert time.monotonic() - began < SECONDS, (name, what)
    assert code in codes, (name, what)
    assert code == exits.OK or "error[FRL0" in capsys.readouterr().err, (name, what)
    return code


def _damaged(whole: Path, name: str, damage: Damage) -> None:
    _as_before(whole, Path("run"))
    damage(Path("run") / name)


def _as_before(whole: Path, folder: Path) -> None:
    """Make the folder a copy of the run; files that are still those of the last copy stay, as most commands change few."""
    theirs, ours = _listing(whole), _listing(folder)
    for path in sorted(ours.keys() - theirs.keys(), reverse=True):
        _remove(folder / path)
    for path, kind in sorted(theirs.items()):
        if path not in ours or kind != ours[path]:
            _remove(folder / path)
            if kind is None:
                (folder / path).mkdir(parents=True)
            else:
                shutil.copy2(whole / path, folder / path)


def _listing(folder: Path) -> dict[str, tuple[int, int, int] | None]:
    """Type, size and time of every file; None for a folder."""
    found: dict[str, tuple[int, int, int] | None] = {}
    for path in (folder, *folder.rglob("*")) if folder.exists() else ():
        said = path.lstat()
        kind = (stat.S_IFMT(said.st_mode), said.st_size, said.st_mtime_ns)
        found[str(path.relative_to(folder))] = None if stat.S_ISDIR(said.st_mode) else kind
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _content(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _flipped(data: bytes) -> bytes:
    chance, changed = random.Random(len(data)), bytearray(data)
    for _ in range(min(8, len(changed))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


ACCIDENTS: dict[str, Damage] = {
    "gone": Path.unlink,
    "empty": _content(lambda data: b""),
    "cut": _content(lambda data: data[: len(data) // 2]),
    "cut a little": _content(lambda data: data[:-3]),
    "zeros": _content(lambda data: bytes(len(data))),
    "flipped": _content(_flipped),
    "longer": _content(lambda data: data + data),
    "deep": _content(lambda data: b"[" * 100_000),
    "deep and closed": _content(lambda data: b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n"),
    "a pipe": _instead(os.mkfifo),
    "a folder": _instead(Path.mkdir),
    "endless": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
    "a terabyte": _instead(_sparse),
}


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


READERS = {
    "checkpoints/": ("resume", "eval"),
    "nonfinite/": ("diagnose",),
    "spec/": ("resume", "eval"),
    "metrics.jsonl": ("resume", "plot"),
    "run.json": ("resume", "eval", "plot"),
}
"""The commands that read a file, by the beginning of its name; of the other files, ``resume`` goes on with some."""
UNREAD = ("cut", "a pipe", "a folder")
"""Accidents after which commands that read nothing of a file are executed as well."""


def _commands(name: str, accident: str) -> list[str]:
    readers = next((found for start, found in READERS.items() if name.startswith(start)), ("resume",))
    anyhow = accident in UNREAD and "diagnose" not in readers
    return [command for command in COMMANDS if command in readers or (anyhow and command != "diagnose")]


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_to_any_file_has_a_coded_end(whole: Path, capsys, accident: str) -> None:
    for name in _files(whole):
        for command in _commands(name, accident):
            _damaged(whole, name, ACCIDENTS[accident])
            _ends(capsys, command, (accident, name))


ODD = [None, True, -1, 0, 10**30, 1e308, "", "../../x", "/dev/zero", "\0", [], {}, [[]], {"$array": "a0"}, {"$tuple": 3}]


def _places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _places(inner, (*path, key))


def _with(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], new)
    return copy


def _write_as_train_would(path: Path, text: str) -> None:
    """Write a file; of a checkpoint, with the digest of the new contents in the manifest."""
    path.write_text(text)
    manifest = path.parent / "manifest.json"
    if path.name != "manifest.json" and manifest.exists():
        said = json.loads(manifest.read_text())
        said["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(said))


JSON_FILES = {
    "run.json": ("resume", "plot"),
    "checkpoints/step-000000120/manifest.json": ("resume",),
    "checkpoints/step-000000120/rest.json": ("resume",),
    "nonfinite/report.json": ("diagnose",),
}


@pytest.mark.parametrize("name", JSON_FILES)
def test_an_odd_value_in_any_place_has_a_coded_end(whole: Path, capsys, name: str) -> None:
    said, chance = json.loads((whole / name).read_text()), random.Random(0)
    shallow, deep = ([place for place in _places(said) if (len(place) > 2) is is_deep] for is_deep in (False, True))
    for place in shallow + chance.sample(deep, min(len(deep), 12)):
        odd = chance.choice(ODD)
        changed = json.dumps(_with(said, place, odd))
        for command in JSON_FILES[name]:
            _damaged(whole, name, lambda path, text=changed: _write_as_train_would(path, text))
            _ends(capsys, command, (name, place, odd))


def _edited(**values: object) -> Damage:
    def edit(path: Path) -> None:
        said = json.loads(path.read_text())
        path.write_text(json.dumps(said | values | {"settings": said["settings"] | values.get("settings", {})}))

    return edit


REFUSED: dict[str, dict[str, Any]] = {
    "a spec outside": {"main": "../../x"},
    "the folder itself": {"main": "."},
    "a task among the options": {"given": {"task": "Pendulum-v1"}},
    "a seed among the options": {"given": {"seed": 3}},
    "environments without number": {"given": {"envs": 10**12}},
    "more steps than given": {"settings": {"steps": 10**9}},
    "another seed": {"seed": 7},
    "another seed everywhere": {"seed": 7, "settings": {"seed": 7}},
    "another length of evaluations": {"given": {"episodes": 2}, "settings": {"episodes": 2}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_changed_run_json_is_refused(whole: Path, capsys, what: str) -> None:
    _damaged(whole, "run.json", _edited(**REFUSED[what]))
    assert cli.main(["resume", "run", "--steps", "140"]) == exits.RUN_FAILURE
    assert "error[FRL0411]" in capsys.readouterr().err


@pytest.mark.parametrize("names", [[], ["../run"], ["seed0", "seed0"], ["/tmp"], ["seed0", ""], ["."], "seed0", [3], None])
def test_members_of_a_population_are_in_its_folder(whole: Path, tmp_path: Path, capsys, names: object) -> None:
    shutil.copytree(whole, tmp_path / "run")
    shutil.copytree(whole.parent / "population", tmp_path / "population")
    (tmp_path / "population" / "population.json").write_text(json.dumps({"members": names}))
    before = (tmp_path / "run" / "run.json").read_bytes()
    for words in (["resume", "population", "--steps", "140"], ["eval", "population"], ["plot", "population"]):
        assert cli.main(words) == exits.RUN_FAILURE and "error[FRL0411]" in capsys.readouterr().err
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("accident", ["empty", "a pipe", "endless", "deep", "a terabyte"])
def test_an_accident_to_a_population_has_a_coded_end(whole: Path, tmp_path: Path, capsys, accident: str) -> None:
    for name in ("population.json", "seed1/run.json"):
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree(whole.parent / "population", tmp_path / "run")
        ACCIDENTS[accident](tmp_path / "run" / name)
        for command in ("resume", "eval", "plot"):
            _ends(capsys, command, (accident, name), codes=(exits.RUN_FAILURE,))


def test_a_spec_in_a_folder_extends_nothing_outside(whole: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "secret.flowrl").write_text("the content of a file elsewhere")
    text = 'algorithm qsm extends "../../secret.flowrl" { }'
    _damaged(whole, "spec/qsm.flowrl", lambda path: path.write_text(text))
    assert cli.main(COMMANDS["resume"]) == exits.RUN_FAILURE
    said = capsys.readouterr().err
    assert "error[FRL0411]" in said and "content" not in said


@pytest.mark.parametrize("kind", ["pipe", "written pipe", "zero", "folder", "long"])
def test_check_ends_for_any_kind_of_file(tmp_path: Path, capsys, kind: str) -> None:
    path, hold = tmp_path / "x.flowrl", None
    if kind.endswith("pipe"):
        os.mkfifo(path)
        hold = os.open(path, os.O_RDWR) if kind == "written pipe" else None
    elif kind == "folder":
        path.mkdir()
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    else:
        _sparse(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PATIENCE", 0.2)
        assert cli.main(["check", str(path)]) == exits.SPEC_ERROR
    if hold is not None:
        os.close(hold)
    assert "error[FRL010" in capsys.readouterr().out


def test_a_spec_may_come_through_a_pipe(tmp_path: Path) -> None:
    text = (ROOT / "specs/qsm.flowrl").read_bytes()
    out, into = os.pipe()
    os.write(into, text)
    os.close(into)
    assert reading.read_any(f"/dev/fd/{out}", 1 << 20) == text
    os.close(out)
