"""What can go wrong in a run, as a coded diagnostic: the command line shows it and exits with 3, never a traceback."""

from __future__ import annotations

import re

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Span


class RunError(DiagnosticError):
    """A run that cannot start or go on; carries one diagnostic with a code of the family FRL04xx."""

    def __init__(self, code: str, message: str, *notes: str, span: Span | None = None):
        super().__init__([Diagnostic(code, message, span, tuple(note for note in notes if note))])

    @property
    def code(self) -> str:
        return self.diagnostics[0].code


def out_of_memory(error: Exception) -> RunError | None:
    """The diagnostic for an array that did not fit, whoever wanted to make it; None for any other exception.

    jax has one class of exception for all that can happen on a device.
    """
    of_device = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
    if not isinstance(error, MemoryError) and not (of_device and _NO_MEMORY.search(str(error))):
        return None
    reason = next((line for line in str(error).splitlines() if _NO_MEMORY.search(line)), "")
    hint = "smaller: train.batch, particles, widths of networks, critic.ensemble, train.replay"
    return RunError("FRL0423", "there is not enough memory", reason.strip(), hint)


_NO_MEMORY = re.compile("RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


class Interrupted(Exception):
    """Ctrl-C, or a polite request to end; the run can be resumed."""
