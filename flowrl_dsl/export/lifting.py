"""Random draws as inputs: a function of keys becomes a function of the numbers drawn with them.

In the traced function everything computed from a key, such as a split of it, is *unknown*.  A draw is where an unknown value
becomes numbers: ``jax.random.normal``, and the conversion of random bits to a float in [1, 2), from which jax computes
uniform numbers of all kinds.  Each draw becomes an argument.  A draw in the body of a loop of K steps becomes one argument
with a leading axis of K. ::

    keyed    f(s, key) = s + jax.random.normal(key, [3])
    lifted   g(s, z) = s + z                                 draws(f) = [Draw("normal", (3,))]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

UNKNOWN = object()
"""A value computed from a key alone, which the lifted function does not compute."""
Loop = Callable[..., tuple[Any, Any]]
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the program of an operation which just calls it."""


@dataclass(frozen=True)
class Draw:
    """Independent numbers of one distribution: standard ``normal``, or ``uniform`` in [0, 1).

    ``shape`` may contain symbolic sizes.
    """

    kind: Literal["normal", "uniform"]
    shape: tuple[Any, ...]


class Lifted:
    """A traced function of which some arguments are keys.

    ``draws`` are its draws in order; ``reached`` tells for each result whether it depends on keys otherwise than by them.
    """

    def __init__(self, closed: core.ClosedJaxpr, keys: Sequence[bool]):
        """``keys`` tells which arguments are keys, or counters from which keys are made."""
        self._closed, self._keys = closed, tuple(keys)
        self.draws, self.reached = _follow(closed.jaxpr, self._keys)

    def __call__(self, arguments: Sequence[Any], noise: Sequence[Any], loop: Loop = jax.lax.scan) -> list[Any]:
        """The results for the arguments that are no keys, in order, and one array for each draw.

        ``loop`` computes the loops of the function; it takes the arguments of ``jax.lax.scan``.
        """
        given = iter(arguments)
        values = [UNKNOWN if key else next(given) for key in self._keys]
        return _evaluate(self._closed.jaxpr, self._closed.consts, values, iter(noise), loop)


def unrolled(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, along: Any, length: int, reverse: bool
) -> tuple[Any, list[Any]]:
    """The loop ``jax.lax.scan`` as a sequence of its steps."""
    stacked: list[Any] = []
    for step in range(length - 1, -1, -1) if reverse else range(length):
        carry, made = body(carry, jax.tree.map(itemgetter(step), along))
        stacked.append(made)
    ordered = stacked[::-1] if reverse else stacked
    return carry, [jnp.stack(each) for each in zip(*ordered, strict=True)]


@cache
def _normal_name() -> str:
    """The name of the function that ``jax.random.normal`` calls in a trace."""
    traced = jax.make_jaxpr(lambda key: jax.random.normal(key, (1,)))(jax.random.key(0))
    return str(traced.eqns[-1].params["name"])


def _draw_of(equation: core.JaxprEqn) -> Draw | None:
    """The draw that an equation with an unknown input makes; None for one that only computes with keys."""
    aval: Any = equation.outvars[0].aval
    name = equation.primitive.name
    if equation.params.get("name") == _normal_name():
        return Draw("normal", aval.shape)
    if name == "bitcast_convert_type" and aval.dtype == jnp.float32:
        return Draw("uniform", aval.shape)
    return None


def _drawn(draw: Draw, noise: Any) -> Any:
    """The value of the equation of a draw: random bits become a float in [1, 2)."""
    return noise if draw.kind == "normal" else 1 + noise


def _called(equation: core.JaxprEqn) -> core.Jaxpr | core.ClosedJaxpr | None:
    if equation.primitive.name in ("scan", "while", "cond"):
        return None
    return next((equation.params[key] for key in _CALLED if key in equation.params), None)


def _opened(program: core.Jaxpr | core.ClosedJaxpr) -> tuple[core.Jaxpr, Sequence[Any]]:
    return (program.jaxpr, program.consts) if isinstance(program, core.ClosedJaxpr) else (program, ())


def _follow(program: core.Jaxpr, unknown: Sequence[bool]) -> tuple[list[Draw], list[bool]]:
    """The draws of a program of which these inputs are unknown, and which of its outputs are."""
    hidden = {variable for variable, is_unknown in zip(program.invars, unknown, strict=True) if is_unknown}
    draws: list[Draw] = []
    for equation in program.eqns:
        mask = [not isinstance(atom, core.Literal) and atom in hidden for atom in equation.invars]
        if not any(mask):
            continue
        draw, called = _draw_of(equation), _called(equation)
        if draw is not None:
            draws.append(draw)
            continue
        if called is not None:
            found, outputs = _follow(_opened(called)[0], mask)
        elif equation.primitive.name == "scan":
            found, outputs = _follow_scan(equation, mask)
        else:
            found, outputs = [], [True] * len(equation.outvars)
        draws += found
        hidden.update(variable for variable, is_unknown in zip(equation.outvars, outputs, strict=True) if is_unknown)
    return draws, [not isinstance(atom, core.Literal) and atom in hidden for atom in program.outvars]


def _scan_masks(equation: core.JaxprEqn, mask: Sequence[bool]) -> tuple[list[bool], list[Draw], list[bool]]:
    """The unknown inputs of a scan's body, the draws of one step, and the unknown outputs of the body.

    A carried value is unknown in every step if it is after one.
    """
    p = equation.params
    first, after = p["num_consts"], p["num_consts"] + p["num_carry"]
    inputs = list(mask)
    while True:
        draws, outputs = _follow(p["jaxpr"].jaxpr, inputs)
        carried = [a or b for a, b in zip(inputs[first:after], outputs[: p["num_carry"]], strict=True)]
        if carried == inputs[first:after]:
            return inputs, draws, [*carried, *outputs[p["num_carry"] :]]
        inputs[first:after] = carried


def _follow_scan(equation: core.JaxprEqn, mask: Sequence[bool]) -> tuple[list[Draw], list[bool]]:
    _, draws, outputs = _scan_masks(equation, mask)
    return [replace(draw, shape=(equation.params["length"], *draw.shape)) for draw in draws], outputs


def _evaluate(
    program: core.Jaxpr, consts: Sequence[Any], values: Sequence[Any], noise: Iterator[Any], loop: Loop
) -> list[Any]:
    """The outputs of a program for inputs of which some are unknown; each draw takes the next array of noise."""
    known: dict[Any, Any] = dict(zip(program.constvars, consts, strict=True))
    known.update(zip(program.invars, values, strict=True))

    def read(atom: Any) -> Any:
        if not isinstance(atom, core.Literal):
            return known[atom]
        aval: Any = atom.aval
        return np.asarray(atom.val, aval.dtype)

    for equation in program.eqns:
        found = _one(equation, [read(atom) for atom in equation.invars], noise, loop)
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in program.outvars]


def _one(equation: core.JaxprEqn, values: Sequence[Any], noise: Iterator[Any], loop: Loop) -> Sequence[Any]:
    unknown = any(value is UNKNOWN for value in values)
    draw, called = _draw_of(equation) if unknown else None, _called(equation)
    if draw is not None:
        return [_drawn(draw, next(noise))]
    if called is not None:
        return _evaluate(*_opened(called), values, noise, loop)
    if equation.primitive.name == "scan":
        return _scan(equation, values, noise, loop)
    if unknown:
        return [UNKNOWN] * len(equation.outvars)
    with jax.ensure_compile_time_eval() if _constant(equation, values) else nullcontext():
        found = equation.primitive.bind(*values, **equation.params)
    return found if equation.primitive.multiple_results else [found]


def _constant(equation: core.JaxprEqn, values: Sequence[Any]) -> bool:
    """Whether the values are computed here and now: other libraries would round frequencies of embeddings otherwise."""
    sizes = [size for variable in equation.outvars for size in getattr(variable.aval, "shape", ())]
    return all(isinstance(size, int) for size in sizes) and not any(isinstance(value, jax.core.Tracer) for value in values)


def _scan(equation: core.JaxprEqn, values: Sequence[Any], noise: Iterator[Any], loop: Loop) -> list[Any]:
    """A scan over its known values and the noise of its steps."""
    p = equation.params
    first, after = p["num_consts"], p["num_consts"] + p["num_carry"]
    inputs, draws, outputs = _scan_masks(equation, [value is UNKNOWN for value in values])
    drawn = [next(noise) for _ in draws]
    given = _known(values, inputs)

    def body(carry: Sequence[Any], along: tuple[Sequence[Any], Sequence[Any]]) -> tuple[list[Any], list[Any]]:
        merged = _merged(inputs, (*given(0, first), *carry, *along[0]))
        found = _evaluate(p["jaxpr"].jaxpr, p["jaxpr"].consts, merged, iter(along[1]), loop)
        kept = [value for value, is_unknown in zip(found, outputs, strict=True) if not is_unknown]
        number = p["num_carry"] - sum(outputs[: p["num_carry"]])
        return kept[:number], kept[number:]

    along = given(after, len(values)), drawn
    carry, stacked = loop(body, given(first, after), along, length=p["length"], reverse=p["reverse"])
    return _merged(outputs, (*carry, *stacked))


def _known(values: Sequence[Any], unknown: Sequence[bool]) -> Callable[[int, int], list[Any]]:
    """A function that returns the known values between two positions."""
    return lambda start, end: [value for value, hidden in list(zip(values, unknown, strict=True))[start:end] if not hidden]


def _merged(unknown: Sequence[bool], known: Sequence[Any]) -> list[Any]:
    """The known values at their places, between unknown ones."""
    rest = iter(known)
    return [UNKNOWN if hidden else next(rest) for hidden in unknown]
