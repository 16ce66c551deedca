"""The process of one run, or of a population: ``python -m flowrl_dsl.suites.worker FOLDER PARENT``.

It ends with the process that started it, after a checkpoint, so that a killed driver leaves nothing behind that would hold
the run folder when it is started again.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from flowrl_dsl import resuming, runs
from flowrl_dsl.diagnostics import DiagnosticError, render_text
from flowrl_dsl.exits import INTERRUPTED, OK, RUN_FAILURE
from flowrl_dsl.reading import read_regular
from flowrl_dsl.runtime.errors import Interrupted, RunError, out_of_memory
from flowrl_dsl.suites.attempts import DISK, JOB, NO_SPACE, RUN, Outcome, read_outcome, write_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.results import FINISHED

if TYPE_CHECKING:
    from flowrl_dsl.runtime.logs import RunFolder

_MOST_BYTES = 1 << 20
_HELD = "FRL0415"
"""Another process holds the run folder: one whose driver has just died ends within seconds."""
_PATIENCE = 60


def main(folder: Path, parent: int) -> int:
    """Train or resume the run, and record its outcome; an interrupted run has none, nor one on a disk without space."""
    Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        return _recorded(folder)
    except RunError as error:
        if error.code != DISK:
            raise
        return NO_SPACE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return NO_SPACE


def _recorded(folder: Path) -> int:
    try:
        _train(folder)
    except (Interrupted, KeyboardInterrupt):
        return INTERRUPTED
    except DiagnosticError as error:
        return _ended(folder, error)
    except Exception as error:
        found = out_of_memory(error)
        if found is None:
            raise
        return _ended(folder, found)
    write_outcome(folder, Outcome(FINISHED))
    return OK


def _ended(folder: Path, error: DiagnosticError) -> int:
    print(render_text(error.diagnostics, {}), flush=True)
    first = error.diagnostics[0]
    write_outcome(folder, Outcome(first.code, first.message))
    return RUN_FAILURE


def _job(folder: Path) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(read_regular(folder / JOB, _MOST_BYTES))
    return job


def _members(folder: Path) -> dict[str, Path]:
    """The folders of the members of a population, by name; none where the folder is that of a single run."""
    return {name: Path(place) for name, place in _job(folder).get("members", {}).items()}


def _train(folder: Path) -> None:
    for _ in range(_PATIENCE):
        try:
            return _once(folder)
        except RunError as error:
            if error.code != _HELD:
                raise
            time.sleep(1)
    return _once(folder)


def _once(folder: Path) -> None:
    """From the last checkpoint if the run has begun; a run that has lost all of them begins again."""
    if members := _members(folder):
        return _together(members)
    found, prepared = _begun(folder)
    runs.run(prepared, found)


def _together(members: Mapping[str, Path]) -> None:
    """The members of a population that have no outcome, each from where it stands; each has an outcome of its own."""
    from flowrl_dsl import populations

    found: dict[str, tuple[RunFolder, runs.PreparedRun]] = {}
    alike: runs.PreparedRun | None = None
    for name, folder in members.items():
        if read_outcome(folder) is None:
            found[name] = _begun(folder, alike)
            alike = found[name][1]
    failures = populations.together(found) if found else {}
    for name in found:
        first = failures[name].diagnostics[0] if name in failures else None
        write_outcome(members[name], Outcome(FINISHED) if first is None else Outcome(first.code, first.message))


def _begun(folder: Path, alike: runs.PreparedRun | None = None) -> tuple[RunFolder, runs.PreparedRun]:
    """The run of a folder and how it goes on; ``alike`` is one that differs in its seed alone."""
    found, prepared = _found(folder, alike)
    job = _job(folder)
    if "mirror" not in job:
        return found, prepared
    from flowrl_dsl.suites.places import mirror_of
    from flowrl_dsl.suites.remote import Remote

    home = folder.parents[len(Path(job["name"]).parts) - 1]
    return found, replace(prepared, saved=mirror_of(home, Remote(job["mirror"]), job["name"]).push)


def _found(folder: Path, alike: runs.PreparedRun | None) -> tuple[RunFolder, runs.PreparedRun]:
    """The run of a folder that has begun, or a new one."""
    from flowrl_dsl.runtime.logs import RunFolder

    run = folder / RUN
    if (run / "run.json").exists():
        found = RunFolder(run)
        return found, resuming.prepare(found, None, restart=True)
    job = _job(folder)
    arguments = runs.TrainArguments(job["spec"], job["task"], job["seed"], tuple(job["sets"]), out=run, data=job.get("data"))
    if alike is None or not alike.contents:
        prepared = runs.prepare(arguments)
        _check_data(job, prepared)
    else:
        prepared = replace(alike, settings=replace(alike.settings, seed=job["seed"]))
    return runs.new_folder(arguments, prepared), prepared


def _check_data(job: dict[str, Any], prepared: runs.PreparedRun) -> None:
    """Raise FRL0510 where the data set is another one here than where the suite was started."""
    if prepared.data is not None and prepared.data.sha256 != job["sha256"]:
        here, there = prepared.data.sha256, job["sha256"]
        message = f"{prepared.data.source} has the digest {here} here, and the suite was started with {there}"
        raise SuiteError("FRL0510", message, "copy the data set of the machine that started the suite, or start it again")


def _follow(parent: int) -> None:
    """End this process, as Ctrl-C does, when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    exit_code = main(Path(sys.argv[1]), int(sys.argv[2]))
    # on a full disk there is no space for the rest of the log, for which Python would leave with another code
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(exit_code)
