"""Suites by the commands of Slurm, for which a script stands in: ``pytest -m cluster tests/suites``, extra ``slurm``."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.exits import RUN_FAILURE
from flowrl_dsl.suites.store import Store
from tests.suites.fake_slurm import install, signal_all
from tests.suites.test_clusters import check_results, start, suite, trained, until

pytestmark = pytest.mark.cluster
pytest.importorskip("submitit")
__all__ = ["suite"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands are on the path; the folder with the states of jobs."""
    for name, value in install(tmp_path / "slurm").items():
        monkeypatch.setenv(name, value)
    return tmp_path / "slurm" / "state"


def test_jobs_are_preempted_and_reach_their_time_limit(state: Path, suite: Path, tmp_path: Path) -> None:
    """SIGTERM alone, with which a job ends, and the signal before the limit, at which it puts itself back in the queue."""
    command = start(suite, "--on", "slurm", "--address", "short", "--jobs", "2")
    until(lambda: trained(suite))
    signal_all(state, "1_0", "TERM")
    until(lambda: (state / "script-2").exists())
    until(lambda: len(trained(suite)) >= 2)
    job = next(path for path in sorted(state.glob("job-1_*")) if path.read_text() == "RUNNING").name.removeprefix("job-")
    before = (state / f"process-{job}").read_text()
    signal_all(state, job, "USR2")
    until(lambda: (state / f"process-{job}").read_text() not in (before, ""))
    out, _ = command.communicate(timeout=900)
    assert command.returncode == 0, out
    assert "failed with FRL0420, which is recorded" in out
    check_results(suite, tmp_path)
    logs = [path.read_text() for path in (suite.parent / "out" / "runs").glob("*/*/*/log.txt")]
    assert sum("interrupted at step" in log for log in logs) == 2, "both have written a checkpoint"
    text = (state / "script-1").read_text()
    assert "--job-name=flowrl-dsl" in text and "--partition=short" in text and "--array=0-4%2" in text
    assert "--cpus-per-task=1" in text and "gpus" not in text


def test_a_job_that_a_user_cancels_is_not_submitted_again(state: Path, suite: Path) -> None:
    command = start(suite, "--on", "slurm", "--seeds", "0", "1")
    until(lambda: len(trained(suite)) >= 1)
    signal_all(state, "1_0", "TERM")
    (state / "cancelled-1_0").touch()
    out, _ = command.communicate(timeout=900)
    assert command.returncode == RUN_FAILURE and "its job was cancelled" in out, out
    assert not (state / "script-2").exists()
    assert len(Store(suite.parent / "out" / "results.sqlite").results()) == 2
