"""The results of one run, as the store has them."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from flowrl_dsl.reading import read_regular
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.suites.jobs import Job, Question

FINISHED = "finished"
FAILURES = ("FRL0406", "FRL0420", "FRL0421")
"""Ends of a run that are a result of its algorithm: values of the task, an update or an action that are not finite."""
_LONGEST = 1 << 28


@dataclass(frozen=True)
class Evaluation:
    """Returns of the episodes of one evaluation, and the seconds of training before it; None where not recorded."""

    step: int
    return_mean: float
    return_std: float | None = None
    return_min: float | None = None
    return_max: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Result:
    """A run that has ended.  ``outcome`` is :data:`FINISHED` or the code of its failure.

    ``software`` are the versions of the packages that decide what a run computes, as JSON; ``machine`` describes the
    processor or accelerator.
    """

    spec: str
    question: Question
    sets: tuple[str, ...]
    software: str
    machine: str
    outcome: str
    updates: int
    updates_per_second: float | None
    recorded: str
    evaluations: tuple[Evaluation, ...] = field(repr=False)
    data_name: str = ""
    """The name of its data set in the suite that it was run for, which decides nothing."""

    @property
    def id(self) -> str:
        """A digest of all that decides the results: equal for the same run in two stores.

        That of a run without a data set is the same as before runs had one.
        """
        *asked, data = vars(self.question).values()
        parts = (*asked, *filter(None, [data]), self.software, self.machine)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]

    @property
    def place(self) -> str:
        """The task in tables, with the data set where there is one, as :attr:`Job.place`."""
        return f"{self.question.task}, {self.data_name}" if self.data_name else self.question.task

    @property
    def failed(self) -> bool:
        return self.outcome != FINISHED


def result_of(job: Job, run: Path, outcome: str) -> Result:
    """The results in the folder of a run that has ended.  Raises FRL0411 for one that `train` did not write."""
    from flowrl_dsl.runtime.logs import RunFolder

    folder = RunFolder(run)
    records = folder.records()
    updates = max((int(r["updates"]) for r in records if r["kind"] == "train"), default=0)
    rate = _updates_per_second(run)
    evaluations = tuple(_evaluation(record, job, rate) for record in records if record["kind"] == "eval")
    software = json.dumps(folder.said("versions") | {"python": folder.said("python")}, sort_keys=True)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    measured = (machine(folder.said("device")), outcome, updates, rate, now, evaluations)
    return Result(job.spec, job.question, job.sets, software, *measured, "" if job.data is None else job.data.name)


def _evaluation(record: dict[str, Any], job: Job, rate: float | None) -> Evaluation:
    mean, std, low, high = (float(record[f"return_{name}"]) for name in ("mean", "std", "min", "max"))
    step = int(record["step"])
    seconds = None if rate is None else seconds_before(step, job.warmup, job.question.steps, job.updates / rate)
    return Evaluation(step, mean, std, low, high, seconds)


def seconds_before(step: int, warmup: int, steps: int, whole: float) -> float:
    """Seconds of training before a step of a run whose updates take ``whole`` seconds and happen after the warm-up."""
    return round(max(step - warmup, 0) / max(steps - warmup, 1) * whole, 3)


def _updates_per_second(run: Path) -> float | None:
    try:
        lines = [json.loads(line) for line in read_regular(run / "timing.jsonl", _LONGEST).splitlines()]
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError("FRL0411", f"{run / 'timing.jsonl'} is not one that `train` wrote: {error}") from error
    rates = [rate for line in lines if (rate := line.get("updates_per_second"))]
    return median(rates) if rates else None


def machine(device: str) -> str:
    """A processor or accelerator in words, without the name of the machine."""
    return f"{platform.machine()} {_processor() if device == 'cpu' else device}".strip()


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def first_recorded(results: Sequence[Result]) -> dict[Question, Result]:
    """One result for each question: of repetitions on other machines or with other software the first one counts."""
    found: dict[Question, Result] = {}
    for result in sorted(results, key=lambda one: (one.recorded, one.id)):
        found.setdefault(result.question, result)
    return found
