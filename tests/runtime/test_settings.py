"""The counts of a run come from the spec's section ``train``, by their names."""

from __future__ import annotations

from dataclasses import asdict, fields

from flowrl_dsl.arguments import REPLACED
from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.registry import find
from flowrl_dsl.runtime.settings import Settings


def test_every_option_of_train_is_a_setting_or_of_the_program() -> None:
    settings = {field.name for field in fields(Settings)}
    assert set(find("section", "train").model_fields) - settings == {"batch", "sampling"}
    assert set(REPLACED) <= settings


def test_settings_are_those_of_the_spec_unless_others_are_given() -> None:
    algorithm, _ = resolve_or_raise("qsm", "InvertedPendulum-v5", ["train.envs=3"])
    found = asdict(Settings.of(algorithm.sections["train"], "InvertedPendulum-v5", 7, steps=None, episodes=4))
    expected = {"task": "InvertedPendulum-v5", "seed": 7, "steps": 15_000, "warmup": 1_000, "envs": 3, "episodes": 4}
    assert found | expected == found


def test_checkpoints_are_a_hundredth_of_the_run_apart_but_not_closer_than_their_cost() -> None:
    section = resolve_or_raise("qsm", None, [])[0].sections["train"]
    every = {n: Settings.of(section, "task", 0, steps=n).checkpoint_every for n in (1_000, 1_000_000)}
    assert every == {1_000: 5_000, 1_000_000: 10_000}
    assert Settings.of(section, "task", 0, checkpoint_every=70).checkpoint_every == 70
