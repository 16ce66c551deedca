"""Interpreted node by node, compiled, and printed as Python: the same numbers."""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import pytest

from flowrl_dsl.lowering.emit import emit_python
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.testing.traced import Traced
from tests.helpers import ALGORITHMS, QUICK, Seen, batch, close, kept, program, random_state


@cache
def printed(name):
    """The names that the printed file defines."""
    p = program(name)
    source = emit_python(name, "hand-built", p.graphs, p.hyper, "0")
    assert "flowrl_dsl" not in source.replace("Printed by flowrl-dsl", "")
    names: dict = {}
    exec(compile(source, f"<{name}>", "exec"), names)
    return names


@cache
def compiled(name):
    return jax.jit(program(name)._step, compiler_options=QUICK)


def state_of(name, update, seed=2):
    return random_state(ALGORITHMS[name](), seed) | {"step": np.int32(update)}


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"qsm"}))  # hybrid holds its block
def test_the_printed_step_equals_that_of_the_program(name):
    """In updates 0 and 1: every(2, ...) rests in the first and runs in the second.

    Both are evaluated by NumPy; below, XLA compiles the program's.
    """
    p = program(name)
    assert printed(name)["HYPER"] == p.hyper
    given = (state_of(name, 0), batch(1), p._inputs(p.hyper))
    steps = [Traced(step, *given) for step in (p._step, printed(name)["step"])]
    for update in (0, 1):
        own, from_file = (step(state_of(name, update), *given[1:]) for step in steps)
        state, metrics, feedback = own
        close((state, metrics, feedback) if feedback else (state, metrics), from_file)
        assert int(state["step"]) == update + 1
        assert {name for name in metrics if not name.startswith("ran.")} == set(p.metric_names)


@pytest.mark.parametrize("name", ["dpmd", "bptt", "hybrid", "sac", "td3"])
def test_the_interpreted_step_equals_the_compiled_one(name):
    p = program(name)
    state, metrics, _ = compiled(name)(state_of(name, 1), batch(1), p._inputs(p.hyper))
    inputs = Program.step_inputs(state_of(name, 1), batch(1), p._inputs(p.hyper))
    seen = Seen(p.graphs["step"], inputs, eager=name == "td3")
    close(kept(state), kept(seen.state), rtol=1e-3, atol=2e-5)
    close(kept(metrics), {k: np.float32(v) for k, v in seen.metrics.items()}, rtol=1e-3)


@pytest.mark.parametrize("name", ["qsm", "td3"])
def test_acting_agrees_in_all_three(name):
    p, names = program(name), printed(name)
    state, obs = state_of(name, 0), batch(3)["s"]
    for mode in ("explore", "evaluate"):
        hyper = p._inputs(p.hyper)
        given = state, obs, np.int32(4), hyper
        a = jax.jit(partial(p._act, mode), compiler_options=QUICK)(*given)["action"]
        b = Traced(names[mode], *given)(*given)
        inputs = {f"state.{k}": v for k, v in state.items()} | {f"hyper.{k}": v for k, v in hyper.items()}
        seen = Seen(p.graphs[mode], inputs | {"obs": obs, "counter": np.int32(4)})
        close(b, seen.outputs["action"])
        close(a, seen.outputs["action"], atol=1e-4)
        assert a.shape == (8, 2) and np.abs(a).max() <= 1


def test_a_fresh_state_agrees():
    p, names = program("td3"), printed("td3")
    run = jax.jit(lambda key: (p._init(key), names["init"](key)), compiler_options=QUICK)
    close(*run(jax.random.PRNGKey(5)))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_step_keeps_the_shape_of_the_state(name):
    p = program(name)
    state, data, hyper = p.examples()
    after, *_ = jax.eval_shape(p._step, state, data, hyper)
    assert jax.tree.structure(state) == jax.tree.structure(after)
    for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
