"""What the checks of one algorithm share: its statements, its scope, and the sections that have been read."""

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
        """Where to point for what the whole algorithm lacks."""
        return self.statements.name.span

    def error(self, code: str, message: str, span: Span, *notes: str) -> None:
        self.scope.diagnostics.error(code, message, span, *notes)
