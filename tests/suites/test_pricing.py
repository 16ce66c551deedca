"""The price of a suite from measured speeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrl_dsl.bench import train
from flowrl_dsl.bench.kind import Asked, Failed
from flowrl_dsl.suites import pricing
from flowrl_dsl.suites.executors.local import cores
from tests.suites.samples import TINY, jobs

LONG = TINY.replace("steps = 300  warmup = 280", "steps = 1_000_000  warmup = 1_000")


def test_hours_follow_from_the_measured_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Asked] = []

    def measure(one: Asked, repeat: int) -> Iterator[train.Row | Failed]:
        asked.append(one)
        if "td3" in one.specs[0]:
            yield Failed("td3", "no memory")
        else:
            yield train.Row("sac", one.task or "", 100.0, 1.0, {})

    monkeypatch.setattr(train, "measure", measure)
    found = jobs(tmp_path, LONG)
    sac, td3 = pricing.prices(found, measured=True)
    assert (sac.runs, sac.updates, sac.hours) == (4, 4 * 999_000, pytest.approx(4e6 / 100 / 3600))
    assert td3.hours is None and td3.reason == "no memory"
    pendulum, cart = (1_000_000 * (2 * size + 1 + 3) * 4 for size in (3, 4))
    assert sac.gigabytes == pytest.approx(2 * (pendulum + cart + 2 * 4_000_000) / 1e9)
    assert asked[0].sets[-2:] == ("train.warmup=500", "train.steps=560") and asked[0].task in {
        j.question.task for j in found
    }
    text = pricing.text(found, measured=True)
    assert "td3: no memory" in text and "cores of this machine" not in text
    alone = pricing.text([job for job in found if job.spec == "sac"], measured=True)
    assert alone.endswith(f"{11.11 / cores():.1f} h on the {cores()} cores of this machine")
