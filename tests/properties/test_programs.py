"""Random and shipped specs as programs: all promises of a program, for every mechanism on every backbone it fits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from flowrl_dsl.registry import members_of
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.testing import invariants, strategies
from flowrl_dsl.testing.study import Study

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("FLOWRL_EXAMPLES", "300"))
"""Compositions of the long study."""
SHARD, SHARDS = map(int, os.environ.get("FLOWRL_SHARD", "1/1").split("/"))
"""Which part of them this process checks: 1/2 the first half."""
FOLDER = Path(os.environ.get("FLOWRL_STUDY", "study"))
"""Where the results are; a study that finds some there goes on with what is missing."""
PROGRAMS = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failing program is shown as it is: to shrink it would compile hundreds more
    suppress_health_check=list(HealthCheck),
)


def pairs() -> Iterator[tuple[str, str]]:
    """Mechanisms with the backbones that give them what they need."""
    for name, mechanism in members_of("mechanism").items():
        for backbone, cls in members_of("backbone").items():
            if mechanism.requires <= cls.provides:
                yield name, backbone


def check_everything(trial: invariants.Trial) -> None:
    """All invariants of programs; then batches and numbers at the edge of what is valid."""
    invariants.check_program(trial)
    invariants.check_changed_number_does_not_recompile(trial, strategies.hyper_of(trial.program, trial.algorithm))
    for style in strategies.STYLES:
        invariants.check_finite(trial, strategies.batch_of(trial.program, 1, style))


@pytest.mark.parametrize("mechanism, backbone", list(pairs()))
def test_random_programs_keep_their_promises(mechanism: str, backbone: str) -> None:
    @PROGRAMS
    @given(strategies.specs(including={"mechanism": mechanism, "backbone": backbone}))
    def check(text: str) -> None:
        check_everything(invariants.trial(text))

    check()


@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs_keep_their_promises(name: str) -> None:
    check_everything(invariants.Trial(invariants.tiny(name), compiled=("init", "update", "explore", "evaluate")))


def test_many_random_programs_keep_their_promises(capsys: pytest.CaptureFixture[str]) -> None:
    """Goes on after a failure, writes what it finds as it goes, and says at the end what it has covered."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    study = Study(FOLDER / f"shard-{SHARD}-of-{SHARDS}.jsonl")
    numbers = study.missing(range(MANY * (SHARD - 1) // SHARDS, MANY * SHARD // SHARDS))
    for done, number in enumerate(numbers, 1):
        study.check(number)
        if done % 20 == 0 or done == len(numbers):
            with capsys.disabled():
                print(f"\n{done} of {len(numbers)}: {study.summary()}", flush=True)
    together = Study(study.path, FOLDER.glob("*.jsonl"))
    report = f"{together.summary()}\n\n{together.table()}\n"
    (FOLDER / "summary.md").write_text(report, encoding="utf-8")
    with capsys.disabled():
        print(f"\n{report}")
    study.raise_failures()


@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs_keep_their_promises_thoroughly(name: str) -> None:
    """As they are compiled for a run, against a run without any compilation."""
    invariants.check_program(invariants.Trial(invariants.tiny(name), thorough=True))
