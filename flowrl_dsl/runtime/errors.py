"""Errors of runs as coded diagnostics: the command line prints them and exits with 3, without a traceback."""

from __future__ import annotations

import re
from importlib.util import find_spec

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError, Span


class RunError(DiagnosticError):
    """A run that cannot start or continue; contains one diagnostic with a code FRL04xx."""

    def __init__(self, code: str, message: str, *notes: str, span: Span | None = None):
        super().__init__([Diagnostic(code, message, span, tuple(note for note in notes if note))])

    @property
    def code(self) -> str:
        return self.diagnostics[0].code


def require_extra(extra: str, *libraries: str) -> None:
    """Raise FRL0491 for the first of these libraries that is not installed; ``extra`` is the one that installs it."""
    for library in libraries:
        if find_spec(library) is None:
            raise RunError("FRL0491", f"{library} is not installed", f"pip install 'flowrl-dsl[{extra}]'")


def out_of_memory(error: Exception) -> RunError | None:
    """The diagnostic for a failed allocation on host or device; None for any other exception.

    jax has a single exception class for all device errors.
    """
    of_device = type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError")
    if not isinstance(error, MemoryError) and not (of_device and _NO_MEMORY.search(str(error))):
        return None
    reason = next((line for line in str(error).splitlines() if _NO_MEMORY.search(line)), "")
    hint = "reduce train.batch, particles, network widths, critic.ensemble or train.replay"
    return RunError("FRL0423", "out of memory", reason.strip(), hint)


_NO_MEMORY = re.compile("RESOURCE_EXHAUSTED|out of memory", re.IGNORECASE)


class Interrupted(Exception):
    """SIGINT (Ctrl-C) or SIGTERM; the run can be resumed."""
