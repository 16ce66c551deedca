"""The state of one check, and the frame of an expression: the names in scope and the place of errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.formula import Slot, Term
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree

LARGEST = 10_000
"""Parts a formula may have after expansion; more is a definition that doubles itself."""
DEEPEST = 60
"""Lets and definitions that may stand inside one another."""


class TooLarge(Exception):
    """A formula has more than :data:`LARGEST` parts, or is nested deeper than :data:`DEEPEST`."""


@dataclass
class Checking:
    """The state shared by all frames of one formula.

    ``rule`` computes the term of an expression in a frame.  The rules of the themes check the parts of their expressions
    through it, so that no theme imports another one's rules.  ``lets`` has the terms of the lets checked so far by where
    they are written, ``parts`` counts the expressions.
    """

    slot: Slot
    scope: Scope
    site: Site
    rule: Callable[[tree.Expr, Frame], Term | None]
    lets: dict[Span, Term | None] = field(default_factory=dict)
    parts: int = 0

    @property
    def slot_name(self) -> str:
        return self.site.path.rpartition(".")[2]


@dataclass(frozen=True)
class Frame:
    """The names in scope of an expression: those of the slot, or those of a ``def`` being expanded.

    ``call`` is where the outermost def was called: errors inside a def are shown there.  ``active`` has the names of the
    lets and defs that are being expanded.  ``source`` is the section or copy that the functions of networks read.
    """

    checking: Checking
    arguments: Mapping[str, Term | None] | None = None
    call: Span | None = None
    define: tree.Define | None = None
    lets: Mapping[str, tree.Let] = field(default_factory=dict)
    active: tuple[str, ...] = ()
    source: str = ""

    @property
    def slot(self) -> Slot:
        return self.checking.slot

    @property
    def scope(self) -> Scope:
        return self.checking.scope

    def term(self, expr: tree.Expr) -> Term | None:
        """The term of an expression; None when an error in it was reported.  Raises :class:`TooLarge`."""
        self.checking.parts += 1
        if self.checking.parts > LARGEST or len(self.active) > DEEPEST:
            raise TooLarge
        found = self.checking.rule(expr, self)
        if found is not None and self.call is None and not self.checking.site.default:
            self.scope.axes[expr.span] = found.axes
        return found

    def here(self, span: Span) -> Span:
        """The place of a term: in the text of the spec, where the slot's formula is not a default."""
        return self.checking.site.at(self.call or span)

    def error(self, code: str, message: str, span: Span, *notes: str) -> None:
        """Report at the span, or at the call of the definition that holds it."""
        if self.call is None:
            self.scope.error(code, message, self.checking.site, span, *notes)
            return
        define = self.define
        where = "" if define is None else f'in def "{define.name.id}" at {define.span}: {text_of(define.value)}'
        self.scope.error(code, message, self.checking.site, self.call, *notes, where)
