from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.common import is_nth
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.targets.ema import moving_average
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lowering.evaluate import interpret
from tests.helpers import SIZES, algorithm, batch, component, fresh, kept, program, same, scalar


@pytest.mark.parametrize("rate", [0.0, 0.005, 1.0])
def test_the_moving_average_moves_every_leaf_by_its_share(rate):
    copy, params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}, {"a": jnp.array([3.0, -2.0]), "b": jnp.array(1.0)}
    got = moving_average(copy, params, rate)
    np.testing.assert_allclose(got["a"], [(1 - rate) * 1 + rate * 3, (1 - rate) * 2 - rate * 2], rtol=1e-6)
    np.testing.assert_allclose(got["b"], (1 - rate) * 3 + rate, rtol=1e-6)


def test_the_moving_average_forgets_geometrically():
    copy = jnp.array(1.0)
    for _ in range(50):
        copy = moving_average(copy, jnp.array(0.0), 0.1)
    assert float(copy) == pytest.approx(0.9**50, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_nth_update_is_the_nth(n):
    assert [k + 1 for k in range(9) if is_nth(k, n)] == list(range(n, 10, n))


def test_a_copy_is_refreshed_in_each_second_step_with_what_was_just_written():
    """dpmd: order [critic, policy, temperature] -> targets, old = copy(2)."""
    p = program("dpmd")
    init = p.graphs["init"].outputs
    assert init["state.old_policy"] == init["state.policy"]
    state = fresh("dpmd")
    for update in range(1, 5):
        old = kept(state["old_policy"])
        state, _, _ = p.step(state, batch(update), p.hyper)
        now = kept(state)
        assert same(now["old_policy"], now["policy"] if update % 2 == 0 else old), update
        assert not same(now["policy"], old)


def test_the_target_critic_follows_the_new_critic():
    p = program("dpmd")
    before = fresh("dpmd")
    after = kept(p.step(fresh("dpmd"), batch(), p.hyper)[0])
    kernel = [tree["hidden_0"]["kernel"] if "hidden_0" in tree else tree["head"]["kernel"] for tree in (
        before["critic_target"], after["critic"], after["critic_target"])]  # fmt: skip
    np.testing.assert_allclose(kernel[2], 0.9 * kernel[0] + 0.1 * kernel[1], rtol=1e-5, atol=1e-7)
    assert not same(before["critic_target"], after["critic_target"])


@pytest.mark.parametrize("kind", ["ema", "copy"])
def test_a_copy_moves_in_every_nth_update_from_a_given_one_on(kind):
    """Updates 0 ... 8, every = 2 and after = 3: the copy moves in the updates 3, 5 and 7 alone."""
    options = {"rate": scalar("rate", 0.25)} if kind == "ema" else {}
    target = component("target", kind, every=2, after=3, **options)
    b = Builder("follow")
    versions = {"x": b.input("x", SCALAR), "copy": b.input("copy", SCALAR)}
    ctx = Context(b, algorithm(), SIZES, versions, b.input("key", Type(dtype="u32")))
    b.output("new", target.follow(ctx, versions["copy"], versions["x"], "new"))
    graph, copy, expected = b.finish(), np.float32(0), 0.0
    for k in range(9):
        inputs = {"x": np.float32(k), "copy": copy, "state.step": np.int32(k), "hyper.rate": np.float32(0.25)}
        copy = np.float32(interpret(graph, inputs)["new"])
        if k in (3, 5, 7):
            expected = 0.75 * expected + 0.25 * k if kind == "ema" else k
        assert float(copy) == pytest.approx(expected), k
