from __future__ import annotations

import jax
import numpy as np
import pytest

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.passes.cse import common_subexpressions
from tests.helpers import ALGORITHMS, graphs_of

VECTOR = Type(("batch",))


def builder():
    b = Builder("t")
    return b, b.input("state.x", VECTOR)


def test_equal_nodes_become_one_and_what_reads_them_reads_it():
    b, x = builder()
    first, second = b.elementwise("jnp.tanh", x), b.elementwise("jnp.tanh", x)
    b.output("y", b.elementwise("jnp.multiply", b.elementwise("jnp.sin", first), b.elementwise("jnp.sin", second)))
    graph = common_subexpressions(b.finish())
    assert list(graph.nodes) == ["state.x", "tanh", "sin", "multiply"]
    assert graph.nodes["multiply"].inputs == ("sin", "sin")


def test_an_output_that_is_merged_keeps_its_name():
    b, x = builder()
    b.output("one", b.elementwise("jnp.tanh", x))
    b.output("two", b.elementwise("jnp.tanh", x))
    graph = common_subexpressions(b.finish())
    assert graph.outputs == {"one": "tanh", "two": "tanh"}


@pytest.mark.parametrize("change", ["function", "input order", "literal", "type"])
def test_what_differs_in_anything_stays_apart(change):
    b, x = builder()
    y = b.input("state.y", VECTOR)
    b.output("first", b.add("Op", call("jnp.subtract", Arg(0), Arg(1)), (x, y), VECTOR, "a"))
    second = {
        "function": (call("jnp.add", Arg(0), Arg(1)), (x, y), VECTOR),
        "input order": (call("jnp.subtract", Arg(0), Arg(1)), (y, x), VECTOR),
        "literal": (call("jnp.subtract", Arg(0), 1.0), (x, y), VECTOR),
        "type": (call("jnp.subtract", Arg(0), Arg(1)), (x, y), Type(("particle",))),
    }[change]
    b.output("second", b.add("Op", second[0], second[1], second[2], "b"))
    graph = common_subexpressions(b.finish())
    assert {"a", "b"} <= set(graph.nodes)


def test_literals_of_different_types_stay_apart():
    b, x = builder()
    for k, literal in enumerate((1, 1.0, True)):
        b.output(f"o{k}", b.add("Op", call("jnp.multiply", Arg(0), literal), (x,), VECTOR, f"n{k}"))
    assert len(common_subexpressions(b.finish()).nodes) == 4


def test_two_draws_never_merge():
    b, _ = builder()
    parent = b.input("key", Type(dtype="u32"))
    for name in ("z", "z"):
        draw = call("jax.random.normal", Arg(0), (3,))
        value = b.add("Noise", draw, (b.key(parent, name),), VECTOR, name)
        b.output(value.name, value)
    graph = common_subexpressions(b.finish())
    out = interpret(graph, {"key": jax.random.PRNGKey(0)})
    assert len(out) == 2 and len({float(v[0]) for v in out.values()}) == 2


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_draw_of_an_algorithm_is_lost(name):
    before = graphs_of(ALGORITHMS[name](), passes=False)[0]["step"]
    after = common_subexpressions(before)
    for op in ("Key", "Noise", "Sample"):
        names = {n.name for n in before.nodes.values() if n.op == op}
        if op == "Key" or name != "td3":  # a deterministic policy's samples are not draws: equal ones may be one
            assert names == {n.name for n in after.nodes.values() if n.op == op}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_is_done_after_one_pass(name):
    for graph in graphs_of(ALGORITHMS[name](), passes=False)[0].values():
        once = common_subexpressions(graph)
        assert common_subexpressions(once) == once


def test_values_are_kept():
    b, x = builder()
    first, second = b.elementwise("jnp.tanh", x), b.elementwise("jnp.tanh", x)
    b.output("g", b.grad(b.elementwise("jnp.multiply", first, second), x, "g"))
    inputs = {"state.x": np.array([0.3, -0.7], "f")}
    before, after = (interpret(g, inputs)["g"] for g in (b.finish(), common_subexpressions(b.finish())))
    np.testing.assert_allclose(before, after, rtol=1e-6)
