"""Typed formulas: what a slot such as ``weight`` or ``target`` says, after its names and axes have been checked.

The checker (room ``spec``) turns the syntax of a formula into these nodes; the graph builder turns them into graph nodes.
Definitions and ``let`` bindings are already expanded, so a formula is self-contained.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flowrl_dsl.axes import Axes, union
from flowrl_dsl.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Constant:
    value: float
    axes: Axes = ()
    span: Span | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Variable:
    """A value the slot can see (``a_t``, ``sigma``) or a parameter of the algorithm (``temperature``)."""

    name: str
    axes: Axes
    span: Span | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Operation:
    """A function of a section or of :data:`PRIMITIVES`; ``over`` holds the axes a reduction or softmax runs along.

    ``source`` is the section or the copy whose parameters a function of a section reads; empty for that of the formula.
    """

    function: str
    operands: tuple[Term, ...]
    axes: Axes
    over: Axes = ()
    span: Span | None = field(compare=False, default=None)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Gradient:
    """``grad(value, wrt = name)``: the gradient of the sum of ``value``, which has the axes of the variable."""

    value: Term
    wrt: Variable
    axes: Axes
    span: Span | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Bound:
    """A ``let``: the value keeps its name, so that graphs and printed programs read like the spec."""

    name: str
    value: Term
    axes: Axes
    span: Span | None = field(compare=False, default=None)


Term = Constant | Variable | Operation | Gradient | Bound


@dataclass(frozen=True, slots=True)
class Formula:
    """A checked formula and the text it was written as."""

    term: Term
    text: str = field(compare=False, default="")
    span: Span | None = field(compare=False, default=None)


def inner(term: Term) -> tuple[Term, ...]:
    """The terms directly inside one."""
    match term:
        case Operation(_, operands):
            return operands
        case Gradient(value, wrt):
            return (value, wrt)
        case Bound(_, value):
            return (value,)
    return ()


def terms(*roots: Term) -> Iterator[Term]:
    """All terms inside the given ones, each object once, however often it is shared; the outer before the inner."""
    seen: set[int] = set()
    waiting = list(reversed(roots))
    while waiting:
        term = waiting.pop()
        if id(term) not in seen:
            seen.add(id(term))
            yield term
            waiting.extend(reversed(inner(term)))


def variables(formula: Formula) -> set[str]:
    """Names of the values and parameters a formula reads."""
    return {term.name for term in terms(formula.term) if isinstance(term, Variable)}


def functions(formula: Formula) -> set[str]:
    """Names of the functions a formula calls."""
    return {term.function for term in terms(formula.term) if isinstance(term, Operation)}


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the algorithm's own networks, such as ``Q(s, a)``; the section it belongs to declares it.

    ``arguments`` names the feature axis each argument must have (None: a value without feature axis).  The result has
    the union of the arguments' axes, less ``drops``, plus ``adds``.  ``needs`` is the capability some component must
    provide.  ``from`` selects the parameters of one that is ``copied``; others read a copy of their own.
    """

    name: str
    arguments: tuple[str | None, ...]
    drops: Axes
    adds: Axes
    needs: str
    doc: str
    beside: str = ""
    """A function of a slot's own list that this one is visible with, wherever that is."""
    copied: bool = True


@dataclass(frozen=True, slots=True)
class Primitive:
    """Arithmetic of formulas.

    ``kind`` is ``elementwise`` (arguments broadcast by axis name), ``reduction`` (removes the axes named by ``over``; all
    of them when none is named), ``along`` (works along exactly one axis of its first argument and keeps it; ``over`` is
    required, further arguments are numbers without axes), ``towards`` (compares its first argument with all points along
    exactly one axis of its second, which it removes; further arguments are numbers without axes) or ``members`` (some
    members of an ensemble, or one; the second argument is a whole number).  ``reads`` names the axes of the components of
    points.
    """

    name: str
    arity: int
    kind: str
    doc: str
    reads: Axes = ()


PRIMITIVES: dict[str, Primitive] = {
    p.name: p
    for p in (
        *(
            Primitive(name, 1, "elementwise", doc)
            for name, doc in {
                "neg": "-x (written -x)",
                "abs": "|x|",
                "exp": "eˣ",
                "log": "natural logarithm",
                "sqrt": "square root",
                "square": "x²",
                "tanh": "hyperbolic tangent",
                "sigmoid": "1 / (1 + e⁻ˣ)",
                "softplus": "log(1 + eˣ)",
                "relu": "max(x, 0)",
                "sign": "-1, 0 or 1",
                "stop": "x, through which no gradient flows",
            }.items()
        ),
        *(
            Primitive(name, 2, "elementwise", doc)
            for name, doc in {
                "add": "x + y",
                "sub": "x - y",
                "mul": "x * y",
                "div": "x / y",
                "pow": "x ^ y",
                "lt": "1 where x < y, else 0",
                "le": "1 where x <= y, else 0",
                "gt": "1 where x > y, else 0",
                "ge": "1 where x >= y, else 0",
                "eq": "1 where x == y, else 0",
                "ne": "1 where x != y, else 0",
                "maximum": "the larger of x and y",
                "minimum": "the smaller of x and y",
            }.items()
        ),
        Primitive("clip", 3, "elementwise", "x limited to [low, high]"),
        Primitive("where", 3, "elementwise", "y where x is not 0, else z"),
        *(
            Primitive(name, 1, "reduction", doc)
            for name, doc in {
                "mean": "arithmetic mean",
                "sum": "sum",
                "min": "smallest value",
                "max": "largest value",
                "std": "standard deviation (of the population)",
                "logsumexp": "log Σ eˣ, without overflow",
                "norm": "Euclidean norm √Σx²",
                "count": "how many values the axes hold",
            }.items()
        ),
        Primitive("softmax", 1, "along", "eˣ / Σ eˣ, without overflow"),
        Primitive("log_softmax", 1, "along", "x - log Σ eˣ"),
        Primitive("best", 1, "along", "1 at the largest value (the first of them), else 0"),
        Primitive("rank", 1, "along", "how many values are smaller"),
        Primitive("simplex_linear", 2, "along", "(x, b): max(x - c, b / length), with c such that Σ = 1; b ≤ 1"),
        Primitive("simplex_square", 1, "along", "max(x - c, 0)², with c such that Σ = 1"),
        Primitive(
            "mean_shift",
            3,
            "towards",
            "(x, y, h): from x to the mean of n points y, each with weight exp(-|x - y|² / 2v), v = max(m, h), "
            "m = median |x - y|² / (2 log(n + 1))",
            reads=("action",),
        ),
        Primitive("subset", 2, "members", "n different random members of the ensemble, the same ones for all rows"),
        Primitive("member", 2, "members", "the n-th member of the ensemble, counted from 1"),
    )
}

OPERATORS: Mapping[str, str] = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "^": "pow",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "==": "eq",
    "!=": "ne",
}


@dataclass(frozen=True)
class Slot:
    """What a formula may see, and the axes it must have (fewer are broadcast).

    ``values`` maps visible names to axes; ``functions`` lists visible functions; parameters of the algorithm are
    visible in every slot, and so are the sizes ``A`` (action components) and, where ``particle`` is among the axes of a
    visible value, ``N``.  Where ``through`` names values or functions, the slot is differentiated: the formula must
    depend on one of them other than inside ``stop``.
    """

    result: Axes
    values: Mapping[str, Axes]
    functions: tuple[str, ...] = ()
    sizes: Mapping[str, str] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    """The capability that some component has to provide for a value to be there, by the value's name."""
    drawn_by: Mapping[str, str] = field(default_factory=dict)
    """The option of the component that names the policy which has to provide what a value needs, by the value's name."""
    computed: Mapping[str, str] = field(default_factory=dict)
    """Values that another formula of the same component computes, by its option: they have the axes of that formula."""
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that have the axis ``particle`` as well where an option of the same component is given, by the option."""

    def given(self, options: Collection[str]) -> Slot:
        """The slot where these options of the component are given."""
        wide = {name for option, names in self.several.items() if option in options for name in names}
        axes = {name: union(has, ("particle",)) if name in wide else has for name, has in self.values.items()}
        return replace(self, values=axes) if wide else self
