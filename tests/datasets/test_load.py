"""Each format is read as it was written; ends, cuts and unknown next observations are as docs/data.md states."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from flowrl_dsl.datasets import Dataset, TaskSpaces, load
from tests.datasets.files import (
    ACT,
    LENGTHS,
    OBS,
    d4rl_arrays,
    ends,
    episodes,
    ogbench_arrays,
    write_hdf5,
    write_minari,
    write_npz,
)

WALK = TaskSpaces("walk", OBS, -np.ones(ACT), np.ones(ACT))


def _write(kind: str, folder: Path) -> Path:
    if kind == "d4rl":
        return write_hdf5(folder / "walk.hdf5", d4rl_arrays())
    if kind == "ogbench":
        return write_npz(folder / "walk.npz", ogbench_arrays())
    return write_minari(folder / "walk")


@pytest.fixture(params=["d4rl", "minari", "ogbench"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def _same(data: Dataset, rows: np.ndarray) -> None:
    """The observations, actions and next observations of these rows of the walk."""
    arrays = d4rl_arrays()
    np.testing.assert_array_equal(data.s, arrays["observations"][rows])
    np.testing.assert_array_equal(data.s_next, arrays["next_observations"][rows])
    np.testing.assert_array_equal(data.a, arrays["actions"][rows])


def test_every_format_gives_the_steps_that_were_written(kind: str, tmp_path: Path) -> None:
    data = load(_write(kind, tmp_path))
    _same(data, np.arange(sum(LENGTHS)))
    terminal, cut = ends()
    np.testing.assert_array_equal(data.end, terminal | cut)
    np.testing.assert_array_equal(data.d, np.zeros(8) if kind == "ogbench" else terminal)
    np.testing.assert_array_equal(data.r, np.zeros(8) if kind == "ogbench" else d4rl_arrays()["rewards"])
    assert data.rewarded == (kind != "ogbench") and data.provenance.format == kind
    assert all(array.dtype == np.float32 for array in (data.s, data.a, data.r, data.d, data.end, data.s_next))
    assert data.episodes.lengths.tolist() == list(LENGTHS)
    if data.rewarded:
        assert data.episodes.returns.tolist() == [part["rewards"].sum() for part in episodes()]
        assert data.episodes.terminated.tolist() == [False, False, True]
    assert (data.provenance.rows, data.provenance.dropped, data.provenance.clipped) == (8, 0, 0)


def test_without_next_observations_the_last_step_of_a_cut_episode_is_dropped(tmp_path: Path) -> None:
    data = load(write_hdf5(tmp_path / "walk.hdf5", d4rl_arrays(), without=["next_observations"]))
    # rows 3 and 4 end the episodes that were cut; row 7 is a true end, after which no observation counts
    kept = np.array([0, 1, 2, 5, 6, 7])
    np.testing.assert_array_equal(data.s, d4rl_arrays()["observations"][kept])
    np.testing.assert_array_equal(data.s_next[:-1], d4rl_arrays()["next_observations"][kept[:-1]])
    np.testing.assert_array_equal(data.s_next[-1], data.s[-1])
    assert data.end.tolist() == [0, 0, 1, 0, 0, 1] and data.d.tolist() == [0, 0, 0, 0, 0, 1]
    assert data.provenance.dropped == 2 and data.provenance.rows == 8
    assert data.episodes.lengths.tolist() == list(LENGTHS) and data.episodes.returns.tolist() == [10, 2, 18]


def test_the_last_row_of_a_file_closes_its_trajectory(tmp_path: Path) -> None:
    arrays = {key: array[:6] for key, array in d4rl_arrays().items()}
    data = load(write_hdf5(tmp_path / "walk.hdf5", arrays, without=["next_observations"]))
    assert data.end.tolist() == [0, 0, 1] and data.episodes.lengths.tolist() == [4, 1, 1]
    assert load(write_hdf5(tmp_path / "next.hdf5", arrays)).end.tolist() == [0, 0, 0, 1, 1, 1]


def test_without_timeouts_episodes_are_cut_where_observations_jump_or_at_the_time_limit(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "walk.hdf5", d4rl_arrays(), without=["timeouts"])
    assert load(path).episodes.lengths.tolist() == list(LENGTHS)
    path = write_hdf5(tmp_path / "plain.hdf5", d4rl_arrays(), without=["timeouts", "next_observations"])
    limited = load(path, TaskSpaces("walk", OBS, -np.ones(ACT), np.ones(ACT), time_limit=5))
    assert limited.episodes.lengths.tolist() == [5, 3] and "after 5 steps" in limited.provenance.notes[0]
    assert load(path).episodes.lengths.tolist() == [8] and "only terminals" in load(path).provenance.notes[0]


def test_the_time_limit_counts_from_the_last_true_end(tmp_path: Path) -> None:
    arrays = d4rl_arrays() | {"terminals": np.array([0, 1, 0, 0, 0, 0, 0, 0])}
    path = write_hdf5(tmp_path / "walk.hdf5", arrays, without=["timeouts", "next_observations"])
    limited = load(path, TaskSpaces("walk", OBS, -np.ones(ACT), np.ones(ACT), time_limit=3))
    assert limited.episodes.lengths.tolist() == [2, 3, 3]


def test_masks_stop_bootstrapping_inside_a_trajectory(tmp_path: Path) -> None:
    arrays = ogbench_arrays() | {"rewards": np.arange(11.0), "masks": np.ones(11)}
    arrays["masks"][1] = 0
    data = load(write_npz(tmp_path / "walk.npz", arrays))
    assert data.d.tolist() == [0, 1, 0, 0, 0, 0, 0, 0] and data.end.tolist() == [0, 0, 0, 1, 1, 0, 0, 1]
    assert data.r.tolist() == [0, 1, 2, 3, 5, 7, 8, 9] and data.rewarded


def test_an_npz_of_transitions_is_taken_as_it_is(tmp_path: Path) -> None:
    arrays = d4rl_arrays()
    last = arrays["terminals"] | arrays["timeouts"]
    data = load(write_npz(tmp_path / "walk.npz", arrays | {"terminals": last}, without=["timeouts"]))
    _same(data, np.arange(8))
    np.testing.assert_array_equal(data.end, last)
    assert not data.d.any()


def test_actions_are_scaled_by_the_bounds_of_the_file_or_of_the_task(tmp_path: Path) -> None:
    folder = write_minari(tmp_path / "walk")
    own, wide = load(folder), load(folder, TaskSpaces("walk", OBS, np.full(ACT, -4.0), np.full(ACT, 4.0)))
    np.testing.assert_array_equal(own.a, d4rl_arrays()["actions"])
    np.testing.assert_array_equal(wide.a, own.a / 2)
    assert own.low.tolist() == [-2, -2] and wide.high.tolist() == [4, 4]
    note = "the bounds of action component 0 are [-2.0, 2.0] in the file, [-4.0, 4.0] in walk, which are used"
    assert wide.provenance.notes == (note,) and own.provenance.notes == ()
    off_center = load(folder, TaskSpaces("walk", OBS, np.full(ACT, -2.0), np.full(ACT, 4.0)))
    np.testing.assert_allclose(off_center.a, (2 * own.a - 1) / 3, rtol=1e-5, atol=1e-6)


def test_actions_outside_the_bounds_are_clipped_and_counted(tmp_path: Path) -> None:
    arrays = d4rl_arrays()
    arrays["actions"][0] = 1.5, -1.5
    arrays["actions"][1, 0] = 1 + 1e-7
    data = load(write_hdf5(tmp_path / "walk.hdf5", arrays))
    assert data.provenance.clipped == 2 and data.a[0].tolist() == [1, -1] and np.abs(data.a).max() == 1


def test_observations_of_a_dict_space_are_flat_in_the_order_of_the_space(tmp_path: Path) -> None:
    one = {"type": "Box", "dtype": "float32", "shape": [1], "low": [-9.0], "high": [9.0]}
    two = one | {"shape": [1, 2], "low": [[-9.0, -9.0]], "high": [[9.0, 9.0]]}
    space = {"type": "Dict", "subspaces": {"z": one, "b": {"type": "Tuple", "subspaces": [two]}}}
    folder = write_minari(tmp_path / "walk", observation_space=json.dumps(space))
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        for group in file.values():
            seen = group["observations"][()]
            del group["observations"]
            group["observations/z"], group["observations/b/_index_0"] = seen[:, :1], seen[:, 1:].reshape(-1, 1, 2)
    # b before z: Gymnasium sorts the keys of a Dict
    np.testing.assert_array_equal(load(folder).s, d4rl_arrays()["observations"][:, [1, 2, 0]])


def test_a_minari_data_set_is_found_by_its_id_and_by_either_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path / "..")
    folder = write_minari(tmp_path / "tests/walk-v0")
    found = [load(source) for source in ("tests/walk-v0", folder, folder / "data")]
    assert len({data.provenance.sha256 for data in found}) == 1
    assert {data.provenance.name for data in found} == {"tests/walk-v0"}


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "walk.hdf5", d4rl_arrays())
    assert load(path).provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_contents_select_the_reader(tmp_path: Path) -> None:
    assert load(_write("d4rl", tmp_path).rename(tmp_path / "odd.npz")).provenance.format == "d4rl"
    assert load(_write("ogbench", tmp_path).rename(tmp_path / "odd.hdf5")).provenance.format == "ogbench"


def test_doubles_and_integers_become_float32(tmp_path: Path) -> None:
    arrays = d4rl_arrays()
    wide = {key: array.astype(np.float64) for key, array in arrays.items()}
    wide["terminals"] = arrays["terminals"].astype(np.int8).reshape(-1, 1)
    np.testing.assert_array_equal(load(write_hdf5(tmp_path / "w.hdf5", wide)).d, arrays["terminals"])


def test_reading_loads_no_jax(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "walk.hdf5", d4rl_arrays())
    code = f"import sys; from flowrl_dsl.datasets import load; print(len(load({str(path)!r})), 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["8", "False"]
