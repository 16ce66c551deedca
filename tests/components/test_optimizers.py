"""Optimizers: Adam against the published recursion, the others against loops, and every registered one on a bowl."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.descent import gradient_step
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.registry import members_of
from tests import reference
from tests.helpers import SIZES, algorithm, component, scalar

RNG = np.random.default_rng(0)
GRADIENTS = [RNG.normal(size=7) * scale for scale in (1.0, 3.0, 0.01, 10.0)]
ADAM = optax.scale_by_adam(0.9, 0.999, 1e-8)
adam = partial(gradient_step, ADAM)


def run(clip_norm=None, transformation=ADAM):
    start = RNG.permutation(7).astype("f")
    tree = {"w": jnp.asarray(start[:5]), "b": {"c": jnp.asarray(start[5:])}}
    state = transformation.init(tree)
    for g in GRADIENTS:
        gradient = {"w": jnp.asarray(g[:5], "f"), "b": {"c": jnp.asarray(g[5:], "f")}}
        tree, state = gradient_step(transformation, tree, gradient, state, 0.01, clip_norm)
    return start.astype(np.float64), np.concatenate([tree["w"], tree["b"]["c"]]), state


@pytest.mark.parametrize("clip_norm", [None, 2.0, 100.0])
def test_adam_equals_the_published_recursion(clip_norm):
    """The norm that is bounded is that of all parameters together."""
    start, got, state = run(clip_norm)
    np.testing.assert_allclose(got, reference.adam(start, GRADIENTS, 0.01, clip_norm), rtol=1e-5, atol=1e-6)
    assert int(state.count) == 4


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate_whatever_the_gradient():
    params = jnp.zeros(3)
    new, _ = adam(params, jnp.array([1e-3, -5.0, 1e3]), ADAM.init(params), 0.1)
    np.testing.assert_allclose(new, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_a_zero_gradient_moves_nothing_and_clips_to_a_number():
    params = jnp.ones(3)
    new, _ = adam(params, jnp.zeros(3), ADAM.init(params), 0.1, 1.0)
    np.testing.assert_array_equal(new, params)


# every registered optimizer, as its component builds it


def stepper(name: str, **options):
    """(init, step) of a component: its nodes, interpreted; ``step`` takes parameters, gradient and state."""
    numbers = {key: scalar(f"o.{key}", value) for key, value in options.items() if isinstance(value, float)}
    plain = {key: value for key, value in options.items() if not isinstance(value, float)}
    made = component("optimizer", name, **{"learning_rate": scalar("o.learning_rate", 0.05), **numbers, **plain})
    b = Builder("optimizer")
    ctx = Context(b, algorithm(), SIZES, {}, b.input("key", Type(dtype="u32")))
    params, gradient, state = (b.input(n, TREE) for n in ("params", "gradient", "state"))
    b.output("fresh", made.init(ctx, params, "fresh"))
    fresh = b.finish()
    b.outputs.clear()
    for output, value in zip(("new", "state"), made.step(ctx, params, gradient, state), strict=True):
        b.output(output, value)
    stepped, hyper = b.finish(), {f"hyper.{k}": np.float32(v) for k, v in ctx.report.hyper.items()}

    def init(params):
        wanted = {n: node for n, node in fresh.nodes.items() if n in ("params", fresh.outputs["fresh"])}
        return interpret(type(fresh)("init", wanted, fresh.outputs), {"params": params})["fresh"]

    def step(params, gradient, state):
        nodes = {n: node for n, node in stepped.nodes.items() if n != fresh.outputs["fresh"]}
        inputs = {"params": params, "gradient": gradient, "state": state, **hyper}
        return tuple(interpret(type(stepped)("step", nodes, stepped.outputs), inputs)[key] for key in ("new", "state"))

    return jax.jit(init), jax.jit(step)


@pytest.mark.parametrize("name", sorted(members_of("optimizer")))
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_every_optimizer_descends_a_bowl(name, clip_norm):
    """f(x) = |x - c|^2 / 2 falls to a thousandth of its start, with a bound on the gradient and without."""
    options = {} if clip_norm is None else {"clip_norm": clip_norm}
    options |= {"decay": 0.0} if "decay" in members_of("optimizer")[name].model_fields else {}
    init, step = stepper(name, **options)
    centre = np.array([1.0, -0.5, 0.25], np.float32)
    x = {"w": jnp.zeros(3)}
    state = init(x)
    for _ in range(300):
        x, state = step(x, {"w": x["w"] - centre}, state)
    assert float(jnp.sum((x["w"] - centre) ** 2)) < 1e-3 * float(np.sum(centre**2))
    assert jax.tree.structure(state) == jax.tree.structure(init(x))


def test_adamw_decays_the_parameters_and_not_the_moments():
    """theta - lr (adam direction + decay theta), as a loop over the published recursion."""
    init, step = stepper("adamw", decay=0.1)
    x = {"w": jnp.asarray([2.0, -3.0])}
    state, m, v, expected = init(x), np.zeros(2), np.zeros(2), np.array([2.0, -3.0])
    for k in range(1, 5):
        g = np.array([0.3 * k, -0.2])
        x, state = step(x, {"w": jnp.asarray(g, "f")}, state)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        direction = (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        expected = expected - 0.05 * (direction + 0.1 * expected)
    np.testing.assert_allclose(x["w"], expected, rtol=1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_keeps_a_share_of_the_last_step(nesterov):
    init, step = stepper("sgd", momentum=0, nesterov=nesterov)
    plain = {"w": jnp.ones(2)}
    moved, _ = step(plain, {"w": jnp.asarray([1.0, -2.0])}, init(plain))
    np.testing.assert_allclose(moved["w"], [0.95, 1.1], rtol=1e-6)
    made = members_of("optimizer")["sgd"]
    init, step = stepper("sgd", nesterov=nesterov)
    x, expected, trace = {"w": jnp.zeros(2)}, np.zeros(2), np.zeros(2)
    state, momentum = init(x), made.model_fields["momentum"].default
    for g in (np.array([1.0, -2.0]), np.array([0.5, 0.5])):
        x, state = step(x, {"w": jnp.asarray(g, "f")}, state)
        trace = momentum * trace + g
        expected = expected - 0.05 * (momentum * trace + g if nesterov else trace)
    np.testing.assert_allclose(x["w"], expected, rtol=1e-6)
