"""Jobs of Slurm, by submitit; with the address ``local`` processes of this machine, as submitit starts them.

A job that Slurm warns of its time limit puts itself back in the queue.  One that is preempted may have no more than SIGTERM,
at which its run writes a checkpoint and ends: it is submitted again here, unless a user has cancelled it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowrl_dsl.suites.attempts import CRASHED, INTERRUPTED, Outcome
from flowrl_dsl.suites.errors import SuiteError, missing_library
from flowrl_dsl.suites.executors.base import Executor, Report, Resources
from flowrl_dsl.suites.places import Place, attempt

LOCAL = "local"
_LOGS = "submitit"
_NAME = "flowrl-dsl"
"""Of the jobs in the queue."""
_AT_ONCE = 256
"""Jobs of an array that Slurm runs at a time where `--jobs` does not limit them."""
_POLL = 1.0
_MINUTES = 24 * 60
"""The time limit of a job; one that reaches it, or is preempted, is submitted again and resumes its run."""
_MOST_LIMITS = 100
"""Time limits that a job may reach."""
_STILL_THERE, _CANCELLED = ("RUNNING", "COMPLETING"), "CANCELLED"
"""States of a job: it has returned and its end is not recorded yet; a user has ended it."""


class Here(Executor):
    def __init__(self, resources: Resources):
        super().__init__(resources)
        if resources.gpus != int(resources.gpus):
            hint = "--population trains the seeds of a spec on one accelerator"
            raise SuiteError("FRL0513", f"a job of Slurm has whole accelerators, not --gpus {resources.gpus:g}", hint)

    def execute(self, folders: Sequence[Place], report: Report) -> None:
        waiting = self._submitted(folders) if folders else {}
        try:
            while waiting:
                for job in [job for job in waiting if job.done() and job.state not in _STILL_THERE]:
                    folder, outcome = waiting.pop(job), _outcome(job)
                    if outcome.status == INTERRUPTED:
                        waiting |= self._submitted([folder])
                    elif not report(folder, outcome):
                        return
                time.sleep(_POLL if waiting else 0)
        finally:
            for job in waiting:
                job.cancel()

    def _submitted(self, folders: Sequence[Place]) -> dict[Any, Place]:
        """The jobs, each with the folder of its run; their logs are beside the runs."""
        try:
            import submitit
        except ImportError as error:
            raise missing_library("submitit", "slurm") from error
        address, first = self.resources.address, folders[0]
        logs = first.parents[2] if isinstance(first, Path) else self.resources.home
        cluster = LOCAL if address == LOCAL else "slurm"
        try:
            executor = submitit.AutoExecutor(folder=logs / _LOGS, cluster=cluster, slurm_max_num_timeout=_MOST_LIMITS)
        except RuntimeError as error:
            hint = "--address local runs the jobs on this machine, without Slurm"
            raise SuiteError("FRL0509", f"cannot submit to Slurm: {error}", hint) from error
        executor.update_parameters(**self._parameters(cluster))
        with executor.batch():
            jobs = [executor.submit(_Attempt(), folder) for folder in folders]
        return dict(zip(jobs, folders, strict=True))

    def _parameters(self, cluster: str) -> dict[str, Any]:
        given = self.resources
        found: dict[str, Any] = {"name": _NAME, "timeout_min": _MINUTES, "cpus_per_task": max(1, math.ceil(given.cpus))}
        # not named where none is asked for: a cluster may know no accelerators
        found |= {"gpus_per_node": int(given.gpus)} if given.gpus else {}
        if cluster != LOCAL:
            found |= {"slurm_array_parallelism": given.at_once or _AT_ONCE}
            found |= {"slurm_partition": given.address} if given.address else {}
        return found


class _Attempt:
    """A run as submitit calls it: a job that is preempted or out of time is submitted again."""

    def __call__(self, folder: Place) -> Outcome:
        return attempt(folder)

    def checkpoint(self, folder: Place) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, folder)


def _outcome(job: Any) -> Outcome:
    try:
        found: Outcome = job.result()
    except Exception as error:
        # submitit raises errors of its own and those of the job, of any kind
        return Outcome(CRASHED, str(error).splitlines()[-1] if str(error) else type(error).__name__)
    cancelled = found.status == INTERRUPTED and job.state.startswith(_CANCELLED)
    return Outcome(CRASHED, "its job was cancelled") if cancelled else found
