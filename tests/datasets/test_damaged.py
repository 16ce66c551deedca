"""Damaged, foreign and malicious files are coded errors with file, key, row, cause and cure; nothing in them is executed."""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrl_dsl import cli
from flowrl_dsl.codes import CODES
from flowrl_dsl.codes import data as codes_of_data
from flowrl_dsl.codes import run as codes_of_runs
from flowrl_dsl.datasets import DataError, TaskSpaces, load
from tests.datasets.files import ACT, OBS, box, d4rl_arrays, ogbench_arrays, write_hdf5, write_minari, write_npz

ROOT = Path(__file__).parents[2]
CODES_OF_DATA = {code.code for code in codes_of_data.CODES}


class Bomb:
    """Creates a file in the current folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("executed", "w")


def _hdf5(**changed: Any) -> Callable[[Path], Path]:
    return lambda folder: write_hdf5(folder / "walk.hdf5", d4rl_arrays() | changed)


def _npz(**changed: Any) -> Callable[[Path], Path]:
    return lambda folder: write_npz(folder / "walk.npz", ogbench_arrays() | changed)


def _without(kind: str, key: str) -> Callable[[Path], Path]:
    if kind == "hdf5":
        return lambda folder: write_hdf5(folder / "walk.hdf5", d4rl_arrays(), without=[key])
    return lambda folder: write_npz(folder / "walk.npz", ogbench_arrays(), without=[key])


def _minari(**changed: Any) -> Callable[[Path], Path]:
    return lambda folder: write_minari(folder / "walk", **changed)


def _edited(edit: Callable[[h5py.File], None], make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """A file or a Minari folder whose HDF5 file was changed."""

    def edited(folder: Path) -> Path:
        path = make(folder)
        with h5py.File(path / "data/main_data.hdf5" if path.is_dir() else path, "a") as file:
            edit(file)
        return path

    return edited


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return cut


def _with(values: np.ndarray, place: Any, value: float) -> np.ndarray:
    changed = values.astype(np.float64)
    changed[place] = value
    return changed


def _external_link(file: h5py.File) -> None:
    del file["rewards"]
    file["rewards"] = h5py.ExternalLink("/etc/other.hdf5", "rewards")


def _soft_link(file: h5py.File) -> None:
    del file["rewards"]
    file["rewards"] = h5py.SoftLink("/terminals")


def _external_data(file: h5py.File) -> None:
    del file["rewards"]
    file.create_dataset("rewards", (8,), "f4", external=[("/etc/passwd", 0, 32)])


def _virtual_data(file: h5py.File) -> None:
    del file["rewards"]
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.hdf5", "rewards", (8,))
    file.create_virtual_dataset("rewards", layout)


def _huge(file: h5py.File) -> None:
    del file["observations"]
    file.create_dataset("observations", (2**45, OBS), "f4", chunks=(1024, OBS))


def _huge_chunk(file: h5py.File) -> None:
    del file["rewards"]
    file.create_dataset("rewards", (8,), "f8", np.ones(8), chunks=(2**22,), maxshape=(None,), compression="gzip")


def _never_written(file: h5py.File) -> None:
    del file["rewards"]
    file.create_dataset("rewards", (8,), "f4", chunks=(8,))


def _replaced(key: str, value: Any) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[key]
        file[key] = value

    return edit


def _group(file: h5py.File) -> None:
    del file["rewards"]
    file.create_group("rewards")


def _npy(shape: tuple[int, ...]) -> bytes:
    """The header of an array of this shape, and eight bytes of it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue() + bytes(8)


def _archive(member: bytes, name: str = "observations.npy") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "walk.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, member)
        return folder / "walk.npz"

    return write


def _lzma(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "walk.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("observations.npy", _npy((2, 1)))
    return folder / "walk.npz"


def _long_header() -> bytes:
    """An array of version 2 of the format, whose header states a length of four gigabytes."""
    return b"\x93NUMPY\x02\x00" + b"\xff" * 4 + b" " * 1000


def _objects(folder: Path) -> Path:
    arrays = ogbench_arrays()
    return write_npz(folder / "walk.npz", arrays | {"actions": np.array([Bomb()] * len(arrays["actions"]), object)})


def _metadata(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_minari(folder / "walk")
        (path / "data/metadata.json").write_text(text)
        return path

    return write


def _no_steps(folder: Path) -> Path:
    path = write_minari(folder / "walk")
    (path / "data/main_data.hdf5").unlink()
    return path


S, REWARDS = d4rl_arrays()["observations"], d4rl_arrays()["rewards"]
NO_END = _edited(_replaced("episode_0/terminations", np.array([0, 1, 0, 0])), _minari())
BAD = [
    ("FRL0450", "there is no file", lambda folder: folder / "nowhere.hdf5"),
    ("FRL0451", "neither HDF5 nor .npz", _bytes("walk.hdf5", b"# a text")),
    ("FRL0451", "neither HDF5 nor .npz", _bytes("walk.hdf5", b"")),
    ("FRL0451", "looks like a pickle", _bytes("walk.pkl", pickle.dumps(Bomb()))),
    ("FRL0451", "contains no metadata.json", lambda folder: folder),
    ("FRL0451", "a part of a Minari data set", lambda folder: _minari()(folder) / "data/main_data.hdf5"),
    ("FRL0451", 'has the format "arrow"', _minari(data_format="arrow")),
    ("FRL0453", "cannot be read", _cut(_hdf5(), 0.5)),
    ("FRL0453", "cannot be read", _cut(_npz(), 0.5)),
    ("FRL0453", "cannot be read", _bytes("walk.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(400))),
    ("FRL0453", "cannot be read", _bytes("walk.npz", b"PK\x03\x04" + bytes(400))),
    ("FRL0453", "never written", _edited(_never_written, _hdf5())),
    ("FRL0453", "only 136 bytes", _archive(_npy((1000, 3)))),
    ("FRL0453", "cannot be read", _archive(b"not an array")),
    ("FRL0453", "version (2, 0)", _archive(_long_header())),
    ("FRL0453", "compressed by another method", _lzma),
    ("FRL0453", "metadata.json cannot be read", _metadata("{")),
    ("FRL0453", "metadata.json cannot be read", _metadata("[" * 100_000)),
    ("FRL0453", "main_data.hdf5 cannot be read", _no_steps),
    ("FRL0454", '"rewards" does not exist', _without("hdf5", "rewards")),
    ("FRL0454", '"terminals" does not exist', _without("npz", "terminals")),
    ("FRL0454", 'did you mean "observation"?', _archive(_npy((2, 1)), "observation.npy")),
    ("FRL0454", '"rewards" is not an array of numbers', _edited(_group, _hdf5())),
    ("FRL0454", '"rewards" is not an array of numbers', _edited(_replaced("rewards", h5py.Empty("f4")), _hdf5())),
    ("FRL0454", '"observations" has the shape [8], expected [rows, components]', _hdf5(observations=REWARDS)),
    ("FRL0454", '"rewards" has the shape [8, 3], expected [rows]', _hdf5(rewards=S)),
    ("FRL0454", "different numbers of rows: observations 8, actions 8, rewards 7", _hdf5(rewards=REWARDS[:7])),
    ("FRL0454", "terminals 8, timeouts 7", _hdf5(timeouts=np.zeros(7))),
    ("FRL0454", '"next_observations" has the shape [8, 2], observations have [8, 3]', _hdf5(next_observations=S[:, :2])),
    ("FRL0454", "values of type |S1", _hdf5(rewards=np.array([b"a"] * 8))),
    ("FRL0454", "values of type complex64", _hdf5(rewards=REWARDS.astype(np.complex64))),
    ("FRL0454", '"terminals" is 2 in row 3, expected 0 or 1', _hdf5(terminals=_with(np.zeros(8), 3, 2))),
    ("FRL0454", "contains 3 episodes, metadata.json states 4", _minari(total_episodes=4)),
    ("FRL0454", "metadata.json is not a JSON object", _metadata("[]")),
    ("FRL0454", '"action_space" is missing', _minari(action_space=None)),
    ("FRL0454", '"action_space" does not describe a space', _minari(action_space='{"type": "Ball"}')),
    ("FRL0454", '"action_space" does not describe a space', _minari(action_space="{")),
    ("FRL0454", "expected a Box of real numbers", _minari(action_space='{"type": "Discrete", "n": 2, "start": 0}')),
    ("FRL0454", "its space has [4]", _minari(observation_space=box([0.0] * 4, [1.0] * 4))),
    ("FRL0454", "expected boxes", _minari(observation_space='{"type": "Discrete", "n": 2, "start": 0}')),
    ("FRL0454", "empty space", _minari(observation_space='{"type": "Dict", "subspaces": {}}')),
    (
        "FRL0454",
        '"episode_0/observations" is an array, expected a group',
        _minari(observation_space=json.dumps({"type": "Dict", "subspaces": {"x": json.loads(box([0.0], [1.0]))}})),
    ),
    ("FRL0454", "marks an end before the last step", NO_END),
    ("FRL0454", "episode_1: the arrays have different", _edited(_replaced("episode_1/rewards", [1.0, 2.0]), _minari())),
    (
        "FRL0455",
        '"observations" is not finite in row 5, component 2 (1 such rows)',
        _hdf5(observations=_with(S, (5, 2), np.nan)),
    ),
    ("FRL0455", '"rewards" is not finite in row 1 (2 such rows)', _hdf5(rewards=_with(REWARDS, [1, 4], np.inf))),
    ("FRL0455", '"rewards" is not finite in row 7', _hdf5(rewards=_with(REWARDS, 7, 1e300))),
    (
        "FRL0455",
        '"actions" is not finite in row 0, component 1',
        _npz(actions=_with(ogbench_arrays()["actions"], (0, 1), np.nan)),
    ),
    ("FRL0457", '"rewards" is a link', _edited(_external_link, _hdf5())),
    ("FRL0457", '"rewards" is a link', _edited(_soft_link, _hdf5())),
    ("FRL0457", "refers to data in other files", _edited(_external_data, _hdf5())),
    ("FRL0457", "refers to data in other files", _edited(_virtual_data, _hdf5())),
    ("FRL0457", "contains Python objects", _objects),
    ("FRL0457", "contains Python objects", _hdf5(rewards=np.array(["a"] * 8, object))),
    ("FRL0458", "has the shape [35184372088832, 3]", _edited(_huge, _hdf5())),
    ("FRL0458", "has the shape [1099511627776, 3]", _archive(_npy((2**40, 3)))),
    ("FRL0459", "contains no steps", lambda folder: write_hdf5(folder / "w", {k: v[:0] for k, v in d4rl_arrays().items()})),
    ("FRL0459", "contains no step whose next observation is known", _npz(terminals=np.ones(11))),
    ("FRL0459", "action component 1 has no finite bounds", _minari(action_space=box([-1.0, -np.inf], [1.0, 1.0]))),
    (
        "FRL0459",
        "contains no steps",
        _edited(lambda file: [file.pop(name) for name in list(file)], _minari(total_episodes=0)),
    ),
]


@pytest.mark.parametrize(("code", "said", "make"), BAD, ids=[f"{code}-{said[:30]}" for code, said, _ in BAD])
def test_bad_data_sets(code: str, said: str, make: Callable[[Path], Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        load(path)
    found = caught.value.diagnostics[0]
    assert caught.value.code == code, found
    assert said in "\n".join([found.message, *found.notes])
    assert str(tmp_path) in found.message and not Path("executed").exists()


def test_sizes_of_another_task(tmp_path: Path) -> None:
    path = _hdf5()(tmp_path)
    for task, said in (
        (TaskSpaces("Hopper", 11, -np.ones(ACT), np.ones(ACT)), "observations have 3 components, those of Hopper have 11"),
        (TaskSpaces("Hopper", OBS, -np.ones(3), np.ones(3)), "actions have 2 components, those of Hopper have 3"),
    ):
        with pytest.raises(DataError, match="FRL0456") as caught:
            load(path, task)
        assert said in caught.value.diagnostics[0].message


def test_the_limit_on_memory_counts_all_arrays(tmp_path: Path) -> None:
    path = _hdf5()(tmp_path)
    needed = sum(array.size * 4 for array in d4rl_arrays().values())
    assert len(load(path, memory=needed)) == 8
    with pytest.raises(DataError, match="FRL0458"):
        load(path, memory=needed - 1)


def test_a_compressed_bomb_is_refused_before_it_is_decompressed(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "walk.npz", ogbench_arrays() | {"observations": np.zeros((2**20, 8), np.float32)})
    assert path.stat().st_size < 2**16
    with pytest.raises(DataError, match="FRL0458"):
        load(path, memory=2**20)


def test_chunks_that_are_larger_than_their_array_count(tmp_path: Path) -> None:
    path = _edited(_huge_chunk, _hdf5())(tmp_path)
    assert path.stat().st_size < 2**17
    with pytest.raises(DataError, match=r"FRL0458.*in chunks of \[4194304\]"):
        load(path, memory=2**20)


def test_every_code_of_reading_has_a_bad_data_set() -> None:
    shown = {code for code, _, _ in BAD} | {"FRL0452", "FRL0456"}
    assert shown == {code for code in CODES_OF_DATA if code < "FRL0460"}


def test_a_missing_library_is_named_with_the_command_that_installs_it(tmp_path: Path, monkeypatch) -> None:
    path, folder = _hdf5()(tmp_path), write_minari(tmp_path / "minari")
    monkeypatch.setitem(sys.modules, "minari.serialization", None)
    with pytest.raises(DataError, match=r"FRL0452.*needs minari"):
        load(folder)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"FRL0452.*needs h5py") as caught:
        load(path)
    assert caught.value.diagnostics[0].notes == ("pip install 'flowrl-dsl[data]'",)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("originals")
    return {"hdf5": _hdf5()(folder), "npz": _npz()(folder), "minari": _minari()(folder)}


@pytest.mark.parametrize("kind", ["hdf5", "npz", "minari"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(
    kind: str, originals: dict[str, Path], tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever bytes are changed or cut off: arrays of one length without NaN, or a coded error."""
    path = tmp_path / kind
    shutil.rmtree(path, ignore_errors=True)
    if kind == "minari":
        shutil.copytree(originals[kind], path)
        target = path / "data" / data.draw(st.sampled_from(["metadata.json", "main_data.hdf5"]))
    else:
        path.mkdir()
        target = path = shutil.copy(originals[kind], path / "file")
    content = bytearray(Path(target).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    Path(target).write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        found = load(path)
    except DataError as error:
        assert error.code in CODES_OF_DATA
        return
    assert len(found) == len(found.s) == len(found.a) == len(found.s_next) == len(found.end)
    assert all(np.isfinite(array).all() for array in (found.s, found.a, found.r, found.s_next))


def test_every_code_is_raised_by_a_data_set_and_explained(capsys) -> None:
    package = ROOT / "flowrl_dsl"
    files = [*(package / "datasets").glob("*.py"), *(package / f"{name}.py" for name in ("collecting", "data", "runs"))]
    texts = [path.read_text() for path in files]
    raised = {code for text in texts for code in re.findall(r'"(FRL\d{4})"', text)}
    assert raised - {code.code for code in codes_of_runs.CODES} == CODES_OF_DATA
    for code in raised:
        assert cli.main(["explain", code]) == 0 and CODES[code].title in capsys.readouterr().out
