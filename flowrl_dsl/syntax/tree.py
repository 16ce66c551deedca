"""The syntax tree: what a ``.flowrl`` file says, with the place of every word, and nothing about what it means.

Spans and comments take no part in equality, so ``parse(format(tree)) == tree`` is the formatter's contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowrl_dsl.diagnostics import Span


def _span() -> Span:
    return field(compare=False, repr=False)


def _complete() -> bool:
    """Whether every statement of a body was read as it is written; see :mod:`~flowrl_dsl.syntax.damage`."""
    return field(default=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """``text`` is the number as written (``200_000``), for the formatter."""

    value: int | float
    span: Span = _span()
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Name:
    id: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call: positional when ``name`` is None."""

    name: Name | None
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    function: Name
    arguments: tuple[Argument, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class List:
    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x``; the only unary operator."""

    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """``operator`` is one of ``+ - * / ^ < <= > >= == !=``."""

    operator: str
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Arrow:
    """``a -> b -> c``: the ends of a schedule, or the order of the stages of a step."""

    items: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class From:
    """``value from source``: particles or an action drawn from a named copy of the policy."""

    value: Expr
    source: Name
    span: Span = _span()


Expr = Number | String | Boolean | Name | Call | List | Unary | Binary | Arrow | From


@dataclass(frozen=True, slots=True)
class Range:
    """``(0, 10]``: the numbers a parameter may take; None is an open end (written ``inf`` or ``-inf``)."""

    low: float | None
    high: float | None
    low_open: bool
    high_open: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Assign:
    key: Name
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Param:
    name: Name
    value: Expr
    range: Range | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Let:
    name: Name
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Define:
    """``def top1(q) = ...``: a formula with arguments, expanded where it is used."""

    name: Name
    parameters: tuple[Name, ...]
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Section:
    """``policy { ... }``, or with a name that the spec gives it ``policy behavior { ... }``."""

    name: Name
    body: tuple[Statement, ...]
    span: Span = _span()
    given: Name | None = None
    complete: bool = _complete()

    @property
    def improvements(self) -> tuple[Improve, ...]:
        """The ``improve`` blocks that stand in the body, first one first."""
        return tuple(statement for statement in self.body if isinstance(statement, Improve))


@dataclass(frozen=True, slots=True)
class Improve:
    """``improve 0.5 * score_matching { ... }``; weight None means 1."""

    weight: Expr | None
    mechanism: Name
    body: tuple[Statement, ...]
    span: Span = _span()
    complete: bool = _complete()


@dataclass(frozen=True, slots=True)
class ForTask:
    """``for task "Hopper-v5", "Ant-v5" { ... }``: statements that hold on those tasks only."""

    tasks: tuple[String, ...]
    body: tuple[Statement, ...]
    span: Span = _span()
    complete: bool = _complete()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The texts of its names."""
        return tuple(name.value for name in self.tasks)


Statement = Assign | Param | Let | Define | Section | Improve | ForTask


@dataclass(frozen=True, slots=True)
class _Whole:
    """All that a file holds: ``WORD name "title" extends "base" { ... }``."""

    name: Name
    title: String | None
    base: String | None
    body: tuple[Statement, ...]
    span: Span = _span()
    complete: bool = _complete()


@dataclass(frozen=True, slots=True)
class Algorithm(_Whole):
    """``algorithm qsm { ... }``"""


@dataclass(frozen=True, slots=True)
class Suite(_Whole):
    """``suite gym_mujoco { ... }``: specs, tasks, seeds and budgets of a comparison."""


Whole = Algorithm | Suite


@dataclass(frozen=True, slots=True)
class Comment:
    """A ``# ...`` comment; ``trailing`` when code stands before it on its line."""

    text: str
    trailing: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class File:
    """One source file: an algorithm, or a suite, or (for the standard library) definitions only."""

    whole: Whole | None
    definitions: tuple[Define, ...]
    comments: tuple[Comment, ...] = field(compare=False, default=())

    @property
    def algorithm(self) -> Algorithm | None:
        return self.whole if isinstance(self.whole, Algorithm) else None

    @property
    def suite(self) -> Suite | None:
        return self.whole if isinstance(self.whole, Suite) else None
