"""The suite ``d4rl``: the settings that each data set's runs have, and a run on a file as D4RL leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli, driver
from flowrl_dsl.suites.jobs import Job, jobs_of
from flowrl_dsl.suites.store import Store
from tests.datasets.files import write_hdf5
from tests.suites.samples import train_in_this_process

SIZES = {"halfcheetah": (17, 6), "hopper": (11, 3), "walker2d": (17, 6)}
KINDS = ("medium", "medium_replay", "medium_expert")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with the nine files of D4RL, some without next observations; the tests run in it."""
    home = tmp_path_factory.mktemp("home")
    folder = home / ".d4rl" / "datasets"
    folder.mkdir(parents=True)
    for body, sizes in SIZES.items():
        for kind in KINDS:
            write_set(folder / f"{body}_{kind}-v2.hdf5", *sizes, without="next_observations" if kind == "medium" else "")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("HOME", str(home))
        yield home


def write_set(path: Path, observations: int, actions: int, without: str) -> None:
    rng = np.random.default_rng([*path.stem.encode()])
    s, cut = rng.normal(size=(41, observations)), np.arange(40) % 20 == 19
    arrays = {"observations": s[:-1], "next_observations": s[1:], "actions": rng.uniform(-1, 1, (40, actions))}
    write_hdf5(path, {**arrays, "rewards": rng.normal(size=40), "terminals": ~cut & cut, "timeouts": cut}, [without])


@pytest.fixture(scope="module")
def by_set(home: Path) -> dict[tuple[str, str], Job]:
    """The runs of one seed by spec and data set."""
    found = jobs_of(driver.resolve_suite_or_raise("d4rl"))
    return {(job.spec, job.data.name): job for job in found if job.question.seed == 0 and job.data is not None}


def numbers(job: Job, *names: str) -> list[float]:
    """The parameters of the algorithm that a run trains."""
    assert job.data is not None
    algorithm, _ = driver.resolve_or_raise(job.path, job.question.task, job.sets, job.data.own_name)
    return [algorithm.parameters[name].value for name in names]


def sets(job: Job, *paths: str) -> list[str]:
    """The settings of a run at these paths."""
    given = dict(text.split("=", 1) for text in job.sets)
    return [given.get(path, "") for path in paths]


def test_each_task_has_the_three_files_of_its_body_in_the_home(home: Path, by_set: dict[tuple[str, str], Job]) -> None:
    places = {(job.question.task, job.data.source) for job in by_set.values() if job.data is not None}
    tasks = {"halfcheetah": "HalfCheetah-v4", "hopper": "Hopper-v4", "walker2d": "Walker2d-v4"}
    folder = home / ".d4rl" / "datasets"
    assert places == {(tasks[body], str(folder / f"{body}_{kind}-v2.hdf5")) for body in SIZES for kind in KINDS}
    assert {job.data.missing for job in by_set.values() if job.data is not None} == {""}
    assert all(job.data.reference is not None for job in by_set.values() if job.data is not None)


def test_settings_of_a_set_reach_its_runs_alone(by_set: dict[tuple[str, str], Job]) -> None:
    def of(spec: str, *names: str) -> list[list[float]]:
        return [numbers(by_set[spec, f"{body}_{kind}-v2"], *names) for body in SIZES for kind in KINDS]

    assert of("dac", "rho") == [[0], [0], [0], [1.5], [1.5], [1.5], [1], [1], [1]]
    assert of("bdpo", "eta", "rho")[::3] == [[0.05, 0.5], [0.2, 2.0], [0.15, 1.0]]
    assert of("dtql", "alpha") == [[1], [5], [50], [5], [5], [20], [5], [5], [5]]
    assert of("rebrac", "actor_pull", "critic_pull")[3:6] == [[0.01, 0.001], [0.05, 0.5], [0.1, 0.01]]
    assert of("iql", "tau", "beta")[3:6] == [[0.7, 3], [0.7, 3], [0.5, 6]], "a block of the spec itself, by the file's name"
    thresholds = [sets(by_set["dac", f"{body}_medium_expert-v2"], "eta")[0] for body in SIZES]
    assert ["at_most = 0.1" in thresholds[0], "at_most = 0.05" in thresholds[1], thresholds[2]] == [True, True, ""]


def test_settings_of_networks_and_rates(by_set: dict[tuple[str, str], Job]) -> None:
    names = [f"{body}_{kind}-v2" for body in SIZES for kind in KINDS]
    for section in ("policy", "critic"):
        norms = [sets(by_set["dql", name], f"{section}.optimizer.clip_norm")[0] for name in names]
        assert list(map(float, norms)) == [9, 2, 7, 9, 4, 5, 1, 4, 5]
    decays = [bool(sets(by_set["dtql", name], "critic.optimizer")[0]) for name in names]
    assert decays == [name == "hopper_medium-v2" or name.startswith("walker2d") for name in names]
    members = [sets(by_set["bdpo", name], "critic.ensemble", "steps.ensemble") for name in names]
    assert [name for name, found in zip(names, members, strict=True) if found == ["20", "20"]] == ["hopper_medium-v2"]


def test_lengths_are_those_of_the_specs_and_a_budget_shortens_all_of_them(by_set: dict[tuple[str, str], Job]) -> None:
    lengths = {spec: job.question.steps for (spec, _), job in by_set.items()}
    millions = {"dql": 2.0, "dac": 2.0, "dtql": 1.05, "bdpo": 4.0, "qgpo": 1.6, "srpo": 4.5, "iql": 1.0, "td3_bc": 1.0}
    assert {spec: lengths[spec] / 1e6 for spec in millions} == millions
    assert {job.question.steps for job in jobs_of(driver.resolve_suite_or_raise("d4rl"), "smoke")} == {40}


def test_a_run_trains_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    train_in_this_process(monkeypatch)
    choice = ["--specs", "td3_bc", "--data", "hopper_medium-v2", "--seeds", "0", "--budget", "smoke"]
    assert cli.main(["suite", "run", "d4rl", *choice, "--jobs", "1"]) == 0
    (result,) = Store(Path("runs/suites/results.sqlite")).results()
    assert (result.question.task, result.data_name, result.outcome) == ("Hopper-v4", "hopper_medium-v2", "finished")
    assert [one.step for one in result.evaluations] == [20, 40]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.main(["suite", "plan", "d4rl", "--no-bench"]) == 0
    out = capsys.readouterr().out
    assert f'cannot run here: hopper_medium-v2: FRL0450 there is no file "{tmp_path}/.d4rl/' in out
    assert "data sets are made by: the package d4rl" in out
