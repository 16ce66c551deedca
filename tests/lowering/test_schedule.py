"""The schedule against the interpreter, on graphs that are awkward by hand and on random ones."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import Graph, Node, Type, region
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.lowering.emit import emit_python
from flowrl_dsl.lowering.evaluate import interpret, run_schedule
from flowrl_dsl.lowering.schedule import Choose, Compute, Differentiate, schedule
from flowrl_dsl.passes import run_passes

VECTOR = Type(("batch",))
INPUTS = {
    "state.x": np.array([0.5, -0.3, 0.8], "f"),
    "state.y": np.array([-0.2, 0.9, 0.1], "f"),
    "batch.c": np.array(True),
    "batch.d": np.array(False),
}


def builder():
    b = Builder("step", role="step")
    return b, b.input("state.x", VECTOR), b.input("state.y", VECTOR)


def finish(b, *values):
    for k, value in enumerate(values):
        b.output(f"metric.m{k}", value)
    # a step writes every group of its state
    for name in ("x", "y"):
        b.output(f"state.{name}", b.input(f"state.{name}", VECTOR))
    return b.finish()


def agree(graph, **changes):
    """Outputs by interpretation, which the schedule, the passes and the printed Python must reproduce."""
    verify(graph)
    inputs = {**INPUTS, **changes}
    expected = interpret(graph, inputs)
    smaller, _ = run_passes(graph, check_each=True)
    for form in (graph, smaller):
        env = dict(inputs)
        run_schedule(schedule(form), env)
        for output, name in form.outputs.items():
            np.testing.assert_allclose(env[name], expected[output], rtol=1e-4, atol=1e-5, err_msg=output)
    names: dict = {}
    exec(emit_python("t", "", {"step": smaller}, {}, "0"), names)
    groups = {g: {k.split(".")[1]: v for k, v in inputs.items() if k.startswith(g)} for g in ("state", "batch")}
    _, metrics = names["step"](groups["state"], groups["batch"], {})
    for name, value in metrics.items():
        np.testing.assert_allclose(value, expected[f"metric.{name}"], rtol=1e-4, atol=1e-5)
    return {name.removeprefix("metric."): np.asarray(v) for name, v in expected.items()}


def tanh(b, x):
    return b.elementwise("jnp.tanh", x)


def mul(b, x, y):
    return b.elementwise("jnp.multiply", x, y)


X, Y = INPUTS["state.x"].astype(float), INPUTS["state.y"].astype(float)


def test_a_gradient_sums_the_loss_over_its_axes():
    b, x, y = builder()
    got = agree(finish(b, b.grad(mul(b, mul(b, x, x), y), x, "g")))
    np.testing.assert_allclose(got["m0"], 2 * X * Y, rtol=1e-5)


def test_a_gradient_inside_a_gradient():
    """g = d(x^3)/dx = 3x^2;  d(g y)/dx = 6 x y"""
    b, x, y = builder()
    g = b.grad(mul(b, mul(b, x, x), x), x, "inner")
    got = agree(finish(b, b.grad(mul(b, g, y), x, "outer"), g))
    np.testing.assert_allclose(got["m0"], 6 * X * Y, rtol=1e-5)
    np.testing.assert_allclose(got["m1"], 3 * X**2, rtol=1e-5)


def test_a_gradient_with_respect_to_a_value_inside_another_gradient():
    """z = x^2 inside; g = d(z^3)/dz = 3 z^2 = 3 x^4;  dg/dx = 12 x^3"""
    b, x, _ = builder()
    z = mul(b, x, x)
    g = b.grad(mul(b, mul(b, z, z), z), z, "inner")
    got = agree(finish(b, b.grad(g, x, "outer"), z))
    np.testing.assert_allclose(got["m0"], 12 * X**3, rtol=1e-4)


def test_two_gradients_that_share_their_forward_pass():
    b, x, y = builder()
    shared = tanh(b, mul(b, x, y))
    first, second = b.grad(shared, x, "gx"), b.grad(mul(b, shared, shared), y, "gy")
    got = agree(finish(b, first, second, shared))
    slope = 1 - np.tanh(X * Y) ** 2
    np.testing.assert_allclose(got["m0"], slope * Y, rtol=1e-4)
    np.testing.assert_allclose(got["m1"], 2 * np.tanh(X * Y) * slope * X, rtol=1e-4)


def test_a_stop_of_a_value_that_depends_on_the_variable():
    """d(stop(x^2) x)/dx = x^2"""
    b, x, _ = builder()
    square = mul(b, x, x)
    got = agree(finish(b, b.grad(mul(b, b.stop(square), x), x, "g"), square))
    np.testing.assert_allclose(got["m0"], X**2, rtol=1e-5)


def test_the_gradient_of_a_gradient_through_a_stop_is_partial():
    """g = stop(3x^2), used in a loss: d(g x)/dx = 3x^2, not 9x^2"""
    b, x, _ = builder()
    g = b.stop(b.grad(mul(b, mul(b, x, x), x), x, "inner"))
    got = agree(finish(b, b.grad(mul(b, g, x), x, "outer")))
    np.testing.assert_allclose(got["m0"], 3 * X**2, rtol=1e-5)


def test_a_value_of_a_region_that_is_used_outside_comes_back_with_the_gradient():
    b, x, y = builder()
    loss = mul(b, tanh(b, x), y)
    outside = mul(b, loss, loss)
    graph = finish(b, b.grad(loss, x, "g"), outside)
    got = agree(graph)
    np.testing.assert_allclose(got["m1"], (np.tanh(X) * Y) ** 2, rtol=1e-4)
    steps = schedule(graph)
    differentiate = next(step for step in steps if isinstance(step, Differentiate))
    assert differentiate.carried == [loss.name]
    computed = [step.node.name for step in steps if isinstance(step, Compute)]
    assert loss.name not in computed, "the forward pass is done once"


def test_a_gradient_with_respect_to_an_updated_value_reads_the_new_one():
    """Two descents in a row, as critic -> policy: the second starts where the first ended."""
    b, x, y = builder()
    first = b.elementwise("jnp.subtract", x, b.grad(mul(b, x, x), x, "g1"), name="x_new")
    second = b.grad(mul(b, mul(b, first, first), y), first, "g2")
    got = agree(finish(b, second))
    np.testing.assert_allclose(got["m0"], 2 * (X - 2 * X) * Y, rtol=1e-5)


def condition(b, name="batch.c"):
    return b.input(name, Type(dtype="bool"))


@pytest.mark.parametrize("holds", [True, False])
def test_a_condition_chooses_all_its_values(holds):
    b, x, y = builder()
    new = [tanh(b, x), mul(b, x, y)]
    got = agree(finish(b, *b.when(condition(b), new, [x, y], "w")), **{"batch.c": np.array(holds)})
    np.testing.assert_allclose(got["m0"], np.tanh(X) if holds else X, rtol=1e-5)
    np.testing.assert_allclose(got["m1"], X * Y if holds else Y, rtol=1e-5)


def test_what_only_the_new_values_need_is_computed_in_the_branch():
    b, x, y = builder()
    deep = tanh(b, tanh(b, mul(b, x, y)))
    shared = tanh(b, y)
    chosen = b.when(condition(b), [mul(b, deep, shared)], [x], "w")
    graph = finish(b, *chosen, shared)
    agree(graph)
    steps = schedule(graph)
    (choose,) = (step for step in steps if isinstance(step, Choose))
    assert deep.name in {step.node.name for step in choose.body}
    assert shared.name in {step.node.name for step in steps if isinstance(step, Compute)}


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_a_condition_within_a_condition(outer, inner):
    b, x, y = builder()
    (z,) = b.when(condition(b, "batch.d"), [tanh(b, x)], [y], "inner")
    (w,) = b.when(condition(b), [mul(b, z, z)], [x], "outer")
    got = agree(finish(b, w), **{"batch.c": np.array(outer), "batch.d": np.array(inner)})
    z = np.tanh(X) if inner else Y
    np.testing.assert_allclose(got["m0"], z * z if outer else X, rtol=1e-5)


@pytest.mark.parametrize("holds", [True, False])
def test_a_gradient_within_a_condition_and_its_loss_used_outside(holds):
    """As every(2, policy): the loss is reported whatever the condition says, the gradient is not."""
    b, x, y = builder()
    loss = mul(b, tanh(b, x), y)
    (new,) = b.when(condition(b), [b.elementwise("jnp.subtract", x, b.grad(loss, x, "g"))], [x], "w")
    got = agree(finish(b, new, loss), **{"batch.c": np.array(holds)})
    expected = X - (1 - np.tanh(X) ** 2) * Y if holds else X
    np.testing.assert_allclose(got["m0"], expected, rtol=1e-4)


@pytest.mark.parametrize("holds", [True, False])
def test_a_gradient_through_a_condition(holds):
    b, x, y = builder()
    (z,) = b.when(condition(b), [mul(b, x, x)], [mul(b, x, y)], "w")
    got = agree(finish(b, b.grad(tanh(b, z), x, "g")), **{"batch.c": np.array(holds)})
    inner, slope = (X**2, 2 * X) if holds else (X * Y, Y)
    np.testing.assert_allclose(got["m0"], (1 - np.tanh(inner) ** 2) * slope, rtol=1e-4)


def test_inputs_may_be_outputs_and_losses_may_be_linear():
    b, x, y = builder()
    agree(finish(b, x, b.grad(b.elementwise("jnp.add", x, y), x, "g")))


# random graphs


@st.composite
def graphs(draw):
    b, x, y = builder()
    values = [x, y]
    for k in range(draw(st.integers(2, 12))):
        pick = lambda: draw(st.sampled_from(values))  # noqa: E731, B023
        kind = draw(st.sampled_from(["tanh", "multiply", "add", "stop", "grad", "grad", "when"]))
        if kind == "tanh":
            values.append(tanh(b, pick()))
        elif kind in ("multiply", "add"):
            values.append(b.elementwise(f"jnp.{kind}", pick(), pick()))
        elif kind == "stop":
            values.append(b.stop(pick()))
        elif kind == "when":
            n = draw(st.integers(1, 2))
            name = draw(st.sampled_from(["batch.c", "batch.d"]))
            values += b.when(condition(b, name), [pick() for _ in range(n)], [pick() for _ in range(n)], f"when_{k}")
        else:
            loss, wrt = pick(), pick()
            probe = Node("probe", "Grad", (loss.name, wrt.name), None, VECTOR)
            if loss.name != wrt.name and region(Graph("step", b.nodes, {}), probe):
                values.append(b.grad(loss, wrt, f"gradient_{k}"))
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=4))
    return finish(b, *chosen, values[-1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], report_multiple_bugs=False)
@given(graphs(), st.booleans(), st.booleans())
def test_random_graphs_mean_the_same_in_every_form(graph, c, d):
    agree(graph, **{"batch.c": np.array(c), "batch.d": np.array(d)})


def test_a_draw_inside_a_region_is_the_same_draw():
    """A key that only the loss needs: its value does not depend on where it is evaluated."""
    b, x, _ = builder()
    key = b.input("state.key", Type(dtype="u32"))
    b.output("state.key", key)
    noise = b.add("Noise", call("jax.random.normal", Arg(0), (3,)), (b.key(key, "z"),), VECTOR, "z")
    loss = mul(b, x, noise)
    agree(finish(b, b.grad(loss, x, "g"), noise), **{"state.key": np.asarray(jax.random.PRNGKey(0))})
