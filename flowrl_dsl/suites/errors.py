"""Errors of suites as coded diagnostics; the command line exits with 3 after them."""

from __future__ import annotations

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError


class SuiteError(DiagnosticError):
    """A suite that cannot run, or results that cannot be read or written; contains one diagnostic with a code FRL05xx."""

    def __init__(self, code: str, message: str, *notes: str):
        super().__init__([Diagnostic(code, message, None, tuple(note for note in notes if note))])

    @property
    def code(self) -> str:
        return self.diagnostics[0].code


def missing_library(package: str, extra: str) -> SuiteError:
    """The error for an optional library that is not installed."""
    return SuiteError("FRL0505", f"{package} is not installed", f"pip install 'flowrl-dsl[{extra}]'")
