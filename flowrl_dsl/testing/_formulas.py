"""Random formulas, well typed by named axes and kept to finite values by interval arithmetic.

A formula grows from its slot: every part knows its axes, a bound of its size, and the values that a gradient can reach
through it.  Which functions, values and definitions there are is asked of the language; the tables below only say how
functions that are not defined everywhere are called safely.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

from flowrl_dsl.axes import AXES, Axes, ordered, union, without
from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.formula import OPERATORS, PRIMITIVES, Formula, Function, Slot
from flowrl_dsl.registry import CAPABILITIES, functions, visible
from flowrl_dsl.spec import stdlib, typecheck
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse_expression

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]

LARGE = 1e3
"""The size assumed of values, networks and gradients; what grows beyond it is bounded."""
LARGEST_RESULT = 100.0
OF_A_DRAW = frozenset({"draw_log_prob"})
"""Functions of nothing but the action that a slot differentiates through, which has just been drawn."""
NUMBERS = ("0.25", "0.5", "1", "1.5", "2", "0.1")

_SAFE_UNARY = {
    "exp": ("exp(clip({0}, -3, 3))", 20.1),
    "log": ("log(abs({0}) + 0.1)", 10.0),
    "sqrt": ("sqrt(square({0}) + 0.1)", None),
    "square": ("square({0})", "square"),
    "tanh": ("tanh({0})", 1.0),
    "sigmoid": ("sigmoid({0})", 1.0),
    "sign": ("sign({0} + 0.37)", 1.0),
}
"""How a function of one value is written, and the size of its result: a number, ``square``, or None for its operand's."""
_SAFE_BINARY = {
    "add": ("({0} + {1})", lambda x, y: x + y),
    "sub": ("({0} - {1})", lambda x, y: x + y),
    "mul": ("({0} * {1})", lambda x, y: x * y),
    "div": ("({0} / (abs({1}) + 0.5))", lambda x, y: 2 * x),
    "pow": ("((abs({0}) + 0.5)^clip({1}, -2, 2))", lambda x, y: (x + 0.5) ** 2 + 4),
}
_BOUNDED = (("tanh({0})", 1.0), ("clip({0}, -5, 5)", 5.0), ("({0} / (1 + abs({0})))", 1.0))
_SMOOTH_ALONG = ("softmax", "log_softmax", "mean_shift")
"""Functions along an axis whose gradients reach their argument everywhere."""
_STEPS = ("lt", "le", "gt", "ge", "eq", "ne")
_WRITTEN = {name: operator for operator, name in OPERATORS.items()}


@dataclass(frozen=True)
class Piece:
    """A formula as text, its axes, a bound of its size, and the values a gradient reaches through it."""

    text: str
    axes: Axes = ()
    size: float = 1.0
    reads: frozenset[str] = frozenset()

    def __add__(self, other: Piece) -> Piece:
        text = f"({self.text} + {other.text})"
        return Piece(text, union(self.axes, other.axes), self.size + other.size, self.reads | other.reads)

    def wrapped(self, template: str, size: float | None = None, axes: Axes | None = None) -> Piece:
        return Piece(
            template.format(self.text),
            self.axes if axes is None else axes,
            self.size if size is None else size,
            self.reads,
        )


@dataclass
class FormulaWriter:
    """Writes formulas of one slot.

    ``capabilities`` decides which functions of networks are called.  ``parameter`` gives the name of a positive parameter,
    ``bind`` makes a let of a part and gives its name, ``define`` turns a template over arguments into a definition and
    gives its name; each may be None.  Where ``differentiates`` is false, no ``grad`` is written.  ``members`` is the size
    of the critic's ensemble, as far as it is known.
    """

    draw: Draw
    slot: Slot
    capabilities: Collection[str]
    parameter: Callable[[], str] | None = None
    bind: Callable[[Piece], str] | None = None
    define: Callable[[list[str], str], str] | None = None
    bound: list[Piece] = field(default_factory=list)
    differentiates: bool = True
    members: int = 1

    def formula(self, depth: int = 3) -> str:
        """A formula that fits the slot and depends on what it must, or on an action where there is one."""
        piece = self.piece(self.slot.result, depth)
        actions = [name for name, axes in self.slot.values.items() if "action" in axes]
        wanted = [self.slot.through] if self.slot.through else actions or list(self.slot.values)
        if wanted and not piece.reads & set(wanted):
            piece += self._depending_on(self._one_of(wanted), self.slot.result, 1)
        for name in sorted(OF_A_DRAW & {*self.slot.functions}):
            if self.slot.through and functions()[name].needs in self.capabilities and self._perhaps():
                piece += Piece(f"clip({name}(s, {self.slot.through}), -5, 5)", ("batch",), 5.0)
        return self._limited(piece, LARGEST_RESULT).text

    # --- choices

    def _one_of(self, options: Collection[T]) -> T:
        return self.draw(st.sampled_from(list(options)))

    def _perhaps(self) -> bool:
        return self.draw(st.booleans())

    def _limited(self, piece: Piece, limit: float = LARGE) -> Piece:
        if piece.size <= limit:
            return piece
        template, size = self._one_of(_BOUNDED)
        return piece.wrapped(template, size)

    # --- parts

    def piece(self, allowed: Axes, depth: int) -> Piece:
        """Any formula whose axes are among the allowed ones."""
        if depth <= 0:
            return self._leaf(allowed)
        makers = [self._leaf, self._unary, self._binary, self._binary, self._choice, self._carried, self._carried]
        if self._available() - set(allowed):
            makers.append(self._reduced)
        if self._available() & set(allowed):
            makers += [self._along, self._along]
        if self.differentiates and any(set(axes) <= set(allowed) for axes in self.slot.values.values()):
            makers.append(self._gradient)
        if self._signatures(allowed):
            makers.append(self._library)
        if self.bind is not None:
            makers.append(self._let)
        if self.define is not None:
            makers.append(self._defined)
        return self._limited(self._one_of(makers)(allowed, depth))

    def _leaf(self, allowed: Axes, depth: int = 0) -> Piece:
        leaves: list[Callable[[], Piece]] = [self._number]
        if self.parameter is not None:
            leaves.append(self._parameter)
        if self.slot.sizes:
            leaves.append(lambda: Piece(self._one_of(self.slot.sizes), (), 8.0))
        known = [piece for piece in self.bound if set(piece.axes) <= set(allowed)]
        if known:
            leaves.append(lambda: self._one_of(known))
        if self.slot.values:
            leaves += [lambda: self._variable(allowed)] * 3
        return self._one_of(leaves)()

    def _number(self) -> Piece:
        text = self._one_of(NUMBERS)
        return Piece(text, (), float(text))

    def _parameter(self) -> Piece:
        assert self.parameter is not None
        return Piece(self.parameter(), (), 5.0)

    def _value(self, name: str) -> Piece:
        return Piece(name, self.slot.values[name], LARGE, frozenset({name}))

    def _variable(self, allowed: Axes) -> Piece:
        return self._fitted(self._value(self._one_of(self.slot.values)), allowed)

    def _fitted(self, piece: Piece, allowed: Axes) -> Piece:
        """The piece with the axes that are too many reduced."""
        extra = without(piece.axes, *allowed)
        return self._reduction(piece, extra) if extra else piece

    def _some_members(self, piece: Piece) -> Piece:
        """Perhaps a subset of the members; it is reduced at once, since it cannot meet the whole ensemble."""
        if not self._perhaps():
            return piece
        return piece.wrapped(f"subset({{0}}, {self.draw(st.integers(1, self.members))})")

    def _reduction(self, piece: Piece, over: Axes) -> Piece:
        piece = self._some_members(piece) if "ensemble" in over else piece
        names = [name for name, primitive in PRIMITIVES.items() if primitive.kind == "reduction"]
        name = self._one_of(names)
        rest = without(piece.axes, *over)
        named = f"{name}({piece.text}, over = {_listed(over)})"
        text = f"{name}({piece.text})" if not rest and self._perhaps() else named
        grows = 8.0 ** len(over) if name in ("sum", "norm", "count") else 1.0
        reads = frozenset() if name == "count" else piece.reads
        return self._limited(Piece(text, rest, max(piece.size, 1.0) * grows + 10, reads))

    def _unary(self, allowed: Axes, depth: int) -> Piece:
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 1]
        name = self._one_of(names)
        return self._applied(name, self._steady(allowed) if name == "sign" else self.piece(allowed, depth - 1))

    def _applied(self, name: str, piece: Piece) -> Piece:
        if name == "stop":
            return Piece(f"stop({piece.text})", piece.axes, piece.size)
        if name == "neg":
            return piece.wrapped("(-{0})")
        template, size = _SAFE_UNARY.get(name, (name + "({0})", None))
        if size == "square":
            piece = self._limited(piece, 30.0)
            return piece.wrapped(template, piece.size**2)
        return piece.wrapped(template, piece.size + 1 if size is None else size)

    def _steady(self, allowed: Axes) -> Piece:
        """A part without exact cancellation, so that what jumps does not jump by rounding."""
        return self._variable(allowed) if self.slot.values else self._number()

    def _binary(self, allowed: Axes, depth: int) -> Piece:
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 2]
        name = self._one_of(names)
        if name in _STEPS:
            piece = self._steady(allowed)
            return Piece(f"({piece.text} {_WRITTEN[name]} {self._one_of(('0.37', '-0.21', '0.83'))})", piece.axes, 1.0)
        left, right = self.piece(allowed, depth - 1), self.piece(allowed, depth - 1)
        if name in ("mul", "pow"):
            left, right = self._limited(left, 30.0), self._limited(right, 30.0)
        template, size = _SAFE_BINARY.get(name, (name + "({0}, {1})", max))
        text = template.format(left.text, right.text)
        return Piece(text, union(left.axes, right.axes), size(left.size, right.size), left.reads | right.reads)

    def _choice(self, allowed: Axes, depth: int) -> Piece:
        """A function of three values: ``where`` and its like choose by a comparison, the others bound."""
        names = [name for name, p in PRIMITIVES.items() if p.kind == "elementwise" and p.arity == 3]
        name = self._one_of(names)
        first = self.piece(allowed, depth - 1)
        if name == "clip":
            low, high = sorted((self._one_of(("-2", "-0.5", "0")), self._one_of(("0.25", "1", "3"))), key=float)
            return first.wrapped(f"clip({{0}}, {low}, {high})", 3.0)
        condition, other = self._steady(allowed), self.piece(allowed, depth - 1)
        text = f"{name}({condition.text} > 0.37, {first.text}, {other.text})"
        axes = union(condition.axes, first.axes, other.axes)
        return Piece(text, axes, max(first.size, other.size), first.reads | other.reads)

    def _reduced(self, allowed: Axes, depth: int) -> Piece:
        axis = self._one_of(sorted(self._available() - set(allowed)))
        inner = self.exactly(union(allowed, (axis,)) if self._perhaps() else (axis,), depth - 1)
        return self._reduction(inner, without(inner.axes, *without(allowed, axis)))

    def _along(self, allowed: Axes, depth: int) -> Piece:
        axis = self._one_of(sorted(self._available() & set(allowed)))
        along = {name: p for name, p in PRIMITIVES.items() if p.kind == "along" and self._carriers(axis, p.reads)}
        primitive = along[self._one_of(along)]
        smooth = primitive.name in _SMOOTH_ALONG
        if primitive.reads:
            inner = self._value(self._one_of(self._carriers(axis, primitive.reads)))
        elif smooth:
            inner = self._limited(self._joined(self.carrier(axis, allowed, depth - 1), allowed, depth - 1), 50.0)
        else:
            inner = self.carrier(axis, allowed, 0)
        arguments = [inner.text, *(self._positive().text for _ in range(primitive.arity - 1))]
        text = f"{primitive.name}({', '.join(arguments)}, over = {axis})"
        piece = Piece(text, inner.axes, max(inner.size, 8.0) * 2, inner.reads if smooth else frozenset())
        return self._fitted(piece, allowed)

    def _carriers(self, axis: str, reads: Axes) -> list[str]:
        """The values that have the axis and all that is read besides it; where nothing is, any value will do."""
        wanted = {axis, *reads} if axis not in reads else None
        return [n for n, axes in self.slot.values.items() if not reads or (wanted is not None and wanted <= {*axes})]

    def _joined(self, piece: Piece, allowed: Axes, depth: int) -> Piece:
        """The piece, perhaps with another one added: all its axes stay."""
        if depth <= 0 or not self._perhaps():
            return piece
        return piece + self.piece(allowed, depth - 1)

    # --- parts with given axes

    def _functions(self) -> list[Function]:
        known = (function for name, function in visible(self.slot).items() if name not in OF_A_DRAW)
        return [f for f in known if f.needs in self.capabilities and all(self._arguments(f))]

    def _arguments(self, function: Function) -> list[list[str]]:
        """The values that may stand at each argument."""
        return [
            [n for n, axes in self.slot.values.items() if set(axes) & set(typecheck.FEATURES) == ({want} if want else set())]
            for want in function.arguments
        ]

    def _available(self) -> set[str]:
        """The axes that something in the slot has."""
        found = {axis for axes in self.slot.values.values() for axis in axes}
        return found.union(*(function.adds for function in self._functions()))

    def _called(self, function: Function, reading: str | None = None) -> Piece:
        """A call of a network; one of its arguments is the value ``reading`` where that fits."""
        arguments = []
        for names in self._arguments(function):
            name = reading if reading in names else self._one_of(names)
            piece = self._value(name)
            features = set(piece.axes) & set(typecheck.FEATURES)
            if self._perhaps() and features:
                piece = piece.wrapped(self._one_of(("tanh({0})", "clip({0}, -2, 2)", "(0.5 * {0})")))
            arguments.append(piece)
        axes = union(without(union(*(a.axes for a in arguments)), *function.drops), function.adds)
        reads = frozenset().union(*(a.reads for a in arguments))
        return Piece(f"{function.name}({', '.join(a.text for a in arguments)})", axes, LARGE, reads)

    def _carried(self, allowed: Axes, depth: int) -> Piece:
        """A value of a network, or one of the slot's, reduced to the allowed axes."""
        functions = self._functions()
        if functions:
            return self._fitted(self._called(self._one_of(functions)), allowed)
        return self._steady(allowed)

    def carrier(self, axis: str, allowed: Axes, depth: int) -> Piece:
        """Something that has the axis, and otherwise only allowed ones."""
        values = [self._value(name) for name, axes in self.slot.values.items() if axis in axes]
        calls = [f for f in self._functions() if axis in f.adds or any(axis in v.axes for v in values)]
        made = [lambda value=value: value for value in values] + [lambda f=f: self._called(f) for f in calls]
        kept = union(allowed, (axis,))
        piece = self._one_of(made)()
        if axis not in piece.axes:  # a call that drops it
            piece = values[0] if values else piece
        return self._fitted(piece, kept)

    def exactly(self, axes: Axes, depth: int) -> Piece:
        """A part with exactly these axes, which must be available."""
        piece = self.piece(axes, depth)
        for axis in without(axes, *piece.axes):
            piece += self.carrier(axis, axes, depth - 1)
        return self._limited(piece)

    def _depending_on(self, name: str, allowed: Axes, depth: int) -> Piece:
        """A smooth part that a change of the value reaches, reduced to the allowed axes by a smooth reduction."""
        calls = [f for f in self._functions() if any(name in names for names in self._arguments(f))]
        piece = self._called(self._one_of(calls), name) if calls and self._perhaps() else self._value(name)
        if not calls or piece.text == name:
            piece = piece.wrapped(self._one_of(("tanh({0})", "square(tanh({0}))", "({0} / (1 + abs({0})))")), 1.0)
        extra = without(piece.axes, *allowed)
        if extra:
            piece = self._some_members(piece) if "ensemble" in extra else piece
            reduction = self._one_of(("mean", "min", "max"))
            piece = piece.wrapped(f"{reduction}({{0}}, over = {_listed(extra)})", axes=without(piece.axes, *extra))
        return self._joined(piece, ordered(set(allowed)), depth)

    def _gradient(self, allowed: Axes, depth: int) -> Piece:
        name = self._one_of([n for n, axes in self.slot.values.items() if set(axes) <= set(allowed)])
        axes = self.slot.values[name]
        inner = self._depending_on(name, without(axes, *typecheck.FEATURES), depth - 1)
        return Piece(f"grad({inner.text}, wrt = {name})", axes, LARGE, inner.reads)

    # --- names

    def _let(self, allowed: Axes, depth: int) -> Piece:
        assert self.bind is not None
        piece = self.piece(allowed, depth - 1)
        named = Piece(self.bind(piece), piece.axes, piece.size, piece.reads)
        self.bound.append(named)
        return named

    def _defined(self, allowed: Axes, depth: int) -> Piece:
        """A call of a definition made for the occasion; every argument is used in it."""
        assert self.define is not None
        arguments = [self.piece(allowed, depth - 1) for _ in range(self.draw(st.integers(1, 2)))]
        names = ["x", "y"][: len(arguments)]
        inside = Slot(result=allowed, values={n: a.axes for n, a in zip(names, arguments, strict=True)})
        body = FormulaWriter(self.draw, inside, (), differentiates=False).piece(allowed, 1)
        text = " + ".join([f"({body.text})", *(f"0.5 * {name}" for name in names)])
        called = f"{self.define(names, text)}({', '.join(a.text for a in arguments)})"
        axes = union(body.axes, *(a.axes for a in arguments))
        return Piece(called, axes, body.size * LARGE, frozenset().union(*(a.reads for a in arguments)))

    def _signatures(self, allowed: Axes) -> list[Signature]:
        have = self._available()
        return [s for s in library() if set(s.axes) <= set(allowed) and all(set(a) <= have for a in s.arguments)]

    def _library(self, allowed: Axes, depth: int) -> Piece:
        """A call of the standard library: its first argument is any part, numbers without axes are positive."""
        signature = self._one_of(self._signatures(allowed))
        if not is_total(signature):
            return self._binary(allowed, depth)
        pieces = [
            self._limited(self.exactly(axes, depth - 1), 50.0) if axes else self._positive() for axes in signature.arguments
        ]
        text = f"{signature.name}({', '.join(p.text for p in pieces)})"
        return Piece(text, signature.axes, LARGE + 1, frozenset().union(*(p.reads for p in pieces)))

    def _positive(self) -> Piece:
        return self._parameter() if self.parameter is not None and self._perhaps() else self._number()


def _listed(axes: Axes) -> str:
    return axes[0] if len(axes) == 1 else f"[{', '.join(axes)}]"


# ------------------------------------------------------------------------------------------------- standard library


@dataclass(frozen=True)
class Signature:
    """One way to call a definition: the axes of its arguments and of its result."""

    name: str
    arguments: tuple[Axes, ...]
    axes: Axes


_SHAPES: tuple[Axes, ...] = ((), ("batch",), ("batch", "particle"), ("ensemble", "batch"), ("batch", "action"))


@cache
def library() -> tuple[Signature, ...]:
    """The ways to call the standard library that are well typed: all arguments alike, or numbers behind the first."""
    found: dict[Signature, None] = {}
    for name, define in stdlib.definitions().items():
        for first, others_alike in itertools.product(_SHAPES, (False, True)):
            arguments = (first, *[first if others_alike else ()] * (len(define.parameters) - 1))
            formula = _checked(name, arguments)
            if formula is not None:
                found.setdefault(Signature(name, arguments, formula.term.axes))
    return tuple(found)


def _checked(name: str, arguments: tuple[Axes, ...]) -> Formula | None:
    """The typed call of a definition on values ``x0, x1, ...``, or None when it is not well typed."""
    names = [f"x{i}" for i in range(len(arguments))]
    expr, _ = parse_expression(f"{name}({', '.join(names)})", "probe")
    scope = Scope(Diagnostics(), defines=dict(stdlib.definitions()), library=stdlib.LIBRARY)
    slot = Slot(result=tuple(AXES), values=dict(zip(names, arguments, strict=True)))
    assert isinstance(expr, tree.Call)
    return typecheck.check(expr, slot, scope, Site("probe", Span("probe", 1, 1, 1, 1)))


@cache
def is_total(signature: Signature) -> bool:
    """Whether value and gradient are finite where values with axes are all 0, all 30, or all different."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from flowrl_dsl.graph.builder import Builder
    from flowrl_dsl.graph.formulas import FormulaBuilder
    from flowrl_dsl.graph.nodes import Type
    from flowrl_dsl.lowering.evaluate import interpret

    formula = _checked(signature.name, signature.arguments)
    assert formula is not None
    builder = Builder("probe")
    values = {f"x{i}": builder.input(f"x{i}", Type(axes)) for i, axes in enumerate(signature.arguments)}
    builder.output("y", FormulaBuilder(builder, values, {}).build(formula, "y"))
    graph = builder.finish()

    def total(inputs: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.sum(interpret(graph, inputs)["y"])

    shapes = {f"x{i}": (2,) * len(axes) for i, axes in enumerate(signature.arguments)}
    for fill in (np.zeros, lambda n: np.full(n, 30.0), lambda n: np.arange(n) - 1.7):
        inputs = {
            key: jnp.asarray(fill(int(np.prod(shape))).reshape(shape) if shape else 0.5, "float32")
            for key, shape in shapes.items()
        }
        value, gradient = jax.value_and_grad(total)(inputs)
        if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves((value, gradient))):
            return False
    return True


@st.composite
def formulas(draw: Draw, slot: Slot, capabilities: Collection[str] = tuple(CAPABILITIES), depth: int = 3) -> str:
    """Well-typed formulas of a slot, as text.

    Every formula fits the slot's axes, calls networks only where ``capabilities`` provide them, and depends on what the
    slot is differentiated by, or else on a value with an axis ``action`` (where there is none, on any value).  For inputs of
    a size up to a thousand its value and its gradient are finite.  It names nothing outside the slot.
    """
    return FormulaWriter(draw, slot, capabilities).formula(depth)
