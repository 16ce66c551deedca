"""The bandits with known action values."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.known import SHAPES
from flowrl_dsl.suites.random_policy import random_returns
from flowrl_dsl.suites.references import reference_of
from flowrl_dsl.testing.known_answers import HEIGHT, Answer


@pytest.mark.parametrize("shape", SHAPES)
def test_rewards_are_the_values_of_the_exact_critic(shape: str) -> None:
    answer = Answer.of(shape)
    rows = np.arange(0, len(answer.cells), 400)
    with closing(catalogue.make(f"known/{shape}", len(rows), 0)) as world:
        assert np.asarray(world.reset()).tolist() == [[1.0]] * len(rows)
        stepped = world.step(answer.cells[rows].astype(np.float32))
    assert stepped.reward == pytest.approx(HEIGHT * answer.log_density[rows], abs=1e-4)
    assert stepped.terminal.all() and [length for _, length in stepped.finished] == [1] * len(rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_references_are_exact(shape: str) -> None:
    reference, answer = reference_of(f"known/{shape}"), Answer.of(shape)
    assert reference is not None
    assert reference.random == pytest.approx(HEIGHT * answer.log_density.mean(), abs=1e-4)
    assert reference.reference == pytest.approx(HEIGHT * answer.log_density.max(), abs=1e-4)


def test_random_actions_have_the_mean_value() -> None:
    returns = random_returns("known/ring", 30)
    assert len(returns) == 30 and returns.mean() == pytest.approx(-0.5438, abs=0.25)


def test_an_unknown_shape() -> None:
    with pytest.raises(RunError) as caught:
        catalogue.make("known/rng", 1, 0)
    assert caught.value.code == "FRL0401" and caught.value.diagnostics[0].notes == ('did you mean "known/ring"?',)
