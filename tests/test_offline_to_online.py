"""From a data set to an environment: a phase that acts, exact resume in each phase, batches of both, and populations."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from flowrl_dsl import cli, runs
from flowrl_dsl.runtime.logs import RunFolder
from tests.datasets.files import write_hdf5
from tests.runtime.toy_run import Quiet
from tests.test_offline import records
from tests.whole_runs import check_joined, check_resumed

TASK = "InvertedPendulum-v5"
SPEC = """
algorithm tuned {
  regime = offline
  phase offline { updates = 20 }
  phase online { steps = 20 }
  policy { backbone = gaussian  network = mlp([8]) }
  improve imitation {}
  act { evaluate = mean }
  train { batch = 16  updates = 2  sampling = mixed(data = 0.5)  evaluate_every = 7  episodes = 2 }
}
"""
STEPS = 30
"""20 updates are 10 steps of two updates."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the spec and a data set."""
    folder, rng, last = tmp_path_factory.mktemp("both"), np.random.default_rng(0), np.arange(200) % 20 == 19
    (folder / "tuned.flowrl").write_text(SPEC)
    walk = {"observations": rng.normal(size=(201, 4)), "actions": rng.uniform(-3, 3, (200, 1)), "rewards": np.ones(200)}
    moved = {"observations": walk["observations"][:-1], "next_observations": walk["observations"][1:]}
    write_hdf5(folder / "walk.hdf5", {**walk, **moved, "terminals": last, "timeouts": np.zeros(200, bool)})
    return folder


def train(home: Path, out: str, *words: str) -> int:
    data = ["--task", TASK, "--data", str(home / "walk.hdf5"), "--out", str(home / out)]
    return cli.main(["train", str(home / "tuned.flowrl"), *data, *words])


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    assert train(home, "tuned") == 0
    return home / "tuned"


def test_the_last_phase_acts_and_its_transitions_alone_are_in_checkpoints(whole: Path) -> None:
    assert records(whole)[-1]["step"] == STEPS
    manifest = json.loads((whole / f"checkpoints/step-{STEPS:09d}/manifest.json").read_text())
    assert (manifest["total"], manifest["kept"]) == (20, 20)


def test_each_phase_is_recorded_where_it_begins(whole: Path) -> None:
    found = [(r["step"], r["phase"], r["updates"]) for r in records(whole) if r["kind"] == "phase"]
    assert found == [(0, 1, 0), (10, 2, 20)]


@pytest.mark.parametrize("at", [5, 10, 20])
def test_resume_is_exact_in_each_phase_and_between_them(home: Path, whole: Path, at: int) -> None:
    out = f"half{at}"
    assert train(home, out, "--steps", str(at)) == 0
    check_resumed(whole, home / out, STEPS)
    evaluations = [[r for r in records(run) if r["kind"] == "eval" and r["step"] != at] for run in (whole, home / out)]
    assert evaluations[0] == evaluations[1] and len(evaluations[0]) == 5


def test_eval_names_the_phase(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", str(whole), "--episodes", "1"]) == 0
    assert f"at step {STEPS} in phase online (2 of 2): return" in capsys.readouterr().out


def test_joined_members_share_the_data_and_learn_what_they_learn_alone(whole: Path) -> None:
    members = check_joined(whole, STEPS)
    axes = members["a"].replay.member_axes
    assert axes["data"] is None and axes["s"] == 0


def test_any_algorithm_that_acts_may_have_data_in_its_replay(home: Path) -> None:
    small = ["--set", "policy.network=mlp([4])", "--set", "critic.network=mlp([4])", "--set", "train.batch=4"]
    words = ["train", "sac", "--task", TASK, "--data", str(home / "walk.hdf5"), "--steps", "6", "--episodes", "1"]
    assert cli.main([*words, "--set", "train.warmup=2", *small, "--out", str(home / "sac")]) == 0
    prepared = runs.rebuild(RunFolder(home / "sac"))
    training = prepared.training(RunFolder(home / "sac"), Quiet(6))
    view = training.replay.view()
    assert view["data"]["r"].shape == (200,) and int(view["size"]) == 0


def test_rlpd_is_redq_on_batches_of_both_with_normalised_critics(home: Path) -> None:
    """Half of a batch is prior data, for each of twenty updates; all ten critics have layer norms."""
    from flowrl_dsl.driver import build_program, resolve_or_raise
    from flowrl_dsl.spec.compare import compare

    rlpd, redq = (resolve_or_raise(name, None, ())[0] for name in ("rlpd", "redq"))
    changed = {difference.path for difference in compare(redq, rlpd)}
    assert changed == {"param temperature", "critic.network.layer_norm", "critic.reduction", "train.sampling"}
    program = build_program(rlpd, 3, 1, capacity=8, data=True)
    storage = _storage(program, data=40, collected=8)
    batch = program.draw_batch({"key": jax.random.PRNGKey(0), "step": np.int32(0)}, storage)
    np.testing.assert_array_equal(np.asarray(batch["r"]) < 0, np.arange(256) < 128)


def _storage(program, data: int, collected: int) -> dict:
    """Rewards of the data are -1, those collected 1."""

    def rows(count: int, r: float) -> dict:
        shapes = {name: (count, *field.shape(program.axis_sizes)) for name, field in program.data.stored.items()}
        fields = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        return fields | {"r": np.full(count, r, np.float32), "size": np.int32(count), "total": np.int32(count)}

    return rows(collected, 1.0) | {"data": rows(data, -1.0)}


def test_fql_online_is_fql_that_goes_on_while_it_acts() -> None:
    from flowrl_dsl.driver import resolve_or_raise
    from flowrl_dsl.spec.compare import compare

    fql, online = (resolve_or_raise(name, None, ())[0] for name in ("fql", "fql_online"))
    assert online.regime.taken(online) == "offline_to_online"
    assert {phase.order for phase in online.phases} == {fql.order}
    changed = {difference.path for difference in compare(fql, online)}
    options = {f"{name}.order" for name in ("offline", "online")} | {"offline.updates", "online.steps"}
    assert changed == {"phases", "order", "train.sampling", *options}
