"""Runs at a URL: whole versions whatever is killed, exact resumption on another machine, and messages for what is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrl_dsl import cli, runs
from flowrl_dsl import driver as pipeline
from flowrl_dsl.suites import attempts, places, remote, worker
from flowrl_dsl.suites.attempts import CRASHED, RUN, Outcome, attempt, read_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.mirror import INDEX, OBJECTS, Mirror
from flowrl_dsl.suites.places import AtUrl, Away, home_of, name_of
from flowrl_dsl.suites.remote import Remote
from flowrl_dsl.suites.running import Driver
from flowrl_dsl.suites.store import Store
from tests.runtime.toy_program import ToyProgram
from tests.suites.samples import jobs, suite_file
from tests.suites.test_attempts import when
from tests.suites.test_populations import LONG, soon
from tests.suites.test_running import ONE

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def place() -> Iterator[Remote]:
    """An empty folder in the memory of this process."""
    yield Remote("memory://bucket/runs")
    fsspec.filesystem("memory").store.clear()


def machine(folder: Path, place: Remote) -> Mirror:
    return Mirror(place, folder / RUN, folder / "mirrored.json")


def write(folder: Path, texts: dict[str, str]) -> None:
    """The files of a run folder; those that are not named are removed."""
    shutil.rmtree(folder / RUN, ignore_errors=True)
    for name, text in texts.items():
        path = folder / RUN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder / RUN)): p.read_text() for p in sorted((folder / RUN).rglob("*")) if p.is_file()}


OLD = {"run.json": "{}", "metrics.jsonl": "1", "checkpoints/step-1/state.npz": "one", "checkpoints/replay/rows": "r"}
NEW = {"run.json": "{}", "metrics.jsonl": "12", "checkpoints/step-2/state.npz": "two", "checkpoints/replay/rows": "r"}


def test_a_version_is_fetched_as_it_was_pushed_and_old_contents_go(place: Remote, tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    assert not machine(there, place).fetch() and not (there / RUN).exists()
    write(here, OLD | {"lock": "", ".writing-x": "half"})
    machine(here, place).push()
    assert machine(there, place).fetch() and contents(there) == OLD
    write(here, NEW)
    machine(here, place).push()
    assert machine(there, place).fetch() and contents(there) == NEW
    kept = {path for path in fsspec.filesystem("memory").store if OBJECTS in path}
    assert len(kept) == len(NEW), "contents of the version before are removed"
    copy = tmp_path / "c"
    assert machine(copy, place).copy(without="checkpoints") and [*contents(copy)] == ["metrics.jsonl", "run.json"]


class Lost(BaseException):
    """The machine is gone: nothing of it runs any more."""


CHANGES = ("pipe_file", "mv", "rm_file", "makedirs")


def lost_after(left: int, patch: pytest.MonkeyPatch) -> None:
    """The machine is lost at a change of the place, of a file when half of it is written."""
    system, remaining = type(fsspec.filesystem("memory")), [left]

    def changing(name: str):
        plain = getattr(system, name)

        def change(self: object, path: str, *rest: bytes, **options: object) -> object:
            remaining[0] -= 1
            if remaining[0] >= 0:
                return plain(self, path, *rest, **options)
            if name == "pipe_file":
                plain(self, path, rest[0][: len(rest[0]) // 2])
            raise Lost

        return change

    for name in CHANGES:
        patch.setattr(system, name, changing(name))


def test_a_machine_lost_at_any_change_leaves_the_version_before_or_the_new_one(
    place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    lost = True
    while lost:
        fsspec.filesystem("memory").store.clear()
        here, there = tmp_path / f"{len(seen)}-a", tmp_path / f"{len(seen)}-b"
        write(here, OLD)
        machine(here, place).push()
        write(here, NEW)
        with monkeypatch.context() as patch:
            lost_after(len(seen), patch)
            try:
                machine(here, place).push()
                lost = False
            except Lost:
                pass
        assert machine(there, place).fetch() and contents(there) in (OLD, NEW)
        seen.append(contents(there) == NEW)
        # the same machine comes back: it has what it was about to leave, and leaves it now
        assert machine(here, place).fetch() and contents(here) == NEW
        machine(here, place).push()
        assert machine(there, place).fetch() and contents(there) == NEW
    # two new contents, the index and its move, which has two changes; then two old contents are removed
    assert seen == sorted(seen) and seen.count(False) == 4 and seen.count(True) == 4


def test_a_machine_that_another_one_has_overtaken_stops(place: Remote, tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    write(here, OLD)
    machine(here, place).push()
    machine(there, place).fetch()
    write(there, NEW)
    machine(there, place).push()
    with pytest.raises(SuiteError) as caught:
        machine(here, place).push()
    assert caught.value.code == "FRL0512"
    assert machine(here, place).fetch() and contents(here) == NEW
    machine(here, place).push()


@pytest.mark.parametrize("index", ["{", f'{{"version": "a", "files": {{"../out": "{"a" * 64}"}}}}', "[]"])
def test_an_index_is_data(place: Remote, tmp_path: Path, index: str) -> None:
    place.write(INDEX, index.encode())
    with pytest.raises(SuiteError) as caught:
        machine(tmp_path, place).fetch()
    assert caught.value.code == "FRL0511" and [*tmp_path.iterdir()] == []


def test_contents_that_are_not_those_of_the_index_are_refused(place: Remote, tmp_path: Path) -> None:
    write(tmp_path / "a", OLD)
    machine(tmp_path / "a", place).push()
    memory = fsspec.filesystem("memory")
    memory.pipe_file(next(path for path in memory.store if OBJECTS in path), b"else")
    with pytest.raises(SuiteError) as caught:
        machine(tmp_path / "b", place).fetch()
    assert caught.value.code == "FRL0511" and not (tmp_path / "b" / RUN).exists()


# --------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("url", "code"),
    [("nope://bucket/runs", "FRL0511"), ("needs://bucket/runs", "FRL0505"), ("dir::file:///proc/runs", "FRL0511")],
)
def test_places_that_cannot_be_used_have_a_code(
    url: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remote, "_PAUSE", 0.0)
    fsspec.register_implementation("needs", "no_such_package.of_mine.System", clobber=True)
    assert cli.main(["suite", "run", str(suite_file(tmp_path, ONE)), "--out", url]) == 3
    assert f"error[{code}]" in capsys.readouterr().err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    remote._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SuiteError) as caught:
        Remote("memory://x").read("y")
    assert caught.value.code == "FRL0505" and "flowrl-dsl[remote]" in caught.value.diagnostics[0].notes[0]


def test_trouble_of_a_network_may_pass(place: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waited.append)
    system = type(fsspec.filesystem("memory"))
    plain, answers = system.cat_file, iter([TimeoutError("slow"), ConnectionError("reset")])

    def cat_file(self: object, path: str, **options: object) -> bytes:
        for error in answers:
            raise error
        found: bytes = plain(self, path, **options)
        return found

    place.write("a", b"b")
    monkeypatch.setattr(system, "cat_file", cat_file)
    assert place.read("a") == b"b" and waited == [1.0, 10.0]


def test_urls_are_told_from_folders(tmp_path: Path) -> None:
    assert isinstance(home_of("s3://bucket/runs", tmp_path), AtUrl)
    assert isinstance(home_of("dir::file:///x", tmp_path), AtUrl)
    assert not isinstance(home_of("runs/suites", tmp_path), AtUrl)


# -------------------------------------------------------------------------------------------------------------- suites


def in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Attempts are made in this process, with a program that compiles at once."""

    def attempt(folder: Path, stop: object) -> Outcome:
        worker.main(folder, 0)
        outcome = read_outcome(folder)
        assert outcome is not None
        return outcome

    patch.setattr(attempts, "attempt", attempt)
    patch.setattr(worker, "_follow", lambda parent: None)
    patch.setattr(runs, "draw_curve", lambda *_: False)
    patch.setattr(pipeline, "build_program", lambda algorithm, *sizes, **_: ToyProgram(*sizes))


def test_a_suite_at_a_url_as_a_user_runs_it(
    place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """What the URL holds is enough for a driver without the local copies."""
    monkeypatch.chdir(tmp_path)
    in_this_process(monkeypatch)
    path, url, scratch = suite_file(tmp_path, ONE), "memory://bucket/suite", tmp_path / "scratch"
    asked = ("suite", "run", str(path), "--out", url, "--jobs", "1", "--population", "--scratch", str(scratch))
    assert cli.main([*asked]) == 0
    store = tmp_path / "runs/suites/at/memory_bucket_suite/results.sqlite"
    results = Store(store).results()
    assert [one.question for one in results] == [job.question for job in jobs(tmp_path, ONE)]
    assert not [p for p in scratch.rglob("*") if p.is_file()], "nothing is left where it was trained"
    assert not [*store.parent.rglob("checkpoints")], "copies have no checkpoints"
    shutil.rmtree(tmp_path / "runs")
    capsys.readouterr()
    assert cli.main(["suite", "status", str(path), "--out", url]) == 0
    assert "begun: sac on Pendulum-v1, seed 0, step 300 of 300" in capsys.readouterr().out
    assert cli.main([*asked]) == 0
    assert "2 runs, of which 2 are in" in capsys.readouterr().out
    assert [one.evaluations for one in Store(store).results()] == [one.evaluations for one in results]


def test_a_run_has_one_name_in_a_folder_and_at_a_url(place: Remote, tmp_path: Path) -> None:
    (job, *_) = jobs(tmp_path, ONE)
    here = Driver(tmp_path, Store(tmp_path / "s"))
    away = Driver(tmp_path, Store(tmp_path / "s"), AtUrl(tmp_path / "copies", place.url))
    assert name_of(here._prepared(job)) == name_of(away._prepared(job)) == job.folder
    together = [driver.home.begin_together("sac/Pendulum-v1/x-seeds0-1", {}) for driver in (here, away)]
    assert [*map(name_of, together)] == ["sac/Pendulum-v1/x-seeds0-1"] * 2


def test_a_spec_of_the_driver_alone_travels_with_its_run(place: Remote, tmp_path: Path) -> None:
    (tmp_path / "mine.flowrl").write_text('algorithm mine extends "sac.flowrl" { train { batch = 8 } }')
    (job, *_) = jobs(tmp_path, ONE.replace("[sac]", '["mine.flowrl"]'))
    away = Driver(tmp_path, Store(tmp_path / "s"), AtUrl(tmp_path / "copies", place.url, str(tmp_path / "x")))._prepared(job)
    assert isinstance(away, Away)
    (tmp_path / "mine.flowrl").unlink()
    said = away._localised(job.folder, places._job_at(Remote(away.url), job.folder))
    algorithm, _ = pipeline.resolve_or_raise(said["spec"], "Pendulum-v1", tuple(said["sets"]))
    assert algorithm.name == "mine"


def test_a_lost_machine_is_replaced_and_the_run_has_the_bits_of_a_lone_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker and all files of its machine are lost after the first checkpoint; another machine goes on from the URL."""
    (job, *_) = jobs(tmp_path, LONG)
    url = f"file://{tmp_path}/bucket"
    driver = Driver(tmp_path / "home", Store(tmp_path / "results.sqlite"), home_of(url, tmp_path, str(tmp_path / "first")))
    first = driver._prepared(job)
    assert isinstance(first, Away)
    started = soon(monkeypatch)
    at_url = tmp_path / "bucket" / "runs" / job.folder
    with monkeypatch.context() as dying:
        dying.setattr(Away, "_leave", lambda *_: None)
        dying.setattr(attempts, "ATTEMPTS", 1)
        when(at_url / RUN / INDEX, lambda: os.kill(started[0].pid, signal.SIGKILL))
        assert first.attempt().status == CRASHED
    shutil.rmtree(tmp_path / "first")
    second = Away(first.url, first.name, str(tmp_path / "second"))
    assert second.attempt() == Outcome("finished") and len(started) == 2
    assert driver.home.outcome(job.folder) == Outcome("finished") and (at_url / "log.txt").exists()
    alone = Driver(tmp_path / "alone", Store(tmp_path / "alone.sqlite"))
    lone, ours = alone._prepared(job), driver.home.run(job.folder)
    assert isinstance(lone, Path) and attempt(lone) == Outcome("finished")
    assert (ours / "metrics.jsonl").read_bytes() == (lone / RUN / "metrics.jsonl").read_bytes()
    assert "resume" in (at_url / "log.txt").read_text() and not (tmp_path / "second").joinpath(first.name).exists()
