"""``flowrl-dsl collect``: what is written is what was done, and what can go wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli, driver, exits
from flowrl_dsl.datasets import Dataset, load, writing
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.worlds.vector import SyncVector
from tests.runtime.toy_program import ToyProgram

TRAIN = ("train", "qsm", "--steps", "300", "--set", "train.warmup=50", "--evaluate-every", "300", "--episodes", "1")
FIELDS = ("s", "a", "r", "d", "end", "s_next")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a program that compiles at once: ``one``, ``two`` with two environments, and ``other`` of another task."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))
        assert cli.main([*TRAIN, "--out", str(folder / "one")]) == 0
        assert cli.main([*TRAIN, "--envs", "2", "--seed", "3", "--out", str(folder / "two")]) == 0
        assert cli.main([*TRAIN, "--task", "Pendulum-v1", "--out", str(folder / "other")]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of the runs in an empty folder, where Minari keeps its data sets too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(driver, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))
    for name in ("one", "two", "other"):
        shutil.copytree(trained / name, name)


def _collect(name: str, *words: str) -> Dataset:
    assert cli.main(["collect", *words, "--out", name]) == 0
    return load(name)


def _metadata(name: str) -> dict:
    return json.loads(Path("minari", name, "data/metadata.json").read_text())


def _same(left: Dataset, right: Dataset) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in FIELDS)


def test_the_data_set_contains_the_steps_that_were_taken(monkeypatch, capsys) -> None:
    taken: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS}
    step = SyncVector.step

    def spied(self, actions, active=None):
        before = self._obs.copy()
        stepped = step(self, actions, active)
        values = before, actions, stepped.reward, stepped.terminal, stepped.done, stepped.next_obs
        for name, value in zip(FIELDS, values, strict=True):
            taken[name].append(np.array(value[0]))
        return stepped

    monkeypatch.setattr(SyncVector, "step", spied)
    data = _collect("mine/pendulum-v0", "one", "--steps", "80")
    for name in FIELDS:
        expected = np.array(taken[name], np.float32)
        if name == "end":
            expected[-1] = 1
        # actions are stored in the units of the task, ±3
        np.testing.assert_allclose(getattr(data, name), expected, rtol=1e-6 if name == "a" else 0, atol=0, err_msg=name)
    assert len(data) == 80 and data.low.tolist() == [-3] and data.provenance.clipped == 0
    whole = data.episodes.returns[:-1]
    returns = _metadata("mine/pendulum-v0")["flowrl_dsl"]["returns"]
    assert returns["mean"] == pytest.approx(whole.mean()) and returns["episodes"] == len(whole) > 1
    assert f"with return {whole.mean():.1f} ±" in capsys.readouterr().out


def test_the_metadata_state_where_the_data_is_from() -> None:
    _collect("mine/pendulum-v0", "one", "two", "--steps", "41", "--noise", "0.2", "--seed", "7", "--envs", "2")
    metadata = _metadata("mine/pendulum-v0")
    about = metadata["flowrl_dsl"]
    assert (metadata["dataset_id"], metadata["algorithm_name"], metadata["total_steps"]) == ("mine/pendulum-v0", "qsm", 41)
    assert (about["task"], about["seed"], about["noise"], about["source"]) == ("InvertedPendulum-v5", 7, 0.2, "policy")
    assert [(one["seed"], one["checkpoint"], one["steps"]) for one in about["behaviors"]] == [(0, 300, 21), (3, 300, 20)]
    assert all(len(one["spec_sha256"]) == 64 and one["sets"] == ["train.warmup=50"] for one in about["behaviors"])
    assert {"jax", "minari", "mujoco", "flowrl-dsl"} <= set(about["versions"])


def test_the_same_seed_gives_the_same_data_and_another_one_does_not() -> None:
    words = ("one", "--steps", "60", "--noise", "0.3", "--envs", "2")
    one, again, other = (
        _collect(f"{name}-v0", *words, "--seed", seed) for name, seed in (("a", "1"), ("b", "1"), ("c", "2"))
    )
    assert _same(one, again) and not np.array_equal(one.s, other.s)


def test_minari_reads_what_was_written() -> None:
    import minari

    data = _collect("mine/pendulum-v3", "one", "--steps", "50")
    read = minari.load_dataset("mine/pendulum-v3")
    assert read.spec.total_steps == 50 and read.spec.env_spec.id == "InvertedPendulum-v5"
    np.testing.assert_array_equal(np.concatenate([episode.observations[1:] for episode in read]), data.s_next)
    assert list(minari.list_local_datasets()) == ["mine/pendulum-v3"]


@pytest.mark.parametrize("run", ["one", "two"])
def test_a_replay_becomes_a_data_set(run: str) -> None:
    data = _collect("mine/replay-v0", run, "--replay")
    rows = Checkpoints(Path(run)).load().rows
    assert len(data) == len(rows) == 300
    found = np.concatenate([data.s, data.a, data.r[:, None], data.d[:, None], data.s_next], axis=1)
    # the rows of the environments take turns in the replay and stand one after the other in the data set
    order = np.concatenate([np.arange(300)[k :: 2 if run == "two" else 1] for k in range(2 if run == "two" else 1)])
    expected = rows[order][:, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    newest = _collect("mine/newest-v0", run, "--replay", "--steps", "100")
    assert len(newest) == 100 and _metadata("mine/newest-v0")["flowrl_dsl"]["source"] == "replay"


def test_a_checkpoint_is_chosen_by_its_folder(capsys) -> None:
    newest, older = sorted(Path("one/checkpoints").glob("step-*"))[-1], Path("one/checkpoints/step-000000150")
    _collect("a-v0", str(newest), "--steps", "20")
    assert "at step 300" in capsys.readouterr().out
    assert cli.main(["collect", str(older), "--steps", "20", "--out", "b-v0"]) == 3
    assert "error[FRL0412]" in (shown := capsys.readouterr().err) and "step-000000150" in shown


def test_an_interrupted_collection_leaves_nothing(monkeypatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_buffer", interrupted)
    assert cli.main(["collect", "one", "--steps", "20", "--out", "mine/a-v0"]) == exits.INTERRUPTED
    assert [path for path in Path("minari").rglob("*") if path.is_file()] == []
    assert not Path("minari/mine/a-v0").exists()


def test_a_full_disk_is_an_error(monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_store", full)
    assert cli.main(["collect", "one", "--steps", "20", "--out", "mine/a-v0"]) == 3
    assert "error[FRL0410]" in (shown := capsys.readouterr().err) and "No space left" in shown


def _existing() -> None:
    Path("minari/a-v0").mkdir(parents=True)


def _no_checkpoints() -> None:
    shutil.rmtree("one/checkpoints")


def _no_rows() -> None:
    for path in Path("one/checkpoints").glob("step-*/manifest.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"segments": [], "total": 0, "kept": 0}))


@pytest.mark.parametrize(
    ("code", "said", "words", "damage"),
    [
        ("FRL0460", "expected [NAMESPACE/]NAME-vNUMBER", ("one", "--steps", "9", "--out", "pendulum"), None),
        ("FRL0460", "is not the id", ("one", "--steps", "9", "--out", "../up-v0"), None),
        (
            "FRL0461",
            "there is a data set a-v0",
            ("one", "--steps", "9", "--out", "a-v0"),
            _existing,
        ),
        ("FRL0463", "other: Pendulum-v1", ("one", "other", "--steps", "9", "--out", "a-v0"), None),
        ("FRL0462", "the replays are empty", ("one", "--replay", "--out", "a-v0"), _no_rows),
        (
            "FRL0412",
            "no usable checkpoint",
            ("one", "--steps", "9", "--out", "a-v0"),
            _no_checkpoints,
        ),
        ("FRL0411", "not a run folder", ("minari", "--steps", "9", "--out", "a-v0"), None),
    ],
)
def test_what_can_go_wrong(code: str, said: str, words: tuple[str, ...], damage, capsys) -> None:
    if damage is not None:
        damage()
    assert cli.main(["collect", *words]) == 3
    assert f"error[{code}]" in (shown := capsys.readouterr().err) and said in shown


def test_what_was_collected_as_json(capsys) -> None:
    assert cli.main(["collect", "one", "two", "--replay", "--steps", "20", "--out", "mine/a-v0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "mine/a-v0" and Path(found["folder"]).is_dir() and found["source"] == "replay"
    assert [one["seed"] for one in found["behaviors"]] == [0, 3]
    assert found["steps"] == sum(one["steps"] for one in found["behaviors"]) and found["episodes"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one", "--out", "a-v0"], "--steps is needed"),
        (["one", "--replay", "--noise", "0.1", "--out", "a-v0"], "--noise is added"),
    ],
)
def test_arguments_that_exclude_each_other(words: list[str], said: str, capsys) -> None:
    assert cli.main(["collect", *words]) == exits.USAGE and said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["one", "--steps", "9"], ["one", "--noise", "-1", "--out", "a-v0"], ["--out", "a-v0"]])
def test_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["collect", *words])
    assert caught.value.code == exits.USAGE
