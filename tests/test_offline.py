"""Training on a data set: the command, its records, exact resume, populations, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from flowrl_dsl import cli, runs
from flowrl_dsl.data import DataSet, load_for
from flowrl_dsl.datasets import DataError
from flowrl_dsl.runtime.table import Table
from tests.datasets.files import write_hdf5

TASK = "Pendulum-v1"
SPEC = """
algorithm small {
  regime = offline
  data { reward = r / (return_max - return_min) }
  observe { normalize = data }
  policy { backbone = gaussian  network = mlp([8]) }
  value { network = mlp([8])  fit = expectile(min(Q_target(s, a), over = ensemble) - V(s), 0.7) }
  critic { network = mlp([8])  backup = td(r, d, discount, V(s_next)) }
  improve imitation { weight = exponential_advantage(min(Q_target(s, a), over = ensemble), V(s), 1, 10) }
  act { evaluate = mean }
  train { batch = 16  sampling = epochs  steps = 60  evaluate_every = 20  episodes = 2 }
}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, and a data set of random actions in two episodes, one of them cut."""
    folder, env = tmp_path_factory.mktemp("offline"), gymnasium.make(TASK)
    (folder / "small.flowrl").write_text(SPEC)
    columns: dict[str, list] = {name: [] for name in ("observations", "actions", "rewards", "next_observations")}
    for episode in range(2):
        s, _ = env.reset(seed=episode)
        env.action_space.seed(episode)
        for _ in range(100):
            a = env.action_space.sample()
            s_next, r, *_ = env.step(a)
            for name, value in zip(columns, (s, a, r, s_next), strict=True):
                columns[name].append(value)
            s = s_next
    last = np.arange(200) % 100 == 99
    write_hdf5(folder / "walk.hdf5", {**columns, "terminals": last & (np.arange(200) < 100), "timeouts": last})
    return folder


def train(home: Path, out: str, *words: str, command: Sequence[str] = ("train", "small.flowrl")) -> int:
    name, *rest = command
    data = ["--data", str(home / "walk.hdf5")] if name == "train" and "--data" not in words else []
    spec = [str(home / rest[0])] if name == "train" else [str(home / out)]
    task = ["--task", TASK, "--out", str(home / out)] if name == "train" else []
    return cli.main([name, *spec, *task, *data, *words])


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    assert train(home, "whole", "--checkpoint-every", "20") == 0
    return home / "whole"


def test_a_step_is_an_update_and_the_policy_is_evaluated(whole: Path) -> None:
    found = records(whole)
    assert [one["step"] for one in found if one["kind"] == "eval"] == [20, 40, 60]
    assert found[-2]["updates"] == 60 and found[-2]["return"] is None


def test_the_run_records_its_data_set(home: Path, whole: Path) -> None:
    said = json.loads((whole / "run.json").read_text())["data"]
    assert said["source"] == str(home / "walk.hdf5") and said["name"] == "walk" and said["rows"] == 200
    assert len(said["sha256"]) == 64


def test_the_summary_is_printed_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DataSet.of(str(home / "walk.hdf5"), TASK)
    printed = capsys.readouterr().out
    assert "2 episodes (1 ended, 1 cut), 200 steps" in printed and "actions: entropy" in printed


def test_a_resumed_run_equals_one_that_never_stopped(home: Path, whole: Path) -> None:
    """From the middle of an epoch: 200 rows are 12 batches, and the checkpoint is at update 20."""
    assert train(home, "parts", "--steps", "20", "--checkpoint-every", "20") == 0
    assert train(home, "parts", "--steps", "60", command=("resume",)) == 0
    (first, second) = ([one for one in records(run) if one["kind"] == "eval"] for run in (whole, home / "parts"))
    assert first == second
    states = [dict(np.load(run / "checkpoints/step-000000060/state.npz")) for run in (whole, home / "parts")]
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    assert not list((home / "parts/checkpoints/replay").glob("*"))


def test_members_of_a_population_equal_single_runs(home: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The spec's discount is 0.99; the data set is read and summarised once for all values."""
    sweep = ["--sweep", "critic.discount=0.9,0.99"]
    assert train(home, "both", "--seeds", "2", *sweep, "--checkpoint-every", "20") == 0
    assert records(home / "both/critic.discount=0.99_seed0") == records(whole)
    others = ("0.99_seed1", "0.9_seed0", "0.9_seed1")
    assert all(records(home / f"both/critic.discount={name}") != records(whole) for name in others)
    assert capsys.readouterr().out.count("200 transitions") == 1


def test_statistics_and_moments_are_those_of_the_data_set(home: Path, whole: Path) -> None:
    data = load_for(home / "walk.hdf5", TASK)
    table = Table.of(data)
    returns = [float(data.r[:100].sum(dtype=np.float64)), float(data.r[100:].sum(dtype=np.float64))]
    assert table.statistics["data.return_max"] == pytest.approx(max(returns), rel=1e-5)
    assert table.statistics["data.return_min"] == pytest.approx(min(returns), rel=1e-5)
    assert table.statistics["data.reward_std"] == pytest.approx(data.r.std(), rel=1e-4)
    state = dict(np.load(whole / "checkpoints/step-000000060/state.npz"))
    kept = {name: array for name, array in state.items() if "normalizer" in name}
    np.testing.assert_allclose(next(array for name, array in kept.items() if "mean" in name), data.s.mean(0), rtol=1e-4)
    np.testing.assert_allclose(next(array for name, array in kept.items() if "std" in name), data.s.std(0), rtol=1e-4)


def test_another_data_set_in_its_place_is_refused(home: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole, home / "moved")
    said = json.loads((home / "moved/run.json").read_text())
    said["data"]["sha256"] = "0" * 64
    (home / "moved/run.json").write_text(json.dumps(said))
    assert train(home, "moved", "--steps", "80", command=("resume",)) == 3
    assert "error[FRL0465]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["train", "iql"], "FRL0464"),
        (["train", "rlpd"], "FRL0464"),
        (["train", "td3", "--data", "x"], "FRL0450"),
        (["train", "td7", "--data", "x"], "FRL0466"),
    ],
)
def test_an_algorithm_needs_the_data_that_it_learns_from(words, code, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--task", TASK]) == 3
    assert f"error[{code}]" in capsys.readouterr().err


def test_blocks_for_a_task_hold_for_a_data_set_of_that_name(home: Path) -> None:
    from flowrl_dsl.driver import resolve_or_raise

    spec = home / "blocks.flowrl"
    spec.write_text(SPEC.rstrip().removesuffix("}") + '  for task "walk-*" { train { batch = 7 } }\n}\n')
    for data, batch in ((None, 16), ("walk-medium", 7)):
        assert resolve_or_raise(str(spec), TASK, (), data)[0].sections["train"].batch == batch


def test_data_without_rewards_can_be_imitated_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count, rng = 20, np.random.default_rng(0)
    arrays = {"observations": rng.normal(size=(count, 3)), "actions": rng.uniform(-2, 2, (count, 1))}
    np.savez(home / "goals.npz", **arrays, terminals=np.arange(count) % 10 == 9)
    assert train(home, "goals", "--data", str(home / "goals.npz")) == 3
    assert "error[FRL0459]" in capsys.readouterr().err
    small = ["--set", "policy.network=mlp([4])", "--set", "policy.sampler.steps=2", "--set", "train.batch=4"]
    words = ["--data", str(home / "goals.npz"), "--steps", "4", "--episodes", "1", *small]
    assert cli.main(["train", "bc", "--task", TASK, "--out", str(home / "cloned"), *words]) == 0


def test_a_data_set_has_whole_chunks(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its longest episode has 100 steps."""
    assert train(home, "chunked", "--set", "act.chunk=101") == 3
    err = capsys.readouterr().err
    assert "error[FRL0459]" in err and "at most 100 steps, and a chunk has 101" in err


def test_what_data_must_have_is_asked_of_the_settings_for_them(home: Path) -> None:
    """A block for the data set decides how long a chunk is, whatever it would be without them."""
    data = DataSet.of(str(home / "walk.hdf5"), TASK)
    for without, block, fits in ((101, 2, True), (2, 101, False)):
        spec = SPEC.replace("act {", f"act {{ chunk = {without} ").rstrip().removesuffix("}")
        (home / "long.flowrl").write_text(f'{spec}  for task "walk*" {{ act {{ chunk = {block} }} }}\n}}\n')
        arguments = runs.TrainArguments(str(home / "long.flowrl"), TASK, data=str(home / "walk.hdf5"))
        if fits:
            assert runs.prepare(arguments).data == data
        else:
            with pytest.raises(DataError, match="at most 100 steps, and a chunk has 101"):
                runs.prepare(arguments)
