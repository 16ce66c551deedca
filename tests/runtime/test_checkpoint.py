"""A checkpoint is there whole or not at all, whenever the writer is killed."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowrl_dsl.runtime import files, learner, plain
from flowrl_dsl.runtime.checkpoint import FORMAT, Checkpoints
from flowrl_dsl.runtime.errors import RunError

CAPACITY = 25


class Killed(BaseException):
    """Stands for SIGKILL: nothing that handles errors sees it."""


def _rows(start: int, stop: int) -> np.ndarray:
    return np.arange(start, stop, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)


def _save(store: Checkpoints, step: int, since: int) -> None:
    state = {"['w']": np.full((3, 2), float(step), np.float32), "['step']": np.int32(step)[None]}
    rest = {"iteration": step, "generator": np.array([step], np.uint64), "pair": (1, 2.5)}
    store.save(step, state, rest, _rows(since, step), step, min(step, CAPACITY))


def _good(folder: Path, steps: set[int]) -> int:
    loaded = Checkpoints(folder).load()
    assert loaded is not None and loaded.step in steps
    assert loaded.state["['w']"].tolist() == [[loaded.step] * 2] * 3
    assert loaded.rest["iteration"] == loaded.step and loaded.rest["pair"] == (1, 2.5)
    assert np.array_equal(loaded.rows, _rows(0, loaded.step)[-CAPACITY:])
    return loaded.step


def test_the_newest_two_are_kept_with_the_rows_they_need(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    for step in range(10, 101, 10):
        _save(store, step, step - 10)
        assert _good(tmp_path, {step}) == step
    assert [folder.name for folder in store.steps()] == ["step-000000090", "step-000000100"]
    segments = sorted(path.name for path in (tmp_path / "checkpoints/replay").iterdir())
    # the older one holds rows 65 to 90, so the segment of rows 60 to 70 is its oldest
    assert segments[0].startswith("rows-000000060") and len(segments) == 4


def test_a_kill_at_any_operation_leaves_the_last_checkpoint_or_the_new_one(tmp_path: Path, monkeypatch) -> None:
    template = tmp_path / "template"
    store = Checkpoints(template)
    for step in (10, 20, 30):
        _save(store, step, step - 10)
    operations: list[str] = []
    monkeypatch.setattr(files, "announce", lambda action, path: operations.append(action))
    shutil.copytree(template, tmp_path / "count")
    counting = Checkpoints(tmp_path / "count")
    counting.load()
    _save(counting, 40, 30)
    assert {"create", "continue", "sync", "rename", "remove"} <= set(operations)
    outcomes = {_killed_at(k, template, tmp_path / f"run{k}", monkeypatch) for k in range(len(operations))}
    assert outcomes == {30, 40}


def _killed_at(k: int, template: Path, folder: Path, monkeypatch) -> int:
    """Kill the writer at its k-th operation; the step that is loaded then."""
    shutil.copytree(template, folder)
    store, left = Checkpoints(folder), [k]
    store.load()

    def announce(action: str, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    monkeypatch.setattr(files, "announce", announce)
    with pytest.raises(Killed):
        _save(store, 40, 30)
    monkeypatch.setattr(files, "announce", lambda action, path: None)
    survivor = _good(folder, {30, 40})
    # and the run goes on from there, leaving nothing half done behind
    again = Checkpoints(folder)
    again.load()
    _save(again, 50, survivor)
    assert _good(folder, {50}) == 50
    assert not [path for path in (folder / "checkpoints").rglob(".*")] and len(again.steps()) == 2
    return survivor


@pytest.mark.parametrize("name", ["state.npz", "rest.npz", "rest.json", "manifest.json"])
def test_a_torn_checkpoint_is_passed_over_with_a_notice(tmp_path: Path, name: str) -> None:
    store = Checkpoints(tmp_path)
    _save(store, 10, 0)
    _save(store, 20, 10)
    torn = store.steps()[-1] / name
    torn.write_bytes(torn.read_bytes()[:-7])
    reader = Checkpoints(tmp_path)
    loaded = reader.load()
    assert loaded is not None and loaded.step == 10
    assert len(reader.notices) == 1 and "step-000000020 is damaged" in reader.notices[0]
    # the run that goes on replaces it
    _save(reader, 20, 10)
    assert _good(tmp_path, {20}) == 20


def test_a_damaged_replay_segment_is_noticed(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    _save(store, 10, 0)
    _save(store, 20, 10)
    segment = tmp_path / "checkpoints/replay/rows-000000010-000000020.npy"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    assert _good(tmp_path, {10}) == 10


def test_loading_never_unpickles(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    store = Checkpoints(tmp_path)
    _save(store, 10, 0)
    target = store.steps()[-1]
    with open(target / "state.npz", "wb") as file:
        np.savez(file, **{"_['w']": np.array([Trap()], dtype=object)})
    manifest = (target / "manifest.json").read_text()
    old = next(line for line in manifest.splitlines() if "state.npz" in line)
    digest = hashlib.sha256((target / "state.npz").read_bytes()).hexdigest()
    (target / "manifest.json").write_text(manifest.replace(old, f'  "state.npz": "{digest}",'))
    assert pickle.dumps(Trap())
    assert Checkpoints(tmp_path).load() is None
    assert not (tmp_path / "sprung").exists()


def test_arrays_of_another_program_are_refused() -> None:
    template = {"w": np.zeros((2, 3), np.float32)}
    for wrong in ({"['v']": template["w"]}, {"['w']": template["w"].T}, {"['w']": template["w"].astype(np.int32)}):
        with pytest.raises(RunError, match="FRL0413"):
            learner.from_arrays(template, wrong)


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_arrays = hnp.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), hnp.array_shapes(min_dims=0, max_dims=2))


@settings(max_examples=50, deadline=None)
@given(st.recursive(_scalars | _arrays, lambda v: st.lists(v) | st.dictionaries(st.text("abc"), v) | st.tuples(v, v)))
def test_plain_values_survive_packing(value) -> None:
    back = plain.unpack(*plain.pack(value))
    assert plain.is_plain(value) and _identical(back, value)


def _identical(one, two) -> bool:
    if isinstance(two, np.ndarray | np.generic):
        return np.asarray(one).dtype == two.dtype and np.asarray(one).tobytes() == two.tobytes()
    if isinstance(two, list | tuple):
        return type(one) is type(two) and len(one) == len(two) and all(map(_identical, one, two))
    if isinstance(two, dict):
        return one.keys() == two.keys() and all(_identical(one[k], two[k]) for k in two)
    return one == two and type(one) is type(two)


@pytest.mark.parametrize(("found", "cure"), [(1, "flowrl-dsl==0.1.0"), (99, "run.json")])
def test_a_checkpoint_of_another_format_is_refused_with_the_version_that_reads_it(
    tmp_path: Path, found: int, cure: str
) -> None:
    store = Checkpoints(tmp_path)
    _save(store, 10, 0)
    manifest = store.steps()[-1] / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', f'"format": {found}'))
    with pytest.raises(RunError) as refused:
        Checkpoints(tmp_path).load()
    assert refused.value.code == "FRL0418" and cure in refused.value.diagnostics[0].notes[0]
