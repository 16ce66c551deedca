"""Off-policy turns in a pure world: a dispatch of many, up to the next thing that is due, equals the turns of the host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl import driver
from flowrl_dsl.components.samplings.uniform import Uniform
from flowrl_dsl.components.sources.ring import Ring
from flowrl_dsl.lowering.iteration import Counts, Held, iterated
from flowrl_dsl.lowering.program import Data, Program
from flowrl_dsl.record import STEP, columns
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.settings import MOST_UPDATES
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.pure import PureVector
from tests.runtime.toy_program import toy_settings
from tests.runtime.toy_run import Quiet
from tests.runtime.worlds.cart import Cart, Carts
from tests.whole_runs import states

TASK = "cart/walls"
SETS = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8")
COUNTS = {"envs": 2, "warmup": 10, "replay": 64, "episodes": 2}
COUNTS |= {"log_every": 24, "evaluate_every": 60, "checkpoint_every": 40}
STEPS = 120

of_users = pytest.mark.skipif(bool(os.environ.get("XLA_FLAGS")), reason="compiled as for tests")
"""Bits of two executables are compared, so XLA has to compile them as it does for users: in a process of its own."""


@pytest.fixture(scope="module", autouse=True)
def one_cart() -> Iterator[None]:
    """The dynamics of all worlds here, so that they share their executables."""
    dynamics = Cart()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Carts, "make", lambda self, task, seeds, repeat: PureVector(task, dynamics, seeds, repeat))
        yield


@pytest.fixture(scope="module")
def program() -> Program:
    algorithm, _ = driver.resolve_or_raise("td3", TASK, SETS)
    return driver.build_program(algorithm, *catalogue.sizes(TASK), envs=COUNTS["envs"], capacity=COUNTS["replay"])


def train(program: Program, folder: Path, steps: int = STEPS) -> None:
    if not folder.exists():
        RunFolder.create(folder.parent, "td3", TASK, 0, {}, out=folder)
    settings = toy_settings(TASK, 1, steps=steps, **COUNTS)
    phases = [("one", 0), ("two", 17)]
    Training(program, settings, RunFolder(folder), Quiet(steps), turn="off_policy", phases=phases).run()


@pytest.fixture(scope="module")
def whole(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pure") / "whole"
    train(program, folder)
    return folder


@pytest.mark.skipif(os.environ.get("XLA_FLAGS") == "", reason="this is that process")
def test_the_bits_where_xla_compiles_as_for_users() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "hosts_loop"]
    done = subprocess.run(words, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@of_users
def test_the_run_is_that_of_the_hosts_loop_with_its_records(
    program: Program, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warm-up, evaluations, records and their numbers, a phase that begins inside a dispatch, the final state."""
    records = RunFolder(whole).records()
    assert [one["step"] for one in records if one["kind"] == "eval"] == [60, STEPS]
    assert [one["step"] for one in records if one["kind"] == "train"] == [24, 48, 72, 96, STEPS]
    # update 17 follows the action at step 26, inside a dispatch
    assert [one["step"] for one in records if one["kind"] == "phase"] == [10, 26] and records[-2]["updates"] == STEPS - 10
    monkeypatch.setattr(Training, "iterate", lambda self, steps, **updates: False)
    train(program, tmp_path / "host")
    assert RunFolder(tmp_path / "host").records() == records
    check_same(whole, tmp_path / "host")


def check_same(whole: Path, other: Path) -> None:
    """The final states have the same bits."""
    one, two = states(whole, STEPS), states(other, STEPS)
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


def test_a_run_cut_where_no_dispatch_of_the_whole_one_ends_goes_on_bit_for_bit(
    program: Program, whole: Path, tmp_path: Path
) -> None:
    train(program, tmp_path / "half", 46)
    train(program, tmp_path / "half")
    check_same(whole, tmp_path / "half")
    # one executable, whatever the numbers of steps and updates
    assert program.jit_iterate._cache_size() == 1


def test_rows_for_the_host_have_the_bits_of_the_storage(program: Program) -> None:
    """A checkpoint has the rows, and what is restored from them is what updates have read; the ring wraps around."""
    world = PureVector(TASK, Cart(), [0, 1], 1)
    world.reset()
    held = Held(program.init(0), Replay(program.data, program.axis_sizes).own(), world.episodes)
    written = []
    for begun, between in ((0, 0), (12, 1), (24, 2), (36, 1)):
        counts = Counts(*map(np.int32, (begun, begun, 12, between)), None)
        done = program.iterate(world.copies, 12, held, {}, world.keys, counts, program.on_device(program.hyper))
        held, rows = done.held, np.asarray(done.rows).reshape(24, -1)
        written.append(rows)
    latest = columns(np.concatenate(written)[-COUNTS["replay"] :], program.data.stored, program.axis_sizes)
    for name, values in latest.items():
        # 96 rows are written to a ring of 64
        np.testing.assert_array_equal(np.roll(np.asarray(held.storage[name]), -32, axis=0), values, err_msg=name)


@pytest.mark.parametrize("copies", [1, 2])
def test_no_row_is_inserted_where_none_is_given(copies: int) -> None:
    source = Ring(sampling=Uniform(), stride=copies)
    full = {"r": jnp.arange(4.0), "size": jnp.int32(4), "total": jnp.int32(6)}
    after = source.insert(full, {"r": jnp.zeros(copies)}, jnp.int32(0))
    assert all(np.array_equal(after[name], full[name]) for name in full)


def test_a_dispatch_ends_with_the_step_at_which_something_is_due() -> None:
    counts = {"envs": 4, "warmup": 10, "log_every": 1_000, "evaluate_every": 60, "checkpoint_every": 400, "steps": 450}
    settings = toy_settings(TASK, **counts)
    ends, step = [], 0
    while step < settings.steps:
        step += 4 * settings.turns_until_due(step)
        ends.append(step)
    # the first update, six evaluations, the checkpoint, an evaluation, the end
    assert ends == [12, 60, 120, 180, 240, 300, 360, 400, 420, 452]
    # the host is back after so many updates, and there are rows for no more steps than there are between two records
    assert toy_settings(TASK, log_every=1_000, updates=2).longest == MOST_UPDATES // 2
    assert toy_settings(TASK, log_every=1_000, envs=512).longest == 1 and toy_settings(TASK, log_every=9).longest == 9
    assert toy_settings(TASK, rollout=700, updates=9).longest == 700


def test_the_storage_is_written_in_place_while_updates_read_it() -> None:
    """A copy of it for the updates would cost more than all else in a step."""

    def update(state, storage, n, hyper):
        def one(_, state):
            rows = source.gather(storage, jax.random.randint(jax.random.PRNGKey(state["step"]), (4,), 0, storage["size"]))
            return {"step": state["step"] + 1, "weight": state["weight"] + jnp.mean(rows["s"])}

        state = jax.lax.fori_loop(0, n, one, state)
        return state, {"loss": state["weight"], "ran.loss": jnp.ones(())}

    source, world = Ring(sampling=Uniform(), stride=2), PureVector(TASK, Cart(), [0, 1], 1)
    data, sizes = Data(STEP, source, 50_000, 4), {"obs": 3, "action": 1}
    reader = SimpleNamespace(data=data, axis_sizes=sizes, metric_names=["loss"], _update=update)
    reader._act = lambda mode, state, obs, counter, hyper: {"action": obs[:, :1] * state["weight"]}
    storage, state = Replay(data, sizes).own(), {"step": jnp.int32(0), "weight": jnp.zeros(())}
    compiled = jax.jit(partial(iterated, reader), static_argnums=(0, 1), donate_argnums=2)
    counts = Counts(*map(np.int32, (0, 0, 8, 2)))
    lowered = compiled.lower(world.copies, 8, Held(state, storage, world.episodes), {}, world.keys, counts, {})
    assert lowered.compile().memory_analysis().temp_size_in_bytes < storage["s"].nbytes / 10
