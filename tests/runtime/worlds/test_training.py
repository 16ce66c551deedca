"""Training on a world of pure functions that a plugin adds: the loop, exact resume, evaluation."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import driver
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.evaluation import evaluate
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.test_train import _same
from tests.runtime.toy_program import toy_settings
from tests.runtime.toy_run import Quiet
from tests.runtime.worlds.cart import LIMIT, Cart, Carts

TASK = "cart/walls"
SETS = ("policy.network=mlp([16])", "critic.network=mlp([16])", "train.batch=16")
COUNTS = {"steps": 300, "envs": 2, "evaluate_every": 150, "episodes": 3}


@pytest.fixture(scope="module")
def program() -> Program:
    algorithm, _ = driver.resolve_or_raise("sac", TASK, SETS)
    return driver.build_program(algorithm, *catalogue.sizes(TASK))


def _train(program: Program, folder: Path, at_log=None) -> Training:
    if not folder.exists():
        RunFolder.create(folder.parent, "sac", TASK, 0, {}, out=folder)
    settings = toy_settings(TASK, 1, **COUNTS)
    training = Training(program, settings, RunFolder(folder), Quiet(settings.steps, at_log))
    training.run()
    return training


def test_a_run_learns_evaluates_and_goes_on_bit_for_bit(program: Program, tmp_path: Path) -> None:
    whole = _train(program, tmp_path / "whole")
    assert whole.world.pure is not None and whole.world.exact
    assert whole.result.lengths.max() <= LIMIT and len(set(whole.result.returns)) == 3
    records = RunFolder(tmp_path / "whole").records()
    assert [record["step"] for record in records if record["kind"] == "eval"] == [150, 300]
    assert records[-2]["critic_loss"] > 0 and sum(record.get("episodes", 0) for record in records) > 20
    with pytest.raises(Interrupted):
        _train(program, tmp_path / "parts", lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 150 else None)
    _train(program, tmp_path / "parts")
    _same(tmp_path / "whole", tmp_path / "parts")


def test_an_evaluation_gives_the_same_numbers_each_time(program: Program) -> None:
    world, state = catalogue.make(TASK, 4, 0, evaluation=True), program.init(0)
    first, second = (evaluate(program, state, program.hyper, world) for _ in range(2))
    assert np.array_equal(first.returns, second.returns) and np.array_equal(first.lengths, second.lengths)


def test_a_kind_is_found_by_the_prefix_of_the_task() -> None:
    assert catalogue.kind_of(TASK) is Carts
    assert catalogue.kind_of("Hopper-v5").name == catalogue.kind_of("namespace/Task-v0").name == "gymnasium"
    with pytest.raises(RunError, match=r'FRL0401.*unknown task "cart/wall"'):
        catalogue.make("cart/wall", 1, 0)


def test_the_prefixes_of_all_worlds_are_offered_for_an_unknown_one() -> None:
    for wrong, hint in (
        ("dm_contrl/cartpole-swingup", 'did you mean "dm_control"?'),
        ("bracks/ant", 'did you mean "brax"?'),
    ):
        with pytest.raises(RunError) as caught:
            catalogue.make(wrong, 1, 0)
        assert caught.value.code == "FRL0401"
        note = caught.value.diagnostics[0].notes[0]
        assert note.startswith(f'"{wrong.split("/")[0]}/" is neither a namespace of Gymnasium nor a world; {hint}')


def test_what_a_kind_raises_is_the_tasks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        monkeypatch.context() as patch,
        pytest.raises(RunError, match=r"FRL0405.*cart/walls failed when.*TypeError"),
    ):
        patch.setattr(Carts, "make", lambda self, task, seeds, action_repeat: seeds["none"])
        catalogue.make(TASK, 1, 0)
    # dynamics are traced when the world is made
    with (
        monkeypatch.context() as patch,
        pytest.raises(RunError, match=r"FRL0405.*cart/walls failed when.*KeyError"),
    ):
        patch.setattr(Cart, "step", lambda self, state, action, key: state["y"])
        catalogue.make(TASK, 1, 0)
