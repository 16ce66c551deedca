"""What TensorBoard and Weights & Biases show of a run after an interruption: every record, once."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.sinks import TensorBoard, Wandb

RECORDS = [{"kind": kind, "step": step, "loss": step / 7} for step in range(50, 401, 50) for kind in ("train", "eval")]


def _between(after: int, last: int) -> list[dict[str, Any]]:
    return [record for record in RECORDS if after < record["step"] <= last]


def _write(folder: Path, after: int, last: int) -> None:
    """A run that continues from the checkpoint of step ``after`` and is killed after ``last``."""
    sink = TensorBoard(folder, after)
    for record in _between(after, last):
        sink.write(record)
    sink.close()


def _points(folder: Path) -> Counter:
    """All points in the files, as a reader sees them that neither sorts nor hides any."""
    from flowrl_dsl.reading import read_regular
    from flowrl_dsl.runtime.events import _records

    found: Counter = Counter()
    for path in sorted(folder.iterdir()):
        for _, event in _records(read_regular(path, 1 << 20)):
            found.update((value.tag, event.step) for value in event.summary.value)
    return found


EXPECTED = Counter((f"{record['kind']}/loss", record["step"]) for record in RECORDS)


@pytest.mark.parametrize(
    "stops", [[(0, 400)], [(0, 250), (200, 400)], [(0, 300), (0, 120), (100, 350), (100, 200), (200, 400)]]
)
def test_every_point_is_in_the_event_files_once(tmp_path: Path, stops: list[tuple[int, int]]) -> None:
    for after, last in stops:
        _write(tmp_path, after, last)
    assert _points(tmp_path) == EXPECTED


def test_tensorboard_shows_every_point_once(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _write(tmp_path, 0, 250)
    # a running TensorBoard has read the points after the checkpoint, and keeps what it has read
    reader = accumulator.EventAccumulator(str(tmp_path))
    reader.Reload()
    _write(tmp_path, 200, 400)
    for shown in (reader, accumulator.EventAccumulator(str(tmp_path))):
        shown.Reload()
        for tag in ("train/loss", "eval/loss"):
            assert [event.step for event in shown.Scalars(tag)] == list(range(50, 401, 50))


def test_a_torn_event_file_keeps_its_whole_records(tmp_path: Path) -> None:
    _write(tmp_path, 0, 250)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    _write(tmp_path, 200, 400)
    assert _points(tmp_path) == EXPECTED


class _Server:
    """Weights & Biases as its documentation has it: a step is not smaller than the last one."""

    def __init__(self, step: int):
        self.step, self.offline = step, step == 0
        self.rows: dict[int, dict[str, float]] = {}

    def log(self, values: dict[str, float], step: int) -> None:
        assert step >= self.step
        self.step = step
        self.rows.setdefault(step, {}).update(values)

    def finish(self) -> None:
        self.step += 1


def _installed(monkeypatch, init: Callable[..., Any]) -> None:
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, __spec__=ModuleSpec("wandb", None)))


def _wandb(monkeypatch, server: _Server, folder: Path, after: int) -> Wandb:
    asked: dict[str, Any] = {}
    _installed(monkeypatch, lambda **given: asked.update(given) or server)
    sink = Wandb("project", "run", folder, {"wandb_id": "1a2b"}, _between(0, after))
    assert asked["id"] == "1a2b" and asked["resume"] == "allow"
    return sink


@pytest.mark.parametrize(("known", "after"), [(0, 200), (0, 0), (150, 200), (201, 200), (301, 200)])
def test_weights_and_biases_has_every_point_once(tmp_path: Path, monkeypatch, known: int, after: int) -> None:
    """``known`` is the step from which the server has nothing, ``after`` that of the checkpoint; offline knows nothing."""
    server = _Server(known)
    sink = _wandb(monkeypatch, server, tmp_path, after)
    for record in _between(after, 400):
        sink.write(record)
    sink.close()
    steps = [step for step in range(50, 401, 50) if step >= known]
    assert {step: set(values) for step, values in server.rows.items()} == {n: {"train/loss", "eval/loss"} for n in steps}


def test_an_error_of_weights_and_biases_has_a_code(tmp_path: Path, monkeypatch) -> None:
    def refuse(**given: Any) -> None:
        raise OSError("No API key configured")

    _installed(monkeypatch, refuse)
    with pytest.raises(RunError, match=r"FRL0441.*No API key") as refused:
        Wandb("project", "run", tmp_path, json.loads('{"created": "now"}'), [])
    assert "WANDB_MODE=offline" in refused.value.diagnostics[0].notes[0]


def test_a_run_with_weights_and_biases_can_be_resumed_where_it_is_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("flowrl_dsl.runtime.errors.find_spec", lambda library: None)
    with pytest.raises(RunError, match=r"FRL0491.*wandb is not installed"):
        Wandb("project", "run", tmp_path, {}, [])
