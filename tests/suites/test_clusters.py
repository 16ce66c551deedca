"""Suites on a cluster of Ray with several nodes on this machine, and by submitit: ``pytest -m cluster tests/suites``.

Workers, nodes and the driver are killed in mid-run; in the end every result is there once, with the bits of a lone run.
They need the extras ``ray`` and ``slurm`` and take some minutes, so that they are no part of the ordinary tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrl_dsl import driver
from flowrl_dsl.exits import RUN_FAILURE
from flowrl_dsl.suites.attempts import RUN, attempt
from flowrl_dsl.suites.jobs import Job, jobs_of
from flowrl_dsl.suites.running import Driver
from flowrl_dsl.suites.store import Store

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
SUITE = """suite cluster {
  specs  = [sac]
  tasks  = ["InvertedPendulum-v5"]
  seeds  = 4
  budget = short
  budget short { steps = 12_000  warmup = 500  batch = 16  evaluate_every = 4_000  episodes = 1 }
  policy { network = mlp([16]) }
  critic { network = mlp([16]) }
  group sound {}
  group unsound { seeds = 1  critic { optimizer = adam(1e30) } }
}
"""
"""Four runs with a checkpoint after 5 000 steps, and one that ends in values that are not finite."""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.flowrl"
    path.write_text(SUITE)
    return path


@pytest.fixture
def cluster() -> Iterator[Any]:
    utils = pytest.importorskip("ray.cluster_utils")
    made = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": True})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture
def small_disk(suite: Path) -> Iterator[Path]:
    """A disk of 1 MiB below the runs, too small for two of them; only a superuser may mount it."""
    disk = suite.parent / "out"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def start(suite: Path, *words: str) -> subprocess.Popen:
    """The command in a process of its own, with its files beside the suite."""
    command = [
        sys.executable,
        "-m",
        "flowrl_dsl.cli",
        "suite",
        "run",
        str(suite),
        "--out",
        str(suite.parent / "out"),
        *words,
    ]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=_hear_ctrl_c
    )


def _hear_ctrl_c() -> None:
    """A shell lets what it starts in the background ignore SIGINT, and so these tests and their commands."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(happens: Callable[[], Any], patience: float = 300.0) -> Any:
    end = time.monotonic() + patience
    while not (found := happens()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)
    return found


def workers(suite: Path) -> list[int]:
    """The processes that train runs of this suite, oldest first."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "flowrl_dsl.suites.worker" in words and any(word.startswith(str(suite.parent)) for word in words):
            found.append(int(path.parent.name))
    return sorted(found)


def trained(suite: Path) -> list[Path]:
    """Runs of this suite with a checkpoint."""
    return sorted((suite.parent / "out" / "runs").glob("*/*/*/run/checkpoints/step-000005000"))


def jobs(suite: Path) -> list[Job]:
    return jobs_of(driver.resolve_suite_or_raise(str(suite)))


def check_results(suite: Path, tmp_path: Path) -> None:
    """Every result once; one failure; the first run has the bits of one that nothing happened to."""
    made = Driver(suite.parent / "out", Store(suite.parent / "out" / "results.sqlite"))
    results, found = made.store.results(), jobs(suite)
    assert len(results) == len(found) == 5
    assert {result.question for result in results} == {job.question for job in found}
    assert sorted(result.outcome for result in results) == ["FRL0420", *["finished"] * 4]
    alone = Driver(tmp_path / "alone", made.store)
    first = found[0]
    assert attempt(alone._prepared(first)).status == "finished"
    ours, theirs = (of.folder(first) / RUN / "metrics.jsonl" for of in (made, alone))
    assert ours.read_bytes() == theirs.read_bytes()


def test_workers_and_nodes_are_lost_and_a_node_joins(cluster: Any, suite: Path, tmp_path: Path) -> None:
    state = pytest.importorskip("ray.util.state")
    command = start(suite, "--on", "ray", "--address", cluster.address)
    until(lambda: len(trained(suite)) >= 1)
    os.kill(workers(suite)[0], signal.SIGKILL)
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    cluster.add_node(num_cpus=1)
    out, _ = command.communicate(timeout=900)
    assert command.returncode == 0, out
    assert "failed with FRL0420, which is recorded" in out
    check_results(suite, tmp_path)
    assert {task.name for task in state.list_tasks(address=cluster.address)} == {job.folder for job in jobs(suite)}


def test_a_run_that_no_node_can_hold_waits_with_a_warning(cluster: Any, suite: Path) -> None:
    command = start(suite, "--on", "ray", "--address", cluster.address, "--cpus", "8")
    assert command.stdout is not None
    until(lambda: "no node of the cluster has 8 CPU for a run" in command.stdout.readline())
    assert command.poll() is None and workers(suite) == []
    command.kill()
    command.communicate()


def test_the_driver_is_killed_and_started_again(cluster: Any, suite: Path, tmp_path: Path) -> None:
    command = start(suite, "--on", "ray", "--address", cluster.address)
    until(lambda: len(trained(suite)) >= 1)
    command.kill()
    command.communicate()
    again = start(suite, "--on", "ray", "--address", cluster.address)
    out, _ = again.communicate(timeout=900)
    assert again.returncode == 0, out
    check_results(suite, tmp_path)


def test_a_disk_fills_and_gets_space(cluster: Any, suite: Path, small_disk: Path, tmp_path: Path) -> None:
    command = start(suite, "--on", "ray", "--address", cluster.address)
    out, _ = command.communicate(timeout=900)
    assert command.returncode == RUN_FAILURE and "error[FRL0502]" in out, out
    before = Store(small_disk / "results.sqlite").results()
    assert len(before) < 5 and {result.outcome for result in before} <= {"finished", "FRL0420"}
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    again = start(suite, "--on", "ray", "--address", cluster.address)
    out, _ = again.communicate(timeout=900)
    assert again.returncode == 0, out
    assert Store(small_disk / "results.sqlite").results()[: len(before)] == before
    check_results(suite, tmp_path)


def test_processes_of_submitit(suite: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    command = start(suite, "--on", "slurm", "--address", "local")
    out, _ = command.communicate(timeout=900)
    assert command.returncode == 0, out
    check_results(suite, tmp_path)


def test_the_local_driver_is_interrupted_and_started_again(suite: Path, tmp_path: Path) -> None:
    command = start(suite, "--jobs", "2")
    until(lambda: len(trained(suite)) >= 1)
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 130, out
    assert workers(suite) == []
    command = start(suite, "--jobs", "2")
    until(lambda: workers(suite))
    command.kill()
    until(lambda: not workers(suite))
    out, _ = start(suite, "--jobs", "2").communicate(timeout=900)
    assert "failed with FRL0420" in out or len(Store(suite.parent / "out" / "results.sqlite").results()) == 5, out
    check_results(suite, tmp_path)
