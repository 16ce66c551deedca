from __future__ import annotations

from dataclasses import replace

import pytest

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import Arg, Literal, call
from flowrl_dsl.graph.nodes import TREE, Graph, Node, Type
from flowrl_dsl.graph.verify import GraphError, verify
from tests.helpers import ALGORITHMS, graphs_of

VECTOR = Type(("batch",))


def good():
    b = Builder("step", role="step")
    x = b.input("state.x", VECTOR)
    key = b.input("state.key", Type(dtype="u32"))
    noise = b.add("Noise", call("jax.random.normal", Arg(0), (3,)), (b.key(key, "z"),), VECTOR, "z")
    loss = b.elementwise("jnp.multiply", x, noise, name="loss")
    gradient = b.grad(loss, x, "gradient")
    step = b.add("GradientStep", call("jnp.subtract", Arg(0), Arg(1)), (x, gradient), VECTOR, "step")
    b.output("state.x", step)
    b.output("state.key", key)
    return b.finish()


def with_nodes(graph, *changed, outputs=None):
    nodes = dict(graph.nodes) | {node.name: node for node in changed}
    return Graph(graph.name, nodes, graph.outputs if outputs is None else outputs, graph.role)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_graphs_of_algorithms_are_sound(name):
    for graph in graphs_of(ALGORITHMS[name](), passes=False)[0].values():
        verify(graph)


def test_a_sound_graph_passes():
    verify(good())


def broken():
    g = good()
    n = g.nodes
    order = dict(reversed(list(n.items())))
    second = Node("z2", "Noise", ("z.key",), n["z"].expr, VECTOR)
    away = Node("away", "Constant", (), Literal(1.0), Type())
    return {
        "before it is computed": Graph("step", order, g.outputs, "step"),
        "stored under another name": Graph("step", {**n, "alias": n["z"]}, g.outputs, "step"),
        "has no node": with_nodes(g, outputs={**g.outputs, "metric.m": "nowhere"}),
        "needs an expression": with_nodes(g, replace(n["loss"], expr=None)),
        "takes no expression": with_nodes(g, replace(n["gradient"], expr=Literal(0.0))),
        "uses input 2 of 2": with_nodes(g, replace(n["loss"], expr=call("jnp.multiply", Arg(0), Arg(2)))),
        "random key z.key feeds 2 draws": with_nodes(g, second, outputs={**g.outputs, "metric.z": "z2"}),
        "does not depend on": with_nodes(
            g, away, Node("g2", "Grad", ("away", "state.x"), None, VECTOR), outputs={**g.outputs, "metric.g": "g2"}
        ),
        "not taken with respect to it": with_nodes(g, replace(n["step"], inputs=("state.x", "z"))),
        "not part of the state": with_nodes(g, outputs={**g.outputs, "state.ghost": "z"}),
    }


@pytest.mark.parametrize("message", broken())
def test_each_broken_invariant_is_named(message):
    with pytest.raises(GraphError, match=message):
        verify(broken()[message])


def test_a_gradient_through_a_stop_has_nothing_to_differentiate():
    b = Builder("step")
    x = b.input("state.x", VECTOR)
    b.output("metric.g", b.grad(b.stop(b.elementwise("jnp.tanh", x)), x, "g"))
    b.output("state.x", x)
    with pytest.raises(GraphError, match="does not depend on"):
        verify(b.finish())


def test_all_problems_are_named_at_once():
    g = good()
    bad = with_nodes(g, replace(g.nodes["loss"], expr=None), outputs={**g.outputs, "metric.m": "nowhere"})
    with pytest.raises(GraphError, match=r"needs an expression.*|.*has no node") as error:
        verify(bad)
    assert "needs an expression" in str(error.value) and "has no node" in str(error.value)


def test_state_that_is_read_but_not_written_is_lost():
    """A step must hand on every group of the state it takes: else the next step has no such group."""
    g = good()
    with pytest.raises(GraphError, match="not written"):
        verify(with_nodes(g, outputs={"state.x": "step"}))


def test_a_condition_needs_as_many_old_values_as_new_ones():
    b = Builder("step")
    x, c = b.input("state.x", VECTOR), b.input("batch.c", Type(dtype="bool"))
    b.output("metric.w", b.add("When", None, (c, x, x, x), TREE, "w"))
    b.output("state.x", x)
    with pytest.raises(GraphError, match="as many"):
        verify(b.finish())
