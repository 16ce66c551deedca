"""Expressions: the computation of a node's value, as data.

A node contains no closure but a small tree of calls to *kernels* (plain numerical functions, registered with
:func:`kernel`) and to functions of ``jnp``, ``jax`` and ``optax``.  One tree serves three readers: the evaluator calls it,
the emitter prints it as Python, and the text form of the graph shows and re-reads it.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any, TypeVar, overload

from flowrl_dsl.lazy import MODULES


@dataclass(frozen=True, slots=True)
class Arg:
    """The value of the node's input number ``index``."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A number, string, boolean, None, or a (nested) tuple of these.

    Literals are equal if they are written alike: 1, 1.0 and True are three different ones, and nan equals nan.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary with fixed keys."""

    items: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """``function(*args, **kwargs)``; the function is a kernel's name or a dotted name such as ``jnp.exp``."""

    function: str
    args: tuple[Expr, ...] = ()
    kwargs: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Partial:
    """``functools.partial(function, *args, **kwargs)``: a function handed to a kernel."""

    function: str
    args: tuple[Expr, ...] = ()
    kwargs: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """An object that depends on nothing but literals, such as a network module: built once and known by ``name``."""

    name: str
    call: Call


@dataclass(frozen=True, slots=True)
class Expand:
    """The value with axes of length 1 inserted: ``x[:, None, :]``; ``pattern`` has True where an axis is new."""

    value: Expr
    pattern: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """``value[key]`` of a tuple or dictionary."""

    value: Expr
    key: int | str


Expr = Arg | Literal | Dictionary | Call | Partial | Build | Expand | Item

Function = Callable[..., Any]
"""A numerical function: a kernel, or one of a library."""

KERNELS: dict[str, Function] = {}

RESERVED = frozenset({
    *dir(builtins),
    *MODULES,
    *("HYPER", "draw_key", "partial", "zlib"),
    *("init", "step", "explore", "evaluate"),
    *("key", "state", "batch", "hyper", "obs", "counter"),
})  # fmt: skip
"""Names with a meaning of their own in printed programs, which a kernel of that name would take from them: builtins,
libraries, and the names of the program, its functions and their arguments."""

VARIANTS: dict[str, str] = {
    "quick": "draws its random numbers in one loop over them",
    "given": "computes what does not depend on the arguments of the function it returns once, when it is made",
    "chunk": "applies its network to no more than so many rows at once",
    "together": "computes the members of an ensemble one after the other beyond so many rows",
    "split": "multiplies named inputs by the first layer one by one",
    "activation": "an option that names the activation function, a kernel",
    "cheap": "computes the same function with fewer operations",
}
"""Other ways to compute the same values, selected by passes.  ``chunk``, ``together`` and ``activation`` are options."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Another kernel of the same arguments, or the same kernel with an option that it otherwise does without."""

    function: str
    option: str = ""


_VARIANTS: dict[str, dict[str, Variant]] = {}

F = TypeVar("F", bound=Function)


@overload
def kernel(function: F, /) -> F: ...
@overload
def kernel(**variants: str) -> Callable[[F], F]: ...
def kernel(function: F | None = None, /, **variants: str) -> F | Callable[[F], F]:
    """Register a numerical function under its own name, with the variants of it that passes may choose.

    A kernel may use ``jax``, ``jnp``, ``nn``, ``optax``, builtins and other kernels, nothing else: its source is printed
    as it stands into the files of ``--emit python``.  A variant (:data:`VARIANTS`) is one of its own optional parameters or
    another kernel, registered before::

        @kernel(given="denoise_given")
        def denoise_at(net, params, s): ...

        @kernel(quick="quick")
        def gaussian_noise(key, s, size, particles=None, quick=False): ...

    Raises ``ValueError`` when another function has the name, for a name of :data:`RESERVED`, and for a variant that does
    not exist.
    """

    def registered(function: F) -> F:
        name = function.__name__
        if name in RESERVED:
            raise ValueError(f"kernel {name} of {function.__module__}: printed programs use that name for something else")
        taken = KERNELS.get(name)
        if taken is not None and taken.__module__ != function.__module__:
            raise ValueError(f"kernel {name} of {function.__module__} is already defined in {taken.__module__}")
        _VARIANTS[name] = {variant: _variant(function, variant, by) for variant, by in variants.items()}
        KERNELS[name] = function
        return function

    return registered if function is None else registered(function)


def _variant(function: Function, variant: str, by: str) -> Variant:
    """The variant that ``by``, an option of the function or another kernel, computes."""
    if variant not in VARIANTS:
        raise ValueError(f"kernel {function.__name__}: no pass asks for a variant {variant}, only for {', '.join(VARIANTS)}")
    if by in inspect.signature(function).parameters:
        return Variant(function.__name__, by)
    if by not in KERNELS:
        raise ValueError(f"kernel {function.__name__}: {by} is neither one of its parameters nor a kernel registered before")
    return Variant(by)


def variants(function: str) -> Mapping[str, Variant]:
    """The variants of a kernel, by name; a function of a library has none."""
    return _VARIANTS.get(function, {})


def as_variant(call: Call, variant: str, value: Any = True) -> Call:
    """The call in a variant of its kernel, where that has one: by another kernel, or with an option set to ``value``.

    An option that the component has set itself stays.
    """
    chosen = variants(call.function).get(variant)
    if chosen is None or any(name == chosen.option for name, _ in call.kwargs):
        return call
    option = _named({chosen.option: value}) if chosen.option else ()
    return Call(chosen.function, call.args, call.kwargs + option)


@cache
def resolve(name: str) -> Function:
    """The kernel of that name, or the library function behind a dotted name such as ``jnp.exp``.

    Libraries are those of ``flowrl_dsl.lazy``, imported at the first function that is asked of them.  Raises ``KeyError``
    for an unknown kernel or library and ``AttributeError`` for what a library does not have.
    """
    if name in KERNELS:
        return KERNELS[name]
    library, *path = name.split(".")
    return reduce(getattr, path, MODULES[library])


def is_function(name: str) -> bool:
    """Whether an expression may call a function of that name."""
    try:
        return callable(resolve(name))
    except (KeyError, AttributeError):
        return False


def as_expr(value: Any) -> Expr:
    """Numbers, strings and tuples become literals, dictionaries a :class:`Dictionary`; expressions stay."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, dict):
        return Dictionary(tuple((key, as_expr(item)) for key, item in value.items()))
    return Literal(value)


def _named(kwargs: dict[str, Any]) -> tuple[tuple[str, Expr], ...]:
    return tuple((key, as_expr(value)) for key, value in kwargs.items())


def _name_of(function: Function | str) -> str:
    return function if isinstance(function, str) else function.__name__


def call(function: Function | str, *args: Any, **kwargs: Any) -> Call:
    """A call of a kernel or of a dotted library function."""
    return Call(_name_of(function), tuple(map(as_expr, args)), _named(kwargs))


def partial(function: Function | str, *args: Any, **kwargs: Any) -> Partial:
    """A kernel with some arguments already given."""
    return Partial(_name_of(function), tuple(map(as_expr, args)), _named(kwargs))


def build(name: str, function: Function | str, **kwargs: Any) -> Build:
    """A module built once from literals and other builds."""
    return Build(name, call(function, **kwargs))


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    match expr:
        case Dictionary(items):
            return tuple(value for _, value in items)
        case Call(_, args, kwargs) | Partial(_, args, kwargs):
            return args + tuple(value for _, value in kwargs)
        case Build(_, inner):
            return (inner,)
        case Expand(value, _) | Item(value, _):
            return (value,)
    return ()


def walk(expr: Expr) -> Iterator[Expr]:
    """All parts of an expression, innermost first."""
    for child in children(expr):
        yield from walk(child)
    yield expr


def modules_in(expressions: Iterable[Expr]) -> dict[str, Build]:
    """The objects that expressions build once, by name, each after those it is made of."""
    return {part.name: part for expr in expressions for part in walk(expr) if isinstance(part, Build)}


def rewrite(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with ``change`` applied to every part, innermost first."""

    def inside(part: Expr) -> Expr:
        return rewrite(part, change)

    match expr:
        case Dictionary(items):
            expr = Dictionary(tuple((key, inside(value)) for key, value in items))
        case Call(function, args, kwargs):
            expr = Call(function, tuple(map(inside, args)), tuple((key, inside(value)) for key, value in kwargs))
        case Partial(function, args, kwargs):
            expr = Partial(function, tuple(map(inside, args)), tuple((key, inside(value)) for key, value in kwargs))
        case Build(name, inner):
            built = inside(inner)
            assert isinstance(built, Call), f"a module is built by a call, not by {built!r}"
            expr = Build(name, built)
        case Expand(value, pattern):
            expr = Expand(inside(value), pattern)
        case Item(value, key):
            expr = Item(inside(value), key)
    return change(expr)
