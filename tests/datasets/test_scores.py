"""Normalised scores by the reference returns that D4RL published."""

from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.datasets.scores import D4RL, family_of, normalized_score
from flowrl_dsl.names import known_as


@pytest.mark.parametrize("family", D4RL)
def test_the_references_have_scores_0_and_100(family: str) -> None:
    random, expert = D4RL[family]
    assert normalized_score(family, random) == 0 and normalized_score(family, expert) == pytest.approx(100)
    halfway = normalized_score(family, np.array([random, (random + expert) / 2]))
    assert np.asarray(halfway).tolist() == pytest.approx([0, 50])


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("halfcheetah-medium-v2", "halfcheetah"),
        ("hopper_medium_replay-v2", "hopper"),
        ("walker2d-medium-expert-v2", "walker2d"),
        ("ant_full_replay-v2", "ant"),
        ("pen-human-v1", "pen"),
        ("relocate-cloned-v1", "relocate"),
        ("kitchen-partial-v0", "kitchen"),
        ("antmaze-large-diverse-v2", "antmaze"),
        ("antmaze-medium-play-v0", "antmaze"),
        ("maze2d-umaze-v1", "maze2d-umaze"),
        ("maze2d-large-dense-v1", "maze2d-large-dense"),
        ("mujoco/hopper/medium-v0", None),
        ("hopper-medium-v5", None),
        ("swimmer-medium-v2", None),
        ("my-hopper", None),
        ("", None),
    ],
)
def test_families_by_the_names_of_data_sets(name: str, family: str | None) -> None:
    assert family_of(name) == family


def test_the_file_of_a_set_is_known_as_the_set() -> None:
    assert known_as("hopper_medium_expert-v2") == known_as("Hopper-Medium-Expert-v2") == "hopper-medium-expert-v2"
    assert known_as("mujoco/hopper/medium-v0") == "mujoco/hopper/medium-v0"


def test_a_family_without_reference_returns_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        normalized_score("swimmer", 1.0)
