from __future__ import annotations

import re
from dataclasses import replace

import pytest

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import Arg, Item, Literal, build, call, partial
from flowrl_dsl.graph.nodes import TREE, Graph, Node, Type
from flowrl_dsl.graph.rules import RULES
from flowrl_dsl.graph.verify import GraphError, verify, verify_together
from tests.helpers import ALGORITHMS, graphs_of

VECTOR = Type(("batch",))
ACTIONS = Type(("batch", "action"))


def good():
    b = Builder("step", role="step")
    x = b.input("state.x", VECTOR)
    moments = b.input("state.m", TREE)
    key = b.input("state.key", Type(dtype="u32"))
    noise = b.add("Noise", call("jax.random.normal", Arg(0), (3,)), (b.key(key, "z"),), VECTOR, "z")
    loss = b.elementwise("jnp.multiply", x, noise, name="loss")
    gradient = b.grad(loss, x, "gradient")
    step = b.add("GradientStep", call("jnp.subtract", Arg(0), Arg(1)), (x, gradient, moments), TREE, "step")
    b.output("state.x", b.item(step, 0, VECTOR, "new"))
    b.output("state.m", b.item(step, 1, TREE, "new_m"))
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


def one(op, expr, *types, type=VECTOR):
    """A graph of one node of some operation, which reads an input of each type; without anything to update."""
    b = Builder("explore")
    inputs = [b.input(f"state.i{k}", t) for k, t in enumerate(types)]
    b.output("action", b.add(op, expr, inputs, type, "x"))
    return b.finish()


def two_modules():
    b = Builder("explore")
    for name, sizes in (("x", (1,)), ("y", (2,))):
        b.output(name, b.add("Init", call("jnp.asarray", build("net", "jnp.zeros", shape=sizes)), (), TREE, name))
    return b.finish()


def broken():
    g = good()
    n = g.nodes
    order = dict(reversed(list(n.items())))
    second = Node("z2", "Noise", ("z.key",), n["z"].expr, VECTOR)
    away = Node("away", "Constant", (), Literal(1.0), Type())
    add, boolean = call("jnp.add", Arg(0), Arg(1)), Type(dtype="bool")
    return {
        "before it is computed": Graph("step", order, g.outputs, "step"),
        "reads nothing_like_it before": with_nodes(g, replace(n["z"], inputs=("nothing_like_it",))),
        "stored under another name": Graph("step", {**n, "alias": n["z"]}, g.outputs, "step"),
        "has no node": with_nodes(g, outputs={**g.outputs, "metric.m": "nowhere"}),
        "needs an expression": with_nodes(g, replace(n["loss"], expr=None)),
        "takes no expression": with_nodes(g, replace(n["gradient"], expr=Literal(0.0))),
        "uses input 2 of 2": with_nodes(g, replace(n["loss"], expr=call("jnp.multiply", Arg(0), Arg(2)))),
        "random key z.key feeds 2 draws": with_nodes(g, second, outputs={**g.outputs, "metric.z": "z2"}),
        "does not depend on": with_nodes(
            g, away, Node("g2", "Grad", ("away", "state.x"), None, VECTOR), outputs={**g.outputs, "metric.g": "g2"}
        ),
        "not taken with respect to it": with_nodes(g, replace(n["step"], inputs=("state.x", "z", "state.m"))),
        "not part of the state": with_nodes(g, outputs={**g.outputs, "state.ghost": "z"}),
        "x: no rule for the operation Magic": one("Magic", call("jnp.tanh", Arg(0)), VECTOR),
        "x calls jnp.no_such_thing, which is": one("Arithmetic", call("jnp.no_such_thing", Arg(0)), VECTOR),
        "x calls no_such_kernel, which is": one("Arithmetic", call("no_such_kernel", Arg(0)), VECTOR),
        "x calls os.remove, which is": one("Arithmetic", call("os.remove", Arg(0)), VECTOR),
        "x calls jnp.pi, which is": one("Arithmetic", call("jnp.tanh", partial("jnp.pi")), VECTOR),
        "y builds another module of the name net": two_modules(),
        "x has axes [batch], but its inputs together have [batch, action]": one("Arithmetic", add, VECTOR, ACTIONS),
        "x has axes [action] that no input has": one("Reduce", call("jnp.mean", Arg(0)), VECTOR, type=ACTIONS),
        "x lacks axes [action] of input 0": one("Broadcast", add, ACTIONS, VECTOR),
        "x lacks axes [batch] of its inputs": one("Sample", add, TREE, VECTOR, type=Type(("action",))),
        "x has rows [], but its inputs have [batch]": one("Predict", add, TREE, VECTOR, type=Type(("action",))),
        "action values are": one("QValue", add, TREE, VECTOR),
        "an action has one density": one("LogProb", add, TREE, ACTIONS, type=ACTIONS),
        "a loss is one number": one("Loss", add, VECTOR, VECTOR),
        "x is f32[], but Key gives u32[]": one("Key", add, Type(), Type(), type=Type()),
        "Finite gives a single number": one("Finite", add, VECTOR, VECTOR),
        "x is f32[batch], but Schedule gives f32[]": one("Schedule", add, Type(), Type()),
        "x is f32[], but input 0 is f32[batch]": one("Stop", None, VECTOR, type=Type()),
        "x takes a part of state.i0, which is no": one("Item", Item(Arg(0), 0), VECTOR),
        "x needs an expression $0": one("Item", call("jnp.tanh", Arg(0)), TREE),
        "as many old values": one("When", None, boolean, VECTOR, VECTOR, VECTOR, type=TREE),
        "replaces state.i1, which is": one("When", None, boolean, VECTOR, ACTIONS, type=TREE),
    }


@pytest.mark.parametrize("op", sorted(RULES.keys() - {"Init", "Arithmetic"}))
def test_each_operation_bounds_the_number_of_its_inputs(op):
    rule = RULES[op]
    wrong = [rule.least - 1] * (rule.least > 0) + ([] if rule.most is None else [rule.most + 1])
    expr = call("jnp.zeros", ()) if rule.computed else None
    assert wrong
    for count in wrong:
        with pytest.raises(GraphError, match=f"x: {op} takes {rule.arity} inputs, not {count}"):
            verify(one(op, expr, *[VECTOR] * count))


def test_one_name_means_one_module_in_all_graphs_of_a_program():
    small, large = (
        one("Init", call("jnp.asarray", build("net", "jnp.zeros", shape=shape)), type=TREE) for shape in ((1,), (2,))
    )
    verify_together([small, small])
    with pytest.raises(GraphError, match="x builds another module of the name net"):
        verify_together([small, large])


@pytest.mark.parametrize("message", broken())
def test_each_broken_invariant_is_named(message):
    with pytest.raises(GraphError, match=re.escape(message)):
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
        verify(with_nodes(g, outputs={"state.x": "new", "state.key": "state.key"}))
