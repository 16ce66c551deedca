"""The settings of shipped specs on DeepMind Control tasks, against a table of those of the public collection.

Source of the table: the configurations for the DeepMind Control suite of the public JAX collection that accompanies
arXiv:2603.27450.  It counts frames, of which each action takes two; specs count actions.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import pytest

from flowrl_dsl.algorithm import Algorithm, show_stage
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.spec.resolve import resolve
from tests.spec.helpers import algorithm_of

TASK = "dm_control/cheetah-run"
FRAMES_PER_ACTION = 2


@dataclass(frozen=True)
class Frames:
    """Amounts in environment frames, and rows."""

    total: int = 1_000_000
    random_start: int = 10_000
    between_evaluations: int = 10_000
    batch: int = 512
    replay: int = 1_000_000
    updates: int = 1
    episodes: int = 10


FRAMES = {name: Frames() for name in ("sac", "td3", "qsm", "sdac", "dacer")} | {"td7": Frames(random_start=25_000)}
WIDE, NARROW = "mlp([512, 512, 512], activation = {})", "mlp([256, 256], activation = {})"
ADAM, EMA = "adam(3e-4)", "ema(0.005)"
DIFFUSION = {
    "policy.network": WIDE.format("mish"),
    "policy.sampler.steps": "20",
    "critic.network": WIDE.format("elu"),
    "critic.target": EMA,
}
SETTINGS: dict[str, dict[str, str]] = {
    "sac": {
        "policy.network": WIDE.format("elu"),
        "critic.network": WIDE.format("elu"),
        "policy.optimizer": ADAM,
        "critic.optimizer": ADAM,
        "critic.target": EMA,
    },
    "td3": {
        "order": "critic -> policy -> targets",
        "policy.network": WIDE.format("relu"),
        "critic.network.sizes": "[512, 512, 512]",
        "critic.network.activation": "relu",
        "policy.optimizer": ADAM,
        "critic.optimizer": ADAM,
        "policy.target": EMA,
        "critic.target": EMA,
        "critic.next_action.scale": "0.2",
        "critic.next_action.clip": "0.3",
        "act.explore": "noise(0.2)",
    },
    "td7": {
        "order": "encoder -> critic -> policy -> targets",
        "encoder.size": "256",
        "encoder.input_layer": "256",
        "encoder.network": NARROW.format("elu"),
        "policy.network": NARROW.format("relu"),
        "critic.network": NARROW.format("elu"),
        "policy.optimizer": ADAM,
        "critic.optimizer": ADAM,
        "encoder.optimizer": ADAM,
        **{f"{path}.every": "250" for path in ("encoder.target", "policy.target", "critic.target", "critic.seen")},
        "critic.next_action.scale": "0.2",
        "critic.next_action.clip": "0.5",
        "act.explore": "noise(0.1)",
        "train.sampling.alpha": "0.4",
    },
    "qsm": {
        **DIFFUSION,
        "policy.optimizer": ADAM,
        "critic.optimizer": ADAM,
        "temperature": "0.1",
        "act.evaluate": "best_of(10)",
    },
    "sdac": {
        **DIFFUSION,
        "policy.optimizer": ADAM,
        "critic.optimizer": ADAM,
        "temperature": "0.01",
        "score_matching.reverse": "500",
        "act.evaluate": "best_of(10)",
    },
    "dacer": {
        **DIFFUSION,
        "order": "[critic, every(2, policy), every(10000, noise_scale)] -> targets",
        "policy.optimizer": "adam(1e-4)",
        "critic.optimizer": "adam(1e-4)",
        "critic.backup": "td(r, d, discount, min(Q_target(s_next, a_next), over = ensemble))",
    },
}
"""The text of each setting, by its path, as the plan prints it; the order in its standard form."""
ROWS = [(name, path, text) for name, settings in SETTINGS.items() for path, text in settings.items()]


@pytest.fixture(scope="module")
def found() -> dict[str, Algorithm]:
    return {name: algorithm_of(resolve(name, task=TASK)) for name in SETTINGS}


@pytest.mark.parametrize(("name", "path", "text"), ROWS, ids=[f"{name}-{path}" for name, path, _ in ROWS])
def test_a_setting_is_that_of_the_public_collection(found, name, path, text):
    algorithm = found[name]
    printed = show_stage(algorithm.order) if path == "order" else algorithm.origins[path].text
    assert printed == text


@pytest.mark.parametrize("name", SETTINGS)
def test_discount_and_ensemble_are_those_of_all_algorithms(found, name):
    origins = found[name].origins
    assert (origins["critic.discount"].text, origins["critic.ensemble"].text) == ("0.99", "2")


@pytest.mark.parametrize("name", FRAMES)
def test_amounts_of_data_are_those_of_the_public_collection(found, name):
    train = found[name].sections["train"]
    settings, frames = Settings.of(train, TASK, 0), FRAMES[name]
    assert settings.action_repeat == FRAMES_PER_ACTION
    counted = [FRAMES_PER_ACTION * n for n in (settings.steps, settings.warmup, settings.evaluate_every)]
    assert (*counted, train.batch, settings.replay, settings.updates, settings.episodes) == astuple(frames)


@pytest.mark.parametrize("name", shipped_specs())
def test_every_spec_resolves_without_a_finding_on_a_control_task(name):
    resolution = resolve(name, task=TASK)
    algorithm_of(resolution)
    assert list(resolution.diagnostics) == []


@pytest.mark.parametrize(("name", "base"), [("rfm", "sdac"), ("qsm_hl_gauss", "qsm"), ("qsm_td7", "qsm"), ("redq", "sac")])
def test_specs_that_extend_another_inherit_its_settings_for_control_tasks(found, name, base):
    algorithm = algorithm_of(resolve(name, task=TASK))
    for section in ("policy", "critic"):
        assert algorithm.sections[section].network == found[base].sections[section].network
    assert algorithm.sections["train"].batch == 512 and algorithm.sections["train"].action_repeat == FRAMES_PER_ACTION


@pytest.mark.parametrize("name", SETTINGS)
def test_other_tasks_keep_their_settings(name):
    gymnasium, none = (algorithm_of(resolve(name, task=task)) for task in ("Walker2d-v5", None))
    assert gymnasium.sections == none.sections and gymnasium.order == none.order
    assert gymnasium.sections["train"].action_repeat == 1 and gymnasium.sections["train"].batch == 256
