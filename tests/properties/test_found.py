"""What random specs have found, one file for each mistake in ``tests/golden/found``; and mistakes beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl.components.context import gradient_norm
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.testing import invariants
from flowrl_dsl.testing.traced import Slow
from flowrl_dsl.testing.trials import of_graph

GOLDEN = Path(__file__).parent.parent / "golden" / "found"
FOUND = sorted(GOLDEN.glob("*.flowrl"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_is_mended(path: Path) -> None:
    trial = invariants.trial(path.read_text(encoding="utf-8"))
    skipped = {invariants.check_update_is_repeated_step, invariants.check_printed}  # which take long
    invariants.check_program(trial, [check for check in invariants.PROGRAM_CHECKS if check not in skipped])


BOUNDED = """
algorithm example {
  order = targets -> critic -> policy
  policy { backbone = deterministic  network = mlp([4]) }
  critic {
    network = mlp([4])
    seen    = ema(0.5)
    backup  = within_seen(r + discount * (1 - d) * min(Q_target(s_next, a_next), over = ensemble))
  }
  improve reparameterized { }
  train { batch = 7 }
}
"""


def test_bounds_of_targets_stay_until_a_target_has_been_seen() -> None:
    """Where copies move before the critic, the first refresh finds no range, and its empty one must not be followed."""
    trial = invariants.trial(BOUNDED)
    step = Slow(trial.program._step)
    once, *_ = step(trial.fresh, trial.batch, trial.numbers)
    assert once["critic_bounds"] == {"low": 0, "high": 0}
    assert once["critic_seen"]["low"] <= once["critic_seen"]["high"]
    twice, *_ = step(of_graph(trial.program, once), trial.batch, trial.numbers)
    for end in ("low", "high"):
        np.testing.assert_allclose(twice["critic_bounds"][end], once["critic_seen"][end] / 2, rtol=1e-6)


@pytest.mark.parametrize("name", shipped_specs())
def test_every_shipped_spec_can_be_made_tiny(name: str) -> None:
    """Also where options of it go unread, such as the network of an energy policy."""
    assert invariants.tiny(name).sections["train"].batch == 7


def test_norm_of_a_gradient_whose_squares_overflow() -> None:
    assert float(gradient_norm({"w": np.float32([3e20]), "b": np.float32([[0, -4e20]])})) == pytest.approx(5e20)
    assert float(gradient_norm({"w": np.float32([3e-9, 4e-9])})) == pytest.approx(5e-9)


def test_what_rounding_does_not_decide_is_not_excused() -> None:
    trial = invariants.trial(BOUNDED)
    state, metrics, feedback = trial.stepped
    trial.stepped = state, metrics | {"policy_loss": metrics["policy_loss"] * np.float32(1.01)}, feedback
    with pytest.raises(AssertionError, match=r"policy_loss.*rounding moves it by"):
        invariants.check_interpreted(trial)


def test_where_rounding_decides_the_trial_counts_it() -> None:
    trial = invariants.trial((GOLDEN / "choice_between_equal_values.flowrl").read_text(encoding="utf-8"))
    invariants.check_permutations(trial)
    assert trial.did["decided by rounding"] == 1
