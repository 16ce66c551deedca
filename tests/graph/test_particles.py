"""Exact simplex weights against bisection in float64, and the kernel mean shift against loops."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.formulas import FormulaBuilder
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.graph.particles import mean_shift, median_size, simplex_linear, simplex_square
from flowrl_dsl.lowering.evaluate import run_schedule
from flowrl_dsl.lowering.schedule import schedule
from tests import reference
from tests.helpers import QUICK
from tests.spec.test_typecheck import checked

FLOORS = (-0.5, 0.0, 0.4)
jit = partial(jax.jit, compiler_options=QUICK)
LINEAR = jit(partial(simplex_linear, axis=-1))
SQUARE = jit(partial(simplex_square, axis=-1))


def linear(z, b=0.0):
    return np.asarray(LINEAR(np.asarray(z, "f"), np.float32(b)), np.float64)


def square(z):
    return np.asarray(SQUARE(np.asarray(z, "f")), np.float64)


SCHEMES = {**{f"linear {b}": partial(linear, b=b) for b in FLOORS}, "square": square}


def exact(scheme, z):
    if scheme == "square":
        return reference.simplex(z, lambda x: np.maximum(x, 0) ** 2, 1.0)
    b = float(scheme.split()[1])
    return reference.simplex(z, lambda x: np.maximum(x, b / len(z)), 2.0 - b)


@cache
def inputs(n):
    """Rows of n values: spread little and much, tied, all equal, one far above, one far below."""
    rng = np.random.default_rng(n)
    rows = [scale * rng.normal(size=n) for scale in (1e-4, 0.01, 0.1, 1.0, 10.0)]
    rows += [np.round(rng.normal(size=n)) / 4, np.full(n, 0.3), 5.0 * np.eye(n)[0], -5.0 * np.eye(n)[0]]
    return np.array(rows, "f")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [1, 2, 3, 64])
def test_weights_equal_those_by_bisection(scheme, n):
    z = inputs(n)
    for row, got in zip(z.astype(np.float64), SCHEMES[scheme](z), strict=True):
        np.testing.assert_allclose(got, exact(scheme, row), atol=2e-6)


def test_weights_by_hand():
    """Two candidates whose values differ by 1/2."""
    np.testing.assert_allclose(linear([0.5, 0.0]), [0.75, 0.25], atol=1e-6)
    np.testing.assert_allclose(linear([0.5, 0.0], -0.5), [0.75, 0.25], atol=1e-6)
    np.testing.assert_allclose(linear([2.0, 0.0]), [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(linear([2.0, 0.0], -0.5), [1.25, -0.25], atol=1e-6)
    np.testing.assert_allclose(linear([2.0, 0.0, 1.0], 1.0), [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(linear([2.0, 0.0, 1.0], 3.0), [1 / 3] * 3, atol=1e-6)
    # (x + 1/2)^2 + x^2 = 1 at x = (sqrt 7 - 1) / 4
    x = (np.sqrt(7) - 1) / 4
    np.testing.assert_allclose(square([0.5, 0.0]), [(x + 0.5) ** 2, x**2], atol=1e-6)
    np.testing.assert_allclose(square([1.5, 0.0]), [1.0, 0.0], atol=1e-6)


FINITE = (
    st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, 1.0, -1e30, 1e30, 1e-30]) | st.floats(-2, 2, width=32)
)
CASES = settings(max_examples=60, deadline=None)


@CASES
@given(arrays(np.float32, (3, 9), elements=FINITE), st.sampled_from(sorted(SCHEMES)))
def test_weights_of_any_finite_input_sum_to_one_and_keep_the_order(z, scheme):
    w = SCHEMES[scheme](z)
    assert np.abs(w.sum(-1) - 1).max() < 1e-6
    least = 0.0 if scheme == "square" else np.float32(float(scheme.split()[1]) / 9)
    assert w.min() >= least
    for row, weights in zip(z, w, strict=True):
        assert (np.diff(weights[np.argsort(row, kind="stable")]) >= 0).all()
        assert all(weights[i] == weights[j] for i in range(9) for j in range(9) if row[i] == row[j])


PUBLISHED = ("softmax_weights(score, tau)", "linear_simplex(score, tau, -0.5)", "square_simplex(score, tau)")


@cache
def published(text):
    """A scheme of the standard library as a function of scores [batch, particle] and a temperature."""
    b, (formula, _) = Builder("weights"), checked(text)
    values = {"score": b.input("score", Type(("batch", "particle"))), "tau": b.input("tau", SCALAR)}
    result = FormulaBuilder(b, values, {}).build(formula, "weights")
    b.output("weights", result)
    steps = schedule(b.finish())

    def weights(score, tau):
        env = {"score": score, "tau": tau}
        run_schedule(steps, env)
        return env[result.name]

    return jit(weights)


LARGEST = float(np.finfo("f").max)
VALUES = st.floats(-LARGEST, LARGEST, width=32, allow_subnormal=False) | st.sampled_from([0.0, LARGEST, -LARGEST, 1.0])
TEMPERATURES = st.floats(2.0**-120, 2.0**120, width=32) | st.sampled_from([1e-30, 0.05, 1.0])


@CASES
@given(arrays(np.float32, (3, 9), elements=VALUES), TEMPERATURES, st.sampled_from(PUBLISHED))
@example(np.full((3, 9), 1e38, "f"), 0.1, PUBLISHED[0])
@example(np.full((3, 9), -1e38, "f"), 0.1, PUBLISHED[1])
@example(np.linspace(-LARGEST, LARGEST, 27, dtype="f").reshape(3, 9), 1e-30, PUBLISHED[2])
def test_weights_of_any_values_at_any_temperature_sum_to_one(q, tau, text):
    """Where q / temperature is beyond float32 as well."""
    w = np.asarray(published(text)(q, np.float32(tau)), np.float64)
    assert np.abs(w.sum(-1) - 1).max() < 1e-6
    best = np.take_along_axis(w, q.argmax(-1)[:, None], axis=-1)
    assert (best >= w).all()


@CASES
@given(arrays(np.int8, (3, 9), elements=st.integers(-40, 40)), st.integers(-30, 30), st.sampled_from(sorted(SCHEMES)))
def test_weights_do_not_see_a_shift(z, shift, scheme):
    """In sixteenths, which float32 adds exactly."""
    z = z.astype("f") / 16
    np.testing.assert_array_equal(SCHEMES[scheme](z + np.float32(shift)), SCHEMES[scheme](z))


@pytest.mark.parametrize("function", [lambda z: simplex_linear(z, -0.5, 0), lambda z: simplex_square(z, 0)])
def test_gradients_are_finite(function):
    slope = jit(jax.grad(lambda z: jnp.sum(jnp.arange(9.0) * function(z))))
    for z in (np.zeros(9), np.arange(9.0), 1e30 * np.eye(9)[0], np.array([1.0, 1, 0, 0, 0, 0, 0, 0, 0]), inputs(9)[3]):
        assert np.isfinite(slope(z.astype("f"))).all()


def test_a_gradient_is_that_of_the_weights_where_it_is_smooth():
    z, h = inputs(9)[2].astype(np.float64), 1e-4
    for function, scheme in (
        (lambda z: simplex_linear(z, 0.0, 0), "linear 0.0"),
        (lambda z: simplex_square(z, 0), "square"),
    ):
        got = jit(jax.grad(lambda z, f=function: jnp.sum(jnp.sin(jnp.arange(9.0)) * f(z))))(z.astype("f"))
        expected = reference.gradient(lambda x, s=scheme: np.sin(np.arange(9.0)) @ exact(s, x), z, h)
        np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-3)


def test_weights_run_along_any_axis():
    z = inputs(4)[:6].reshape(2, 3, 4)
    for axis in (0, 1):
        got = jit(lambda z, axis=axis: (simplex_linear(z, 0.2, axis), simplex_square(z, axis)))(z)
        expected = linear(np.moveaxis(z, axis, -1), 0.2), square(np.moveaxis(z, axis, -1))
        for x, y in zip(got, expected, strict=True):
            np.testing.assert_allclose(np.moveaxis(x, axis, -1), y, atol=1e-6)


# the kernel mean shift

SHIFT = jit(partial(mean_shift, axis=-2))
"""From points [..., 1, d] to points [..., n, d]."""
MEDIAN = jit(median_size)


@CASES
@given(arrays(np.float32, st.tuples(st.just(2), st.integers(1, 7)), elements=st.floats(0, 1e3, width=32)))
def test_the_median_of_sizes_is_the_median(x):
    np.testing.assert_allclose(MEDIAN(x), np.median(x, axis=-1), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("n, d, scale", [(1, 2, 1.0), (2, 1, 1.0), (5, 2, 0.3), (6, 3, 1e-3), (4, 2, 100.0)])
def test_the_mean_shift_equals_the_loop(n, d, scale):
    """One point after the other, each with a bandwidth of its own; below the floor for the smallest scale."""
    rng = np.random.default_rng(n)
    spread = scale * np.array([1.0, 2.0, 5.0])[:, None, None]
    x, y = (spread * rng.normal(size=(3, count, d)).astype("f") for count in (1, n))
    got = SHIFT(x, y, 0.05)
    for i in range(3):
        np.testing.assert_allclose(got[i], reference.mean_shift(x[i, 0], y[i], 0.05), rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("near, far, floor", [(0.5, 1.0, 0.05), (0.01, 0.02, 0.05), (0.3, 0.4, 0.6)])
def test_the_mean_shift_towards_two_points(near, far, floor):
    """To points at near and far on a line: (u near + w far) / (u + w), u and w the weights of their distances."""
    variance = max((near**2 + far**2) / 2 / (2 * np.log(3)), floor)
    u, w = (np.exp(-(distance**2) / (2 * variance)) for distance in (near, far))
    got = SHIFT(np.zeros((1, 1), "f"), np.array([[near], [far]], "f"), floor)
    np.testing.assert_allclose(got, [(u * near + w * far) / (u + w)], rtol=1e-4)


def test_the_mean_shift_to_one_point_is_the_way_to_it_however_far():
    """No distance is so long that all weights vanish."""
    x, y = np.array([[0.5, -2.0]], "f"), np.array([[1e4, 3e4]], "f")
    np.testing.assert_allclose(SHIFT(x, y, 0.05), (y - x)[0], rtol=1e-6)


def test_the_mean_shift_to_equal_points_is_zero_and_so_is_its_gradient():
    at = np.full((1, 2), 0.4, "f")
    np.testing.assert_array_equal(SHIFT(at, np.full((4, 2), 0.4, "f"), 0.0), np.zeros(2))
    slope = jit(jax.grad(lambda x: jnp.sum(jnp.square(mean_shift(x, jnp.full((4, 2), 0.4), 0.05, -2)))))(at)
    np.testing.assert_array_equal(slope, np.zeros((1, 2)))


@CASES
@given(
    arrays(np.float32, (2, 1, 3), elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, (2, 4, 3), elements=st.floats(-1, 1, width=32)),
    st.permutations(range(4)),
)
def test_the_mean_shift_leads_into_the_hull_and_does_not_care_for_the_order_of_points(x, y, order):
    shift = np.asarray(SHIFT(x, y, 0.05))
    np.testing.assert_allclose(SHIFT(x, y[:, order], 0.05), shift, atol=1e-5)
    moved = x[:, 0] + shift
    assert (moved <= y.max(1) + 1e-5).all() and (moved >= y.min(1) - 1e-5).all()


def test_points_may_lie_along_any_axis_but_the_last():
    x, y = (np.random.default_rng(n).normal(size=(n, 3, 2)).astype("f") for n in (1, 4))
    got = jit(lambda x, y: mean_shift(x, y, 0.05, 0))(x, y)
    for i in range(3):
        np.testing.assert_allclose(got[i], reference.mean_shift(x[0, i], y[:, i], 0.05), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_median_is_that_of_numbers_of_any_precision(n, dtype):
    x = np.abs(np.random.default_rng(n).normal(size=(4, n))).astype(dtype)
    with jax.enable_x64(True):
        got = median_size(jnp.asarray(x))
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got, np.median(x, axis=-1), rtol=1e-3 if dtype == "float16" else 1e-6)
