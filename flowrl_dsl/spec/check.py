"""The shared state of the checks of one algorithm: its statements, its scope, and the sections read so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import Span
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.merge import Statements
from flowrl_dsl.spec.scope import Scope


@dataclass
class Check:
    """One pass over the statements of an algorithm.

    ``main`` is the file of the spec itself, ``edited`` whether ``--set`` changed it.
    ``algorithm`` is filled in even after errors, as far as it could be made out.
    """

    statements: Statements
    main: str
    scope: Scope
    edited: bool
    task: str | None = None
    sections: dict[str, Component] = field(default_factory=dict)
    algorithm: Algorithm | None = None

    @property
    def place(self) -> Span:
        """The place reported for anything missing from the algorithm as a whole."""
        return self.statements.name.span

    def error(self, code: str, message: str, span: Span, *notes: str) -> None:
        self.scope.diagnostics.error(code, message, span, *notes)
