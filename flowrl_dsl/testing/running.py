"""Execution of a program: one executable, donated state, determinism for a fixed key, and checkpoints that restore it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from flowrl_dsl.lowering.cost import host_callbacks
from flowrl_dsl.lowering.program import MEMORY, RAN
from flowrl_dsl.runtime import learner
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.testing.instruments import trained_groups
from flowrl_dsl.testing.strategies import replay_of
from flowrl_dsl.testing.traced import Slow, Traced
from flowrl_dsl.testing.trees import as_arrays, assert_close, assert_equal, compilations, on_host
from flowrl_dsl.testing.trials import Trial, of_graph


def check_one_executable_no_callback(trial: Trial) -> None:
    """The first step compiles one executable, which contains no callback to Python."""
    assert trial.stepped and trial.compiled_for_a_step == 1, f"{trial.compiled_for_a_step} executables for one step"
    callbacks = host_callbacks(trial.traced_step.jaxpr.jaxpr)
    assert not callbacks, f"callbacks {callbacks}"


def check_changed_number_does_not_recompile(trial: Trial, hyper: Mapping[str, float] | None = None) -> None:
    """Changed numbers cause no recompilation; ``hyper`` are the new values, by default 0.9 times each number."""
    assert trial.stepped
    before = compilations()
    changed = {name: 0.9 * value for name, value in trial.hyper.items()} if hyper is None else dict(hyper)
    on_host(trial.program.step(as_arrays(trial.state), trial.batch, changed))
    assert compilations() == before, "a changed number compiled the step again"


def check_state_donated(trial: Trial) -> None:
    """The input state of a step is donated, except for the parts that the step does not read."""
    given = as_arrays(trial.state)
    graph = trial.program.graphs["step"]
    read = {name for node in graph.nodes.values() for name in node.inputs} | set(graph.outputs.values())
    leaves = jax.tree.leaves({name: group for name, group in given.items() if f"state.{name}" in read})
    jax.block_until_ready(trial.program.step(given, trial.batch, trial.hyper))
    kept = sum(not leaf.is_deleted() for leaf in leaves)
    assert not kept, f"{kept} of {len(leaves)} arrays of the state are not donated"


def check_same_key_same_result(trial: Trial) -> None:
    """Initial state, step and actions are bitwise identical for equal keys; different keys yield different states."""
    program = trial.program
    assert_equal("init ", of_graph(program, on_host(program.init(trial.seed))), trial.fresh)
    if "init" in trial.compiled:
        key = np.asarray(jax.random.PRNGKey(trial.seed))
        assert_close("compiled and traced init ", of_graph(program, Traced(program._init, key)(key)), trial.fresh)
    again = on_host(program.step(as_arrays(trial.state), trial.batch, trial.hyper))
    assert_equal("step ", again, trial.stepped)
    other = on_host(program.init(trial.seed + 1))
    here, there = ({group: state[group] for group in trained_groups(trial.graph)} for state in (trial.fresh, other))
    leaves = zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True)
    assert any(not np.array_equal(x, y) for x, y in leaves), "another key gives the same parameters"


def check_update_is_repeated_step(trial: Trial, n: int = 2) -> None:
    """``update(n)`` equals n steps on the batches it draws; metrics are means over the steps that report them.

    If the source of batches learns from updates, or batches are parts of a rollout, of which more than batches is made, it
    equals n updates of one step each, on one rollout.
    """
    program = trial.program
    storage = replay_of(program, trial.seed + 1)
    state, reported, draw = trial.state, [], Slow(program.draw_batch)
    memory = program.data.source.memory(len(storage["r"]))
    if memory is not None:
        state = state | {MEMORY: on_host(memory)}
    if updates := program.data.updates:
        state, n = state | {"step": np.int32(0)}, min(n, updates)
    updated = on_host(program.update(as_arrays(state), storage, n, trial.hyper))
    for _ in range(n):
        if memory is None and not updates:
            batch = draw(state, storage)
            state, metrics, _ = on_host(program.step(as_arrays(state), batch, trial.hyper))
        else:
            state, metrics = on_host(program.update(as_arrays(state), storage, 1, trial.hyper))
        reported.append(metrics)
    assert_close("update and repeated steps: state ", updated[0], state)
    for name in program.metric_names:
        values = [metrics[name] for metrics in reported if metrics.get(f"{RAN}{name}", 1.0)]
        expected = {name: np.float32(np.mean(values) if values else 0.0), f"{RAN}{name}": np.float32(bool(values))}
        assert_close(f"update and repeated steps: {name} ", {key: updated[1][key] for key in expected}, expected)


def check_checkpoint_restores(trial: Trial) -> None:
    """A state restored from a checkpoint, using only the program's names and shapes, is bitwise identical."""
    state = trial.stepped[0]
    with tempfile.TemporaryDirectory() as folder:
        written = Checkpoints(Path(folder))
        written.save(1, learner.to_arrays(as_arrays(state)), {}, np.zeros((0, 1), np.float32), 0, 0)
        loaded = Checkpoints(Path(folder)).load()
    assert loaded is not None, "the checkpoint cannot be read"
    template = trial.traced_step.out_info[0]
    restored = learner.from_arrays(template, loaded.state)
    for (path, x), y in zip(jax.tree.leaves_with_path(restored), jax.tree.leaves(state), strict=True):
        same = x.dtype == y.dtype and np.asarray(x).tobytes() == y.tobytes()
        assert same, f"the checkpoint changes {jax.tree_util.keystr(path)} from\n{y}\nto\n{x}"
