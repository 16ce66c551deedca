"""Training in phases: how long it lasts, its records and display, and exact resume in the middle of each phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.test_offline import SPEC, home, records, train

__all__ = ["home"]

PHASES = """
  phase values  { updates = 20  order = value -> critic -> targets }
  phase extract { updates = 22  order = policy  begin = reset(optimizers) }
"""


@pytest.fixture(scope="module")
def spec(home: Path) -> str:
    text = SPEC.replace("algorithm small {", "algorithm phased {" + PHASES).replace("steps = 60", "updates = 2")
    (home / "phased.flowrl").write_text(text.replace("evaluate_every = 20", "evaluate_every = 7"))
    return "phased.flowrl"


@pytest.fixture(scope="module")
def whole(home: Path, spec: str) -> Path:
    assert train(home, "phased", command=("train", spec)) == 0
    return home / "phased"


def test_a_run_lasts_as_many_steps_as_its_phases_take(whole: Path) -> None:
    assert records(whole)[-1]["step"] == 21 and [r for r in records(whole) if r["kind"] == "train"][-1]["updates"] == 42


def test_records_have_the_number_of_their_phase(whole: Path) -> None:
    assert [(r["step"], r["phase"]) for r in records(whole) if r["kind"] == "eval"] == [(7, 1), (14, 2), (21, 2)]
    assert [r["phase"] for r in records(whole) if r["kind"] == "train"] == [2]


@pytest.mark.parametrize("at", [5, 10, 15])
def test_resume_is_exact_within_each_phase_and_between_them(home: Path, spec: str, whole: Path, at: int) -> None:
    out = f"parts{at}"
    assert train(home, out, "--steps", str(at), command=("train", spec)) == 0
    assert train(home, out, "--steps", "21", command=("resume",)) == 0
    states = [dict(np.load(run / "checkpoints/step-000000021/state.npz")) for run in (whole, home / out)]
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])


def test_the_display_names_the_phase(home: Path, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(home, "shown", command=("train", spec)) == 0
    printed = capsys.readouterr().out
    assert "phase values (1 of 2) begins at update 0" in printed
    assert "phase extract (2 of 2) begins at update 20" in printed
