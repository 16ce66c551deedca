"""Processes on this machine, as many at a time as it has cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event

from flowrl_dsl.suites.attempts import INTERRUPTED, Outcome
from flowrl_dsl.suites.executors.base import Executor, Report
from flowrl_dsl.suites.places import Place, attempt


class Here(Executor):
    reads = ()

    def execute(self, folders: Sequence[Place], report: Report) -> None:
        stop = Event()
        with ThreadPoolExecutor(self.resources.at_once or cores()) as pool:
            waiting: dict[Future[Outcome], Place] = {pool.submit(_unless_stopped, one, stop): one for one in folders}
            try:
                for future in as_completed(waiting):
                    outcome = future.result()
                    if not (stop.is_set() and outcome.status == INTERRUPTED) and not report(waiting[future], outcome):
                        stop.set()
            finally:
                stop.set()


def _unless_stopped(folder: Place, stop: Event) -> Outcome:
    return Outcome(INTERRUPTED) if stop.is_set() else attempt(folder, stop)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
