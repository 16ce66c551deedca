"""Runs in a bucket behind the protocol of S3, which moto serves on this machine: ``pytest -m cluster tests/suites``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowrl_dsl.suites.results import Result
from flowrl_dsl.suites.store import Store
from tests.suites.test_clusters import start, until, workers

pytestmark = pytest.mark.cluster
SUITE = """suite away {
  specs  = [td3]
  tasks  = ["InvertedPendulum-v5"]
  seeds  = 1
  budget = short
  budget short { steps = 12_000  warmup = 500  batch = 16  evaluate_every = 4_000  episodes = 1 }
  policy { network = mlp([16]) }
  critic { network = mlp([16]) }
}
"""
"""A run with a checkpoint after 5 000 steps."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, and its file system."""
    server, s3fs = pytest.importorskip("moto.server"), pytest.importorskip("s3fs")
    served = server.ThreadedMotoServer(port=0)
    served.start()
    host, port = served.get_host_and_port()
    keys = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in {**keys, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": host, "no_proxy": host}.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(use_listings_cache=False)
    files.mkdir("bucket")
    yield files
    served.stop()


def result(folder: Path) -> Result:
    """The one result of the only store below a folder."""
    (path,) = folder.rglob("results.sqlite")
    (found,) = Store(path).results()
    return found


def test_a_killed_run_goes_on_from_the_bucket_on_another_machine(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, alone = tmp_path / "away", tmp_path / "alone"
    for folder in (away, alone):
        folder.mkdir()
        (folder / "away.flowrl").write_text(SUITE)
    monkeypatch.chdir(away)
    words = ("--jobs", "1", "--out", "s3://bucket/runs", "--scratch")
    command = start(away / "away.flowrl", *words, str(away / "first"))
    until(lambda: bucket.glob("bucket/runs/runs/**/index.json"))
    command.kill()
    command.communicate()
    until(lambda: not workers(away / "away.flowrl"))
    shutil.rmtree(away / "first")
    again = start(away / "away.flowrl", *words, str(away / "second"))
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0, out
    lone = start(alone / "away.flowrl", "--jobs", "1")
    assert lone.wait(timeout=300) == 0
    ours, theirs = result(away), result(alone)
    assert ours.question == theirs.question
    curves = [[(one.step, one.return_mean) for one in found.evaluations] for found in (ours, theirs)]
    assert curves[0] == curves[1] and [step for step, _ in curves[0]] == [4_000, 8_000, 12_000]
