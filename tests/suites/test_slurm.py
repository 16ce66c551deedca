"""Suites by the commands of Slurm, for which a script stands in: ``pytest -m cluster tests/suites``, extra ``slurm``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flowrl_dsl.exits import RUN_FAILURE
from flowrl_dsl.suites.attempts import LOG
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


@pytest.mark.parametrize("sent", ["TERM", "USR2"])
def test_a_job_is_preempted_or_reaches_its_time_limit(state: Path, suite: Path, tmp_path: Path, sent: str) -> None:
    """SIGTERM alone, with which a job ends, and the signal before the limit, at which it puts itself back in the queue."""
    command = start(suite, "--on", "slurm", "--address", "short", "--jobs", "2")
    (run,) = until(lambda: trained(suite))
    before = (state / "process-1_0").read_text()
    signal_all(state, "1_0", sent)
    out, _ = command.communicate(timeout=900)
    assert command.returncode == 0, out
    assert "failed with FRL0420, which is recorded" in out
    check_results(suite, tmp_path)
    assert (state / "script-2").exists() == (sent == "TERM")
    assert ((state / "process-1_0").read_text() != before) == (sent == "USR2")
    assert "interrupted at step" in (run.parents[2] / LOG).read_text(), "it has written a checkpoint"
    text = (state / "script-1").read_text()
    assert "--job-name=flowrl-dsl" in text and "--partition=short" in text and "--array=0-4%2" in text
    assert "--cpus-per-task=1" in text and "gpus" not in text


def test_a_job_that_a_user_cancels_is_not_submitted_again(state: Path, suite: Path) -> None:
    command = start(suite, "--on", "slurm", "--seeds", "0", "1")
    until(lambda: len(trained(suite)) >= 1)
    subprocess.run(["scancel", "1_0"], check=True)
    out, _ = command.communicate(timeout=900)
    assert command.returncode == RUN_FAILURE and "its job was cancelled" in out, out
    assert not (state / "script-2").exists()
    assert len(Store(suite.parent / "out" / "results.sqlite").results()) == 2
