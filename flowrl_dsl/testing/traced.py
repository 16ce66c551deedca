"""Evaluation of a JAX program in NumPy, one operation at a time.

jax only traces the program; no compiler is involved.  The result is a reference for the code that XLA compiles, and a fast
one for small programs: tracing takes a tenth of the time of compilation. ::

    traced = Traced(step, state, batch, hyper)
    state, metrics = traced(state, batch, hyper)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from flowrl_dsl.components.random_numbers import quick_bits
from flowrl_dsl.testing.primitives import RULES, Parameters

Draw = Callable[[tuple[int, ...], str, np.ndarray], np.ndarray]
"""A replacement of random bits: a function of their shape for one key, the scope of the draw, and the bits
[*keys, *shape]."""
_QUICK = quick_bits.__name__

_ARITHMETIC = ("add", "add_any", "sub", "mul", "div", "pow", "integer_pow", "square", "sqrt", "rsqrt", "cbrt")
_FUNCTIONS = ("exp", "exp2", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "logistic", "erf", "erfc", "erf_inv")
_SUMS = ("reduce_sum", "reduce_prod", "cumsum", "cumprod", "dot_general", "scatter-add")
SHAKEN = frozenset({*_ARITHMETIC, *_FUNCTIONS, *_SUMS})
"""Operations that round their results."""
CHOOSING = frozenset({"argmax", "argmin"})
"""Operations that choose between numbers; where these are equal, because a bound made them so, only moving them tells."""
TINY = 1e-30
"""By how much a 0 is moved."""
SHAKE = 2.0**-22
"""By how much a shaken result may be moved, as a share of it: four times what rounding moves it."""

_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the program of an operation which just calls it."""


class Traced:
    """A function traced by jax for arguments like these, and evaluated by NumPy.

    ``shapes`` are those of its results.  If ``draw`` is given, it replaces all random values.  If ``shake``, a random
    generator, is given, the result of every operation and the operands of every choice are perturbed within a few rounding
    errors: several calls estimate the effect of rounding on the results (Parker, "Monte Carlo arithmetic", 1997).
    """

    def __init__(self, function: Callable[..., Any], *examples: Any):
        self.jaxpr, self.shapes = jax.make_jaxpr(function, return_shape=True)(*examples)
        self._structure = jax.tree.structure(self.shapes)

    def __call__(self, *arguments: Any, draw: Draw | None = None, shake: np.random.Generator | None = None) -> Any:
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(arguments)]
        with np.errstate(all="ignore"):
            values = _Run(draw, shake).closed(self.jaxpr, leaves, "")
        return jax.tree.unflatten(self._structure, values)


class Slow:
    """A function evaluated by NumPy and retraced for arguments of new shapes; a drop-in replacement for a jitted one."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self._known: dict[Any, Traced] = {}

    def __call__(self, *arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        shape = structure, *((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)
        if shape not in self._known:
            self._known[shape] = Traced(self.function, *arguments)
        return self._known[shape](*arguments)


class _Run:
    """Evaluates jaxprs.  ``scope`` is the innermost named scope around the current equation."""

    def __init__(self, draw: Draw | None, shake: np.random.Generator | None):
        self.draw = draw
        self.shake = shake

    def closed(self, program: core.ClosedJaxpr, values: Sequence[Any], scope: str) -> list[np.ndarray]:
        return self.jaxpr(program.jaxpr, program.consts, values, scope)

    def jaxpr(self, program: core.Jaxpr, consts: Sequence[Any], values: Sequence[Any], scope: str) -> list[np.ndarray]:
        known: dict[core.Var, Any] = dict(zip(program.constvars, map(np.asarray, consts), strict=True))
        known.update(zip(program.invars, values, strict=True))

        def read(atom: Any) -> np.ndarray:
            if not isinstance(atom, core.Literal):
                return known[atom]
            aval: Any = atom.aval
            return np.asarray(atom.val, aval.dtype)

        for equation in program.eqns:
            found = self.equation(equation, [read(atom) for atom in equation.invars], scope)
            known.update(zip(equation.outvars, found, strict=True))
        return [read(atom) for atom in program.outvars]

    def equation(self, equation: core.JaxprEqn, values: Sequence[Any], scope: str) -> Sequence[Any]:
        name = equation.primitive.name
        rule = RULES.get(name)
        if rule is not None:
            if name in CHOOSING:
                values = [self._shaken(x) for x in values]
            found = rule(equation.params, *values)
            if self.draw is not None and name == "random_bits":
                found = self.draw(equation.params["shape"], _scope_of(equation) or scope, found)
            found = found if equation.primitive.multiple_results else [found]
            return [self._shaken(np.asarray(x)) if name in SHAKEN else np.asarray(x) for x in found]
        loop = _LOOPS.get(name)
        inner = _scope_of(equation) or scope
        if loop is not None:
            return loop(self, equation.params, values, inner)
        for key in _CALLED:
            if key in equation.params:
                found = self._call(equation.params[key], values, inner)
                if self.draw is not None and equation.params.get("name") == _QUICK:
                    keys = values[0].ndim - 1 if values else 0  # a constant key is not an argument
                    found = [self.draw(found[0].shape[keys:], inner, found[0])]
                return found
        return _by_jax(equation, values)

    def _shaken(self, x: np.ndarray) -> np.ndarray:
        if self.shake is None or x.dtype.kind != "f":
            return x
        by = self.shake.uniform(-1, 1, x.shape)
        return (x * (1 + SHAKE * by) + TINY * by).astype(x.dtype)

    def _call(self, program: Any, values: Sequence[Any], scope: str) -> list[np.ndarray]:
        if isinstance(program, core.ClosedJaxpr):
            return self.closed(program, values, scope)
        return self.jaxpr(program, (), values, scope)

    def cond(self, p: Parameters, values: Sequence[Any], scope: str) -> list[np.ndarray]:
        which, *operands = values
        branches = p["branches"]
        return self.closed(branches[min(max(int(which), 0), len(branches) - 1)], operands, scope)

    def while_loop(self, p: Parameters, values: Sequence[Any], scope: str) -> Sequence[Any]:
        of_condition, of_body = p["cond_nconsts"], p["body_nconsts"]
        condition, body = values[:of_condition], values[of_condition : of_condition + of_body]
        carry = values[of_condition + of_body :]
        while self.closed(p["cond_jaxpr"], [*condition, *carry], scope)[0]:
            carry = self.closed(p["body_jaxpr"], [*body, *carry], scope)
        return carry

    def scan(self, p: Parameters, values: Sequence[Any], scope: str) -> list[np.ndarray]:
        consts, carried = p["num_consts"], p["num_carry"]
        constant, carry, along = values[:consts], values[consts : consts + carried], values[consts + carried :]
        program = p["jaxpr"]
        order = range(p["length"])
        rows: list[Sequence[Any]] = []
        for i in reversed(order) if p["reverse"] else order:
            found = self.closed(program, [*constant, *carry, *(x[i] for x in along)], scope)
            carry = found[:carried]
            rows.append(found[carried:])
        if p["reverse"]:
            rows.reverse()
        shapes = [variable.aval for variable in program.jaxpr.outvars[carried:]]
        stacked = [np.stack([row[k] for row in rows]) if rows else _empty(shape) for k, shape in enumerate(shapes)]
        return [*carry, *stacked]


_LOOPS: Mapping[str, Callable[..., Sequence[Any]]] = {"cond": _Run.cond, "while": _Run.while_loop, "scan": _Run.scan}


def _empty(aval: Any) -> np.ndarray:
    return np.zeros((0, *aval.shape), aval.dtype)


def _scope_of(equation: core.JaxprEqn) -> str:
    """The names around an equation, outermost first: ``jvp(critic.loss)/...``; empty if there are none."""
    return str(equation.source_info.name_stack)


def _by_jax(equation: core.JaxprEqn, values: Sequence[Any]) -> list[np.ndarray]:
    """An operation missing from the table, evaluated by jax in isolation."""
    found = equation.primitive.bind(*map(jax.numpy.asarray, values), **equation.params)
    return [np.asarray(x) for x in (found if equation.primitive.multiple_results else [found])]
