"""Tasks of Ray: on this machine, or on a cluster whose nodes share the folder of runs or reach its URL.

Ray starts a task again when its worker or its node is lost; the run goes on from its last checkpoint.  When the driver ends,
Ray ends its workers, and each run writes a checkpoint before it follows.  A task has the name of its run, by which Ray's
dashboard and ``ray list tasks`` show it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from flowrl_dsl.suites.attempts import CRASHED, INTERRUPTED, Outcome
from flowrl_dsl.suites.errors import SuiteError, missing_library
from flowrl_dsl.suites.executors.base import Executor, Report
from flowrl_dsl.suites.places import Place, attempt, name_of

_RETRIES = 10
"""Lost workers and nodes that a run survives."""
_PATIENCE = 60
"""Seconds in which runs that are cancelled write their checkpoints."""


class Here(Executor):
    def execute(self, folders: Sequence[Place], report: Report) -> None:
        ray = _connected(self.resources.address)
        amounts = {"num_cpus": self.resources.cpus, "num_gpus": self.resources.gpus}
        _warn_of_waiting(ray.nodes(), {"CPU": self.resources.cpus, "GPU": self.resources.gpus})
        task = ray.remote(max_retries=_RETRIES, **amounts)(attempt)
        left = list(folders)
        waiting: dict[Any, Place] = {}
        try:
            while left or waiting:
                while left and len(waiting) < (self.resources.at_once or len(folders)):
                    folder = left.pop(0)
                    waiting[task.options(name=name_of(folder)).remote(folder)] = folder
                (done,), _ = ray.wait(list(waiting), num_returns=1)
                if not report(waiting.pop(done), _outcome(ray, done)):
                    break
        finally:
            for reference in waiting:
                ray.cancel(reference)
            if waiting:
                ray.wait(list(waiting), num_returns=len(waiting), timeout=_PATIENCE)
            ray.shutdown()


def _connected(address: str | None) -> Any:
    """The library, connected to a cluster, or with one that it starts on this machine."""
    try:
        import ray
    except ImportError as error:
        raise missing_library("ray", "ray") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SuiteError("FRL0509", f"cannot connect to the cluster {address or 'of this machine'}: {reason}") from error
    return ray


def _warn_of_waiting(nodes: Sequence[Any], needed: dict[str, float]) -> None:
    """Runs that no node is large enough for wait until one joins, which may be never."""
    sizes = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(all(size.get(kind, 0.0) >= amount for kind, amount in needed.items()) for size in sizes):
        asked = " and ".join(f"{amount:g} {kind}" for kind, amount in needed.items() if amount)
        print(f"no node of the cluster has {asked} for a run: runs wait until one joins", file=sys.stderr, flush=True)


def _outcome(ray: Any, reference: Any) -> Outcome:
    try:
        found: Outcome = ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return Outcome(INTERRUPTED)
    except ray.exceptions.RayError as error:
        return Outcome(CRASHED, str(error).splitlines()[0])
    return found
