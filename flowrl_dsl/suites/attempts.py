"""One run in a process of its own, on one thread, from wherever it stands to its end.

A folder of a job has ``job.json`` (what to train), ``run`` (the run folder), ``log.txt`` and, at the end, ``outcome.json``.
A process that is killed leaves no outcome: the run is resumed from its last checkpoint, here or on another machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import files

JOB, RUN, LOG, OUTCOME = "job.json", "run", "log.txt", "outcome.json"
ATTEMPTS = 4
"""How often a run is started before its process is considered to die of something that stays."""
INTERRUPTED, CRASHED = "interrupted", "crashed"
DISK = "FRL0410"
NO_SPACE = 28
"""Exit code of a process that could not even write its outcome."""
_MOST_BYTES = 1 << 20
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
"""Two runs on a thread each use two cores better than one run on two threads, and several may share an accelerator."""


@dataclass(frozen=True)
class Outcome:
    """``status`` is ``finished``, ``interrupted``, ``crashed`` or the code of the error that ended the run."""

    status: str
    message: str = ""


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Record how a run ended."""
    with files.disk(folder):
        files.replace(folder / OUTCOME, json.dumps(asdict(outcome)).encode())


def read_outcome(folder: Path) -> Outcome | None:
    """How a run ended; None where it has not."""
    try:
        return outcome_of(read_regular(folder / OUTCOME, _MOST_BYTES))
    except (OSError, Unreadable):
        return None


def outcome_of(text: bytes) -> Outcome | None:
    """The outcome that a file holds; None for any other text."""
    try:
        return Outcome(**json.loads(text))
    except (ValueError, TypeError):
        return None


def attempt(folder: Path, stop: Event | None = None) -> Outcome:
    """Train the run of a folder to its end; a process that dies is started again, and the run resumed.

    Once ``stop`` is set, the process is asked to write a checkpoint and end.
    """
    code = 0
    for _ in range(ATTEMPTS):
        try:
            code = _process(folder, stop or Event())
        except OSError as error:
            return Outcome(DISK, f"{folder / LOG}: {error.strerror}")
        if (outcome := read_outcome(folder)) is not None:
            return outcome
        if code == NO_SPACE:
            return Outcome(DISK, f"no space left below {folder}")
        if code == 128 + signal.SIGINT or (stop is not None and stop.is_set()):
            return Outcome(INTERRUPTED)
    return Outcome(CRASHED, f"its process ended {ATTEMPTS} times, the last time with {code}: {_last_line(folder / LOG)}")


def _process(folder: Path, stop: Event) -> int:
    """Start the worker and wait for it; returns its exit code, negative for the signal that ended it."""
    command = [sys.executable, "-m", "flowrl_dsl.suites.worker", str(folder), str(os.getpid())]
    with open(folder / LOG, "ab") as log:
        # in a session of its own: Ctrl-C reaches the driver alone, which asks each worker once
        worker = subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while not stop.is_set():
                with suppress(subprocess.TimeoutExpired):
                    return worker.wait(timeout=0.2)
        finally:
            # stopped, or cancelled by an exception: the run writes a checkpoint
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
                worker.wait()
        return worker.returncode


def _last_line(log: Path) -> str:
    with suppress(OSError, IndexError):
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-1]
    return "no output"
