"""Loggers besides metrics.jsonl: TensorBoard, and Weights & Biases if it is installed."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Protocol

from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.logs import Entry


class Sink(Protocol):
    """Receives the records of a run."""

    def write(self, record: Entry) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files, written by this thread, so a full disk is reported as an error of the run."""

    def __init__(self, folder: Path, step: int):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._folder = folder
        with files.disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}")
            # makes TensorBoard hide records that a killed run wrote after the checkpoint
            self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    def write(self, record: Entry) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with files.disk(self._folder):
            for name, value in record.items():
                if isinstance(value, int | float) and name != "step":
                    summary = scalar(f"{record['kind']}/{name}", value)
                    self._write(Event(step=record["step"], summary=summary))
            self._writer.flush()

    def close(self) -> None:
        with files.disk(self._folder):
            self._writer.close()


class Wandb:
    """The extra ``flowrl-dsl[wandb]``."""

    def __init__(self, project: str, name: str, folder: Path, settings: dict[str, Any]):
        import wandb

        # one folder is one W&B run, also after a resume
        identity = re.sub(r"[^\w-]", "-", f"{name}-{settings['created']}")
        self._run = wandb.init(project=project, name=name, id=identity, dir=folder, config=settings, resume="allow")

    def write(self, record: Entry) -> None:
        values = {f"{record['kind']}/{k}": v for k, v in record.items() if isinstance(v, int | float)}
        self._run.log(values, step=record["step"])

    def close(self) -> None:
        self._run.finish()
