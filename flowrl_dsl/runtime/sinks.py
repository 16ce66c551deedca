"""Loggers besides metrics.jsonl: TensorBoard, and Weights & Biases if it is installed."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from flowrl_dsl.runtime import events, files
from flowrl_dsl.runtime.errors import RunError, require_extra
from flowrl_dsl.runtime.logs import Entry, quoted


class Sink(Protocol):
    """Receives the records of a run."""

    def write(self, record: Entry) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files, written by this thread, so a full disk is reported as an error of the run."""

    def __init__(self, folder: Path, step: int):
        """``step`` is that of the checkpoint from which the run continues: older records are in the folder."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._folder = folder
        with files.disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            events.cut(folder, step)
            self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}")
            # a TensorBoard that is running has read what was cut: this makes it forget all records from this step on
            self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    def write(self, record: Entry) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with files.disk(self._folder):
            for name, value in _numbers(record).items():
                self._write(Event(step=record["step"], summary=scalar(name, value)))
            self._writer.flush()

    def close(self) -> None:
        with files.disk(self._folder):
            self._writer.close()


class Wandb:
    """The extra ``flowrl-dsl[wandb]``."""

    def __init__(self, project: str, name: str, folder: Path, settings: dict[str, Any], records: Sequence[Entry]):
        """``records`` are the earlier ones of the run; those that Weights & Biases does not have yet are logged.

        Those are all of them where it is offline: each of its folders then contains the whole run.
        """
        require_extra("wandb", "wandb")  # a run may be resumed on another machine
        import wandb

        # one folder is one W&B run, also after a resume
        old = re.sub(r"[^\w-]", "-", f"{name}-{settings.get('created')}")
        identity = settings.get("wandb_id", old)
        try:
            self._run = wandb.init(project=project, name=name, id=identity, dir=folder, config=settings, resume="allow")
        except Exception as error:  # of many kinds: no key, no network, a project of someone else
            hint = f"`wandb login`, or WANDB_MODE=offline; then flowrl-dsl resume {quoted(folder)}"
            raise RunError("FRL0441", f"Weights & Biases cannot log this run: {error}", hint) from error
        for record in records:
            self.write(record)

    def write(self, record: Entry) -> None:
        # after a resume it has the records since the checkpoint already, and they are equal
        if record["step"] >= self._run.step:
            self._run.log(_numbers(record), step=record["step"])

    def close(self) -> None:
        self._run.finish()


class Calls:
    """Calls a function with each record; if it returns true, ``stop`` is called."""

    def __init__(self, function: Callable[[Entry], bool | None], stop: Callable[[], None]):
        self._function, self._stop = function, stop

    def write(self, record: Entry) -> None:
        if self._function(dict(record)):
            self._stop()

    def close(self) -> None:
        """Nothing is open."""


def _numbers(record: Entry) -> dict[str, float]:
    """The finite numbers of a record by kind and name."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float) and name != "step"}
    return {f"{record['kind']}/{name}": value for name, value in numbers.items() if math.isfinite(value)}
