"""The price of a suite before it runs: updates, hours and disk, measured by short trainings on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowrl_dsl.suites.attempts import ONE_THREAD
from flowrl_dsl.suites.data_sets import DataSet
from flowrl_dsl.suites.executors.local import cores
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.running import duration

MEASURED = 60
"""Updates of the training that is measured."""
_FLOAT = 4
_FIXED = 4_000_000
"""Bytes of a run folder besides its replay, about."""


@dataclass(frozen=True)
class Price:
    """The runs of one spec; ``hours`` of one core are None where its speed was not measured, with the ``reason``."""

    label: str
    runs: int
    updates: int
    hours: float | None
    gigabytes: float
    reason: str = ""


def prices(jobs: Sequence[Job], measured: bool) -> Iterator[Price]:
    """The price of each spec of a suite, as soon as it is known."""
    from flowrl_dsl.runtime.worlds import catalogue

    os.environ |= {name: value for name, value in ONE_THREAD.items() if name not in os.environ}
    sizes = {task: catalogue.sizes(task) for task in dict.fromkeys(job.question.task for job in jobs)}
    for label in dict.fromkeys(job.label for job in jobs):
        own = [job for job in jobs if job.label == label]
        rate, reason = _steps_per_second(own) if measured else (None, "not measured")
        hours = None if rate is None else sum(job.question.steps for job in own) / rate / 3600
        disk = sum(_bytes(job, *sizes[job.question.task]) for job in own) / 1e9
        yield Price(label, len(own), sum(job.updates for job in own), hours, disk, reason)


def _bytes(job: Job, observation: int, action: int) -> int:
    """The size of a run folder: its replay has a row of s, a, r, d, end and s' for each step that it keeps.

    The rows of a data set are not copied.
    """
    return _FIXED + job.collected * (2 * observation + action + 3) * _FLOAT


def data_sets(jobs: Sequence[Job]) -> list[DataSet]:
    """The data sets of a suite, each once."""
    return list(dict.fromkeys(job.data for job in jobs if job.data is not None))


def _steps_per_second(jobs: Sequence[Job]) -> tuple[float | None, str]:
    """Steps a second of a spec, measured on the task in the middle of its list with few updates.

    A step is one of the environment; of a spec that collects nothing an update, whose share of the measured time is taken.
    """
    from flowrl_dsl.bench import train
    from flowrl_dsl.bench.kind import Asked, Failed

    job = jobs[len(jobs) // 2]
    warmup = min(job.warmup, 500) if job.acts else 0
    short = (f"train.warmup={warmup}", f"train.steps={warmup + MEASURED}")
    asked = Asked("train", (job.path,), job.question.task, (*job.sets, *short))
    for row in train.measure(asked, 1):
        if isinstance(row, Failed):
            return None, row.reason
        rate = row.steps_per_second if job.collected else 1e3 / (row.step_ms * row.shares["update"])
        return rate, f"on {job.question.task}"
    return None, "nothing was measured"


def text(jobs: Sequence[Job], measured: bool) -> str:
    """The price of a suite as a table, and in one line for this machine."""
    found = list(prices(jobs, measured))
    titles = ("spec", "runs", "updates", "core hours", "GB")
    rows = [titles, *((p.label, f"{p.runs}", f"{p.updates:,}", _hours(p), f"{p.gigabytes:.1f}") for p in found)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(titles))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    known = [price.hours for price in found if price.hours is not None]
    total = f"{sum(p.runs for p in found)} runs, {sum(p.updates for p in found):,} updates, "
    total += f"{sum(p.gigabytes for p in found):.1f} GB of run folders"
    sets = data_sets(jobs)
    total += f", {sum(one.size for one in sets) / 1e9:.1f} GB of {len(sets)} data sets" if sets else ""
    if len(known) == len(found) and known:
        total += f", {duration(sum(known) * 3600 / cores())} on the {cores()} cores of this machine"
    reasons = [f"{price.label}: {price.reason}" for price in found if measured and price.hours is None]
    return "\n".join([*lines, *reasons, total])


def _hours(price: Price) -> str:
    return "-" if price.hours is None else f"{price.hours:.2f}"
