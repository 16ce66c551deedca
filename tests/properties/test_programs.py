"""Random and shipped specs as programs: all promises of a program, for every mechanism on every backbone it fits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flowrl_dsl.registry import members_of
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.testing import invariants, strategies
from flowrl_dsl.testing.study import Study

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("FLOWRL_EXAMPLES", "300"))
"""Compositions of the slow test: ``FLOWRL_EXAMPLES=2000 python -m pytest -m slow tests/properties``."""
# a failing program is shown as it is: to shrink it would compile hundreds more
PROGRAMS = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def pairs() -> Iterator[tuple[str, str]]:
    """Mechanisms with the backbones that give them what they need."""
    for name, mechanism in members_of("mechanism").items():
        for backbone, cls in members_of("backbone").items():
            if mechanism.requires <= cls.provides:
                yield name, backbone


def check_everything(trial: invariants.Trial, data: st.DataObject) -> None:
    """All invariants of programs; then batches and numbers at the edge of what is valid."""
    invariants.check_program(trial)
    hyper = data.draw(strategies.hypers(trial.program, trial.algorithm))
    invariants.check_changed_number_does_not_recompile(trial, hyper)
    for style in strategies.STYLES:
        invariants.check_finite(trial, strategies.batch_of(trial.program, 1, style))


@pytest.mark.parametrize("mechanism, backbone", list(pairs()))
def test_random_programs_keep_their_promises(mechanism: str, backbone: str) -> None:
    @PROGRAMS
    @given(strategies.specs(including={"mechanism": mechanism, "backbone": backbone}), st.data())
    def check(text: str, data: st.DataObject) -> None:
        check_everything(invariants.trial(text), data)

    check()


@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs_keep_their_promises(name: str) -> None:
    trial = invariants.Trial(invariants.tiny(name))

    @settings(PROGRAMS, max_examples=1)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        check_everything(trial, data)

    check()


@settings(PROGRAMS, max_examples=15)
@given(strategies.specs())
def test_random_programs_have_the_shapes_they_declare(text: str) -> None:
    trial = invariants.trial(text)
    invariants.check_shapes(trial)
    invariants.check_graph_text_round_trip(trial)


def test_many_random_programs_keep_their_promises(capsys: pytest.CaptureFixture[str]) -> None:
    """Goes on after a failure, and says at the end what it has covered."""
    study = Study()

    @settings(PROGRAMS, derandomize=False, max_examples=MANY)
    @given(strategies.specs(), st.data())
    def check(text: str, data: st.DataObject) -> None:
        with study.composition(text):
            check_everything(invariants.trial(text), data)

    check()
    with capsys.disabled():
        print(f"\n{study.summary()}")
    study.check()


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs_keep_their_promises_thoroughly(name: str) -> None:
    """As they are compiled for a run, against a run without any compilation."""
    invariants.check_program(invariants.Trial(invariants.tiny(name), thorough=True))
