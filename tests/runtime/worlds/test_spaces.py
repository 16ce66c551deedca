"""What a data set of a task must agree with, for every kind of world."""

from __future__ import annotations

import pytest

from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.worlds import cart


@pytest.mark.parametrize(
    ("task", "observations", "low", "high", "limit"),
    [
        ("InvertedPendulum-v5", 4, [-3.0], [3.0], 1000),
        ("gymnasium:Pendulum-v1", 3, [-2.0], [2.0], 200),
        ("dm_control/cartpole-swingup", 5, [-1.0], [1.0], None),
        (f"{cart.Carts.name}/walls", 3, [-1.0], [1.0], None),
    ],
)
def test_sizes_bounds_and_time_limit(
    task: str, observations: int, low: list[float], high: list[float], limit: int | None
) -> None:
    spaces = catalogue.spaces(task)
    assert (spaces.name, spaces.observation_size, spaces.action_size) == (task, observations, len(low))
    assert (spaces.low.tolist(), spaces.high.tolist(), spaces.time_limit) == (low, high, limit)


def test_tasks_of_gymnasium_have_a_specification() -> None:
    assert catalogue.specification("Hopper-v5").id == "Hopper-v5"
    assert catalogue.specification("dm_control/cartpole-swingup") is None
