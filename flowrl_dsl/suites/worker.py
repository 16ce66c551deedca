"""The process of one run: ``python -m flowrl_dsl.suites.worker FOLDER PARENT``.

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
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from flowrl_dsl import resuming, runs
from flowrl_dsl.diagnostics import DiagnosticError, render_text
from flowrl_dsl.exits import INTERRUPTED, OK, RUN_FAILURE
from flowrl_dsl.reading import read_regular
from flowrl_dsl.runtime.errors import Interrupted, RunError, out_of_memory
from flowrl_dsl.suites.attempts import DISK, JOB, NO_SPACE, RUN, Outcome, write_outcome
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.results import FINISHED

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
    run = folder / RUN
    if (run / "run.json").exists():
        resuming.resume(run, restart=True)
        return
    job = json.loads(read_regular(folder / JOB, _MOST_BYTES))
    arguments = runs.TrainArguments(job["spec"], job["task"], job["seed"], tuple(job["sets"]), out=run, data=job.get("data"))
    prepared = runs.prepare(arguments)
    _check_data(job, prepared)
    runs.run(prepared, runs.new_folder(arguments, prepared))


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
