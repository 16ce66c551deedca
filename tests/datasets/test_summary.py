"""The summary states what is in the data, and is drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli
from flowrl_dsl.datasets import load, picture
from flowrl_dsl.datasets.summary import BINS, marginals, summarize, text
from tests.datasets.files import LENGTHS, d4rl_arrays, ogbench_arrays, write_hdf5, write_minari, write_npz


def _walk(folder: Path, name: str = "walk.hdf5", **changed: np.ndarray) -> Path:
    return write_hdf5(folder / name, d4rl_arrays() | changed)


def test_returns_lengths_and_ends_count_all_steps(tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "walk.hdf5", d4rl_arrays(), without=["next_observations"])
    found = summarize(load(path))
    assert (found.episodes, found.transitions, found.terminated, found.cut) == (3, 6, 1, 2)
    assert (found.returns.mean, found.returns.min, found.returns.median, found.returns.max) == (10, 2, 10, 18)
    assert found.returns.std == pytest.approx(np.std([10, 2, 18])) and found.lengths.mean == pytest.approx(np.mean(LENGTHS))
    assert "dropped: the last step of 2 cut episodes" in text(found) and "score" not in text(found)


def test_components_are_those_of_the_transitions(tmp_path: Path) -> None:
    found = summarize(load(_walk(tmp_path)))
    s = d4rl_arrays()["observations"].astype(np.float64)
    assert [one.mean for one in found.observations] == pytest.approx(s.mean(0))
    assert [(one.min, one.max) for one in found.observations] == [(0, 2), (0, 3), (1, 1)]
    assert found.observations[2].std == 0


def test_coverage_is_one_for_uniform_actions_and_none_for_a_constant(tmp_path: Path) -> None:
    cells = (np.arange(8 * BINS) % BINS + 0.5) / BINS * 2 - 1
    actions = np.stack([cells, np.ones(len(cells))], axis=1)
    many = {key: np.tile(array, (BINS, *[1] * (array.ndim - 1))) for key, array in d4rl_arrays().items()}
    found = summarize(load(write_hdf5(tmp_path / "walk.hdf5", many | {"actions": actions})))
    uniform, constant = found.coverage
    assert (uniform.entropy, uniform.cells, uniform.at_bounds) == (pytest.approx(1), 1, 0)
    assert (constant.entropy, constant.cells, constant.at_bounds) == (0, 1 / BINS, 1)


def test_every_action_is_counted_in_one_cell(tmp_path: Path) -> None:
    data = load(_walk(tmp_path, actions=np.full((8, 2), -3.0)))
    assert marginals(data).sum(axis=1).tolist() == [8, 8] and marginals(data)[:, 0].tolist() == [8, 8]
    assert data.provenance.clipped == 16 and "clipped: 16 numbers in actions (100.00%)" in text(summarize(data))


def test_scores_appear_where_reference_returns_are_known(tmp_path: Path) -> None:
    found = summarize(load(_walk(tmp_path, "hopper_medium-v2.hdf5")))
    assert found.scores is not None and found.scores.mean == pytest.approx(100 * (10 + 20.272305) / (3234.3 + 20.272305))
    assert "score" in text(found)
    with_scores = write_minari(tmp_path / "minari", ref_min_score=0.0, ref_max_score=20.0)
    found = summarize(load(with_scores))
    assert found.scores is not None and found.scores.mean == pytest.approx(50)


@pytest.mark.parametrize("low", [None, "1", 10**400, float("nan"), 20.0])
def test_reference_returns_that_make_no_sense_are_left_out(tmp_path: Path, low: object) -> None:
    assert load(write_minari(tmp_path / "minari", ref_min_score=low, ref_max_score=20.0)).reference is None


def test_a_file_without_rewards_has_no_returns(tmp_path: Path) -> None:
    data = load(write_npz(tmp_path / "walk.npz", ogbench_arrays()))
    shown = text(summarize(data))
    assert "\nreturn" not in shown and 'note: no "rewards"' in shown and "\nlength" in shown


def test_only_the_first_components_are_shown(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).normal(size=(8, 40)).astype("f")
    path = write_hdf5(tmp_path / "w.hdf5", d4rl_arrays() | {"observations": wide}, without=["next_observations"])
    assert "... and 16 more" in text(summarize(load(path)))


def test_the_command_prints_draws_and_writes(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    path = _walk(tmp_path, "a$b^_{.hdf5")
    assert cli.main(["data", str(path)]) == 0
    out = capsys.readouterr().out
    assert "3 episodes (1 ended, 2 cut), 8 steps, 8 transitions" in out and out.endswith("picture: a$b^_{.png\n")
    assert (tmp_path / "a$b^_{.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["data", str(path), "--plot", "walk.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"] == "walk.png" and found["provenance"]["rows"] == 8
    assert len(found["actions"]) == 2 and found["returns"]["mean"] == 10


def test_the_picture_of_a_set_without_rewards_says_so(tmp_path: Path) -> None:
    drawn = picture.figure(load(write_npz(tmp_path / "walk.npz", ogbench_arrays())))
    assert "no rewards" in drawn.axes[0].texts[0].get_text()


def test_the_task_is_checked(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    path = str(_walk(tmp_path))
    assert cli.main(["data", path, "--task", "Pendulum-v1", "--plot", "p.png"]) == 3
    assert "error[FRL0456]" in (shown := capsys.readouterr().err) and "actions have 2" in shown and "Pendulum-v1" in shown
    assert cli.main(["data", path, "--plot", "p.txt"]) == 3 and "error[FRL0432]" in capsys.readouterr().err
    assert cli.main(["data", "nowhere"]) == 3
    assert 'error[FRL0450]: there is no data set "nowhere"' in (shown := capsys.readouterr().err) and "minari" in shown


def test_a_missing_file_is_no_matter_of_minari(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "minari.storage.datasets_root_dir", None)
    _walk(tmp_path, "walk.hdf5")
    for name, cure in [
        ("wlk.hdf5", 'did you mean "walk.hdf5"?'),
        ("data/x.npz", "there is no folder data either"),
        ("x.y", ""),
    ]:
        assert cli.main(["data", name]) == 3
        shown = capsys.readouterr().err
        assert f'error[FRL0450]: there is no file "{name}"' in shown and cure in shown and "inari" not in shown


def test_names_in_files_reach_the_terminal_without_control_characters(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_minari(tmp_path / "walk", dataset_id="\x1b[31mred")
    assert cli.main(["data", str(folder)]) == 0 and "\x1b" not in capsys.readouterr().out
    assert (tmp_path / "walk.png").exists()
    path = write_hdf5(tmp_path / "w.hdf5", d4rl_arrays() | {"reward\x1b[31ms": np.ones(8)}, without=["rewards"])
    assert cli.main(["data", str(path)]) == 3
    assert "\x1b" not in (shown := capsys.readouterr().err) and "reward\N{REPLACEMENT CHARACTER}[31ms" in shown
