"""Formulas against NumPy: axes meet by name, reductions remove the axes they name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.axes import AXES
from flowrl_dsl.formula import Constant, Formula, Operation
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.formulas import FormulaBuilder
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lowering.evaluate import interpret
from tests import reference
from tests.helpers import along, ew, grad, let, red, var

SIZES = {name: size for name, size in zip(AXES, (2, 3, 2, 4, 3, 2, 3, 2, 2, 3, 2), strict=True)}
VALUES = {
    "scalar": (),
    "r": ("batch",),
    "q": ("ensemble", "batch"),
    "qn": ("ensemble", "batch", "particle"),
    "w": ("batch", "particle"),
    "a": ("batch", "action"),
    "an": ("batch", "particle", "action"),
    "ao": ("batch", "other", "action"),
}
RNG = np.random.default_rng(0)
DATA = {name: RNG.uniform(0.2, 2.0, [SIZES[axis] for axis in axes]).astype("f") for name, axes in VALUES.items()}


def value(term):
    b = Builder("f")
    values = {name: b.input(name, Type(axes)) for name, axes in VALUES.items()}
    out = FormulaBuilder(b, values, {}).build(Formula(term), "out")
    assert out.axes == term.axes
    b.output("out", out)
    got = np.asarray(interpret(b.finish(), DATA)["out"])
    assert got.shape == tuple(SIZES[axis] for axis in term.axes)
    return got


def named(name):
    return var(name, *VALUES[name])


def spread(array, axes, full):
    """The array with every axis of ``full``, in order, by explicit loops over the index."""
    out = np.zeros([SIZES[axis] for axis in full])
    for index in np.ndindex(out.shape):
        place = dict(zip(full, index, strict=True))
        out[index] = array[tuple(place[axis] for axis in axes)]
    return out


ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "maximum": np.maximum}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(VALUES)), st.sampled_from(sorted(VALUES)), st.sampled_from(sorted(ARITHMETIC)))
def test_values_meet_by_the_names_of_their_axes(x, y, function):
    term = ew(function, named(x), named(y))
    left, right = (spread(DATA[name], VALUES[name], term.axes) for name in (x, y))
    np.testing.assert_allclose(value(term), ARITHMETIC[function](left, right), rtol=1e-5)


REDUCTIONS = {
    "mean": np.mean, "sum": np.sum, "min": np.min, "max": np.max, "std": np.std,
    "logsumexp": lambda x, axis: np.log(np.sum(np.exp(x), axis)),
    "norm": lambda x, axis: np.sqrt(np.sum(x * x, axis)),
    "count": lambda x, axis: np.sum(np.ones_like(x), axis),
}  # fmt: skip


@pytest.mark.parametrize("function", REDUCTIONS)
@pytest.mark.parametrize("over", [("ensemble",), ("particle",), ("ensemble", "particle"), ("batch", "particle"), ()])
def test_a_reduction_removes_the_axes_it_names(function, over):
    axis = tuple(VALUES["qn"].index(name) for name in over) or (0, 1, 2)
    expected = REDUCTIONS[function](DATA["qn"].astype(np.float64), axis)
    np.testing.assert_allclose(value(red(function, named("qn"), *over)), expected, rtol=1e-4)


@pytest.mark.parametrize("axis", ["ensemble", "batch", "particle"])
def test_functions_along_an_axis_keep_it(axis):
    x, position = DATA["qn"].astype(np.float64), VALUES["qn"].index(axis)
    e = np.exp(x)
    soft = e / e.sum(position, keepdims=True)
    np.testing.assert_allclose(value(along("softmax", named("qn"), axis)), soft, rtol=1e-4)
    np.testing.assert_allclose(value(along("log_softmax", named("qn"), axis)), np.log(soft), rtol=1e-4)
    best = (x == x.max(position, keepdims=True)).astype(float)
    np.testing.assert_array_equal(value(along("best", named("qn"), axis)), best)
    smaller = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        line = list(index)
        line[position] = slice(None)
        smaller[index] = np.sum(x[tuple(line)] < x[index])
    np.testing.assert_array_equal(value(along("rank", named("qn"), axis)), smaller)


def test_functions_along_an_axis_take_further_numbers():
    """The weights of linear_simplex at equal candidates, by a literal and by an input."""
    flat = ew("sign", named("w"))
    for b in (Constant(-0.5), named("scalar")):
        term = Operation("simplex_linear", (flat, b), flat.axes, ("particle",))
        np.testing.assert_allclose(value(term), np.full((3, 4), 0.25), rtol=1e-6)


def test_a_point_is_compared_with_points_along_an_axis_that_is_removed():
    """Both have axes of their own, which meet by name."""
    term = Operation("mean_shift", (named("an"), named("ao"), Constant(0.5)), VALUES["an"], ("other",))
    got = value(term)
    for i, n in np.ndindex(3, 4):
        np.testing.assert_allclose(
            got[i, n], reference.mean_shift(DATA["an"][i, n], DATA["ao"][i], 0.5), rtol=1e-4, atol=1e-5
        )
    term = Operation("mean_shift", (named("a"), named("an"), named("scalar")), VALUES["a"], ("particle",))
    expected = [reference.mean_shift(DATA["a"][i], DATA["an"][i], float(DATA["scalar"])) for i in range(3)]
    np.testing.assert_allclose(value(term), expected, rtol=1e-4, atol=1e-5)


def test_equal_values_have_equal_ranks_and_one_best():
    """ "How many values are smaller": none is smaller than its equal."""
    flat = ew("sign", named("w"))  # all ones
    np.testing.assert_array_equal(value(along("rank", flat, "particle")), np.zeros((3, 4)))
    np.testing.assert_array_equal(value(along("best", flat, "particle")), np.eye(4)[[0, 0, 0]])


@pytest.mark.parametrize("function, exact", [
    ("neg", np.negative), ("abs", np.abs), ("exp", np.exp), ("log", np.log), ("sqrt", np.sqrt), ("square", np.square),
    ("tanh", np.tanh), ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("softplus", lambda x: np.log1p(np.exp(x))),
    ("relu", lambda x: np.maximum(x, 0)), ("sign", np.sign),
])  # fmt: skip
def test_functions_of_one_value(function, exact):
    x = ew("sub", named("an"), 0.7) if function not in ("log", "sqrt") else named("an")
    data = DATA["an"].astype(np.float64) - (0.7 if function not in ("log", "sqrt") else 0)
    np.testing.assert_allclose(value(ew(function, x)), exact(data), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("function, exact", [
    ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal), ("eq", np.equal),
    ("ne", np.not_equal),
])  # fmt: skip
def test_comparisons_are_numbers(function, exact):
    got = value(ew(function, named("w"), named("scalar")))
    np.testing.assert_array_equal(got, exact(DATA["w"], DATA["scalar"]).astype(float))
    assert got.dtype == np.float32


def test_clip_where_and_powers():
    w = DATA["w"].astype(np.float64)
    np.testing.assert_allclose(value(ew("clip", named("w"), 0.5, 1.0)), np.clip(w, 0.5, 1.0), rtol=1e-6)
    np.testing.assert_allclose(value(ew("where", ew("gt", named("w"), 1.0), named("r"), 0.0)),
                               np.where(w > 1, DATA["r"][:, None], 0), rtol=1e-6)  # fmt: skip
    np.testing.assert_allclose(value(ew("pow", ew("neg", named("w")), 2.0)), w**2, rtol=1e-5)
    np.testing.assert_allclose(value(ew("pow", 2.0, named("w"))), 2**w, rtol=1e-5)


def test_constants_alone_are_a_number():
    assert float(value(ew("add", Constant(1.0), 2.5))) == 3.5
    assert float(value(Constant(0.25))) == 0.25


def test_gradients_lets_and_stops():
    a = named("a")
    g = let("g", grad(red("sum", ew("mul", ew("square", a), named("r"))), a))
    np.testing.assert_allclose(value(g), 2 * DATA["a"] * DATA["r"][:, None], rtol=1e-5)
    half = grad(ew("mul", ew("stop", a), a), a)
    np.testing.assert_allclose(value(half), DATA["a"], rtol=1e-6)
    # the gradient of the mean over the batch is that of the sum, divided: no other row has a say
    scaled = grad(red("mean", red("sum", ew("square", a), "action")), a)
    np.testing.assert_allclose(value(scaled), 2 * DATA["a"] / 3, rtol=1e-5)
