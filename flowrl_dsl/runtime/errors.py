"""What can go wrong in a run, as a coded diagnostic: the command line shows it and exits with 3, never a traceback."""

from __future__ import annotations

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Span


class RunError(DiagnosticError):
    """A run that cannot start or go on; carries one diagnostic with a code of the family FRL04xx."""

    def __init__(self, code: str, message: str, *notes: str, span: Span | None = None):
        super().__init__([Diagnostic(code, message, span, tuple(note for note in notes if note))])

    @property
    def code(self) -> str:
        return self.diagnostics[0].code


class Interrupted(Exception):
    """Ctrl-C, or a polite request to end; the run can be resumed."""
