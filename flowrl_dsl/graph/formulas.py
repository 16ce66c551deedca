"""Typed formulas become graph nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowrl_dsl.axes import union
from flowrl_dsl.formula import PRIMITIVES, Bound, Constant, Formula, Gradient, Operation, Term, Variable
from flowrl_dsl.graph.builder import Builder, Value, aligned
from flowrl_dsl.graph.expr import Arg, Call, Expr, Literal, Partial, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.graph.particles import mean_shift, simplex_linear, simplex_square
from flowrl_dsl.graph.plain import same_values_as
from flowrl_dsl.lazy import jax, jnp


@kernel
def best(x, axis):
    """1 at the largest value along the axis (the first, where several are equal), 0 elsewhere."""
    return jax.nn.one_hot(jnp.argmax(x, axis=axis), x.shape[axis], axis=axis, dtype=x.dtype)


@kernel
def rank(x, axis):
    """The number of smaller values along the axis."""
    line = jnp.moveaxis(x, axis, -1)
    smaller = jnp.sum(line[..., None, :] < line[..., :, None], axis=-1)
    return jnp.moveaxis(smaller, -1, axis).astype(x.dtype)


@kernel
def root(square):
    """sqrt, with gradient 0 at 0 instead of infinity."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


@kernel
def norm(x, axis=None):
    """Euclidean norm along one or several axes; its gradient at 0 is 0."""
    return root(jnp.sum(jnp.square(x), axis=axis))


@kernel
def std(x, axis=None):
    """Standard deviation along one or several axes; if all values are equal its gradient is 0."""
    return root(jnp.var(x, axis=axis))


@kernel
@same_values_as("jnp.max")
def largest(x, axis=None):
    """The largest value along one or several axes; its gradient is shared evenly by the values that equal it.

    The gradient of jnp.max compares x with the result, and a compiler may compute x once more for that and round it
    differently.  No value equals the largest then, and jnp.max would divide by their number; here the first of the largest
    has the gradient.
    """
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    line = jnp.moveaxis(x, axes, range(-len(axes), 0)).reshape(*(n for i, n in enumerate(x.shape) if i not in axes), -1)

    @jax.custom_jvp
    def f(line):
        return jnp.max(line, axis=-1)

    @f.defjvp
    def value_and_change(primals, tangents):
        (line,), (change,) = primals, tangents
        y = jnp.max(line, axis=-1, keepdims=True)
        share = (line == y).astype(line.dtype)
        number = jnp.sum(share, axis=-1, keepdims=True)
        share = jnp.where(number > 0, share / jnp.maximum(number, 1.0), best(line, -1))
        return y[..., 0], jnp.sum(share * change, axis=-1)

    return f(line)


@kernel
@same_values_as("jnp.min")
def smallest(x, axis=None):
    """The smallest value along one or several axes: -largest(-x)."""
    return -largest(-x, axis)


@kernel
def count(x, axis=None):
    """The number of values along the axes."""
    return jnp.sum(jnp.ones_like(x), axis=axis)


@kernel
def nth_member(x, n, axis):
    """The n-th member along the axis of an ensemble, counted from 1."""
    return jnp.take(x, n - 1, axis=axis)


@kernel
def where(condition, x, y):
    """x where the condition is not 0, else y."""
    return jnp.where(condition != 0, x, y)


@kernel
def compare(relation, x, y):
    """1 where the relation holds, else 0."""
    return relation(x, y).astype(jnp.float32)


_ELEMENTWISE = {
    "neg": "jnp.negative",
    "abs": "jnp.abs",
    "exp": "jnp.exp",
    "log": "jnp.log",
    "sqrt": "jnp.sqrt",
    "square": "jnp.square",
    "tanh": "jnp.tanh",
    "sigmoid": "jax.nn.sigmoid",
    "softplus": "jax.nn.softplus",
    "relu": "jax.nn.relu",
    "sign": "jnp.sign",
    "add": "jnp.add",
    "sub": "jnp.subtract",
    "mul": "jnp.multiply",
    "div": "jnp.divide",
    "pow": "jnp.power",
    "maximum": "jnp.maximum",
    "minimum": "jnp.minimum",
    "clip": "jnp.clip",
    "where": "where",
}
_COMPARISON = {
    "lt": "jnp.less",
    "le": "jnp.less_equal",
    "gt": "jnp.greater",
    "ge": "jnp.greater_equal",
    "eq": "jnp.equal",
    "ne": "jnp.not_equal",
}
_REDUCTION: dict[str, Callable[..., Any] | str] = {
    "mean": "jnp.mean",
    "sum": "jnp.sum",
    "min": smallest,
    "max": largest,
    "std": std,
    "logsumexp": "jax.nn.logsumexp",
    "norm": norm,
    "count": count,
}
_ALONG: dict[str, Callable[..., Any] | str] = {
    "softmax": "jax.nn.softmax",
    "log_softmax": "jax.nn.log_softmax",
    "best": best,
    "rank": rank,
    "simplex_linear": simplex_linear,
    "simplex_square": simplex_square,
}


@dataclass
class FormulaBuilder:
    """Builds formulas over the values and functions of a slot."""

    builder: Builder
    values: Mapping[str, Value]
    functions: Mapping[str, Callable[..., Value]]
    _bound: dict[str, tuple[Term, Value]] = field(default_factory=dict)
    _drawn: list[tuple[Term, Value]] = field(default_factory=list)

    def build(self, formula: Formula, name: str) -> Value:
        """The formula's value as a node called ``name``."""
        with self.builder.at(formula.span):
            return self._term(formula.term, name)

    def _term(self, term: Term, name: str = "") -> Value:
        with self.builder.at(term.span):
            match term:
                case Constant(value):
                    return self.builder.constant(value, name or "constant")
                case Variable(variable):
                    return self.values[variable]
                case Bound(bound, value):
                    return self._let(bound, value)
                case Gradient(value, wrt):
                    return self._gradient(self._term(value), self.values[wrt.name], name or "gradient")
                case Operation():
                    return self._operation(term, name)

    def _gradient(self, value: Value, wrt: Value, name: str) -> Value:
        """The gradient; zeros where the value does not depend on the variable."""
        if self.builder.depends(value, wrt):
            return self.builder.grad(value, wrt, name)
        return self.builder.add("Constant", call("jnp.zeros_like", Arg(0)), (wrt,), wrt.type, name)

    def _let(self, name: str, term: Term) -> Value:
        known = self._bound.get(name)
        if known is None or known[0] != term:
            self._bound[name] = known = (term, self._term(term, name))
        return known[1]

    def _operation(self, term: Operation, name: str) -> Value:
        function = term.function
        if function == "stop":
            return self.builder.stop(self._term(term.operands[0]), name)
        if function == "subset":
            return self._subset(term)
        if function == "member":
            return self._member(term, name)
        if function not in PRIMITIVES:
            reading = {"source": term.source} if term.source else {}
            return self.functions[function](*(self._term(operand) for operand in term.operands), **reading)
        if function in _REDUCTION:
            value = self._term(term.operands[0])
            return self.builder.reduce(_REDUCTION[function], value, term.over or value.axes, name or function)
        if function in _ALONG:
            return self._along(term, name)
        if function == "mean_shift":
            return self._mean_shift(term, name)
        return self._elementwise(term, name)

    def _subset(self, term: Operation) -> Value:
        """Random members; equal calls in a formula are the same draw."""
        for known, value in self._drawn:
            if known == term:
                return value
        q, count = term.operands
        assert isinstance(count, Constant)
        value = self.functions["subset"](self._term(q), int(count.value))
        self._drawn.append((term, value))
        return value

    def _member(self, term: Operation, name: str) -> Value:
        value, n = self._term(term.operands[0]), term.operands[1]
        assert isinstance(n, Constant)
        expr = call(nth_member, Arg(0), int(n.value), axis=value.axes.index("ensemble"))
        return self.builder.add("Reduce", expr, (value,), Type(term.axes), name or term.function)

    def _along(self, term: Operation, name: str) -> Value:
        operands = [self._term(operand) for operand in term.operands]
        axis = operands[0].axes.index(term.over[0])
        expr = call(_ALONG[term.function], *map(Arg, range(len(operands))), axis=axis)
        return self.builder.add("Weights", expr, operands, operands[0].type, name or term.function)

    def _mean_shift(self, term: Operation, name: str) -> Value:
        x, y, floor = (self._term(operand) for operand in term.operands)
        full = union(x.axes, y.axes)
        points = (aligned(0, x.axes, full), aligned(1, y.axes, full))
        expr = call(mean_shift, *points, Arg(2), axis=full.index(term.over[0]))
        return self.builder.add("MeanShift", expr, (x, y, floor), Type(term.axes), name or term.function)

    def _elementwise(self, term: Operation, name: str) -> Value:
        """Constants are part of the node's expression; everything else is an input."""
        operands = [o if isinstance(o, Constant) else self._term(o) for o in term.operands]
        inputs = [o for o in operands if isinstance(o, Value)]
        full = union(*(v.axes for v in inputs))
        args: list[Expr] = []
        for operand in operands:
            if isinstance(operand, Constant):
                args.append(Literal(operand.value))
            else:
                args.append(aligned(len([a for a in args if not isinstance(a, Literal)]), operand.axes, full))
        comparison = _COMPARISON.get(term.function)
        if comparison is not None:
            expr = call("compare", Partial(comparison), *args)
        else:
            expr = Call(_ELEMENTWISE[term.function], tuple(args))
        return self.builder.add("Arithmetic", expr, inputs, Type(full), name or term.function)
