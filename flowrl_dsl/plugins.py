"""Plugins: the modules behind entry points of the group ``flowrl_dsl.components``, whose components register themselves."""

from __future__ import annotations

import traceback
from functools import cache

from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError


@cache
def load_plugins() -> None:
    """Import the modules of installed plugins, once.  Raises ``DiagnosticError`` where one cannot be imported."""
    from importlib.metadata import entry_points

    for entry in entry_points(group="flowrl_dsl.components"):
        try:
            entry.load()
        except Exception as error:
            raise DiagnosticError([_broken(entry.name, entry.value, error)]) from error


def _broken(name: str, module: str, error: Exception) -> Diagnostic:
    """Whatever the import of a plugin raises; the note names the last line of its own package that was reached."""
    message = f'plugin "{name}" ({module}) cannot be imported: {type(error).__name__}: {error}'
    package, places = module.partition(":")[0].partition(".")[0], []
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            places.append(f"{frame.f_code.co_filename}:{line}")
    return Diagnostic("FRL0407", message, None, tuple(places[-1:]))
