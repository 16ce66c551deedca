"""The commands of ``flowrl-dsl``: a file each, found by its name, which is the command's.

A file has ``HELP``, the line of the command in the list; ``declare``, which adds its arguments to a parser; and ``run``,
which takes the parsed arguments and returns the exit code.  Errors of the user are raised as ``DiagnosticError``.  Commands
with ``OUTLIVES_ITS_SCREEN``, whose work is in files, have the option ``--quiet``.
"""

from __future__ import annotations

import argparse
import pkgutil
from functools import cache
from importlib import import_module
from typing import Protocol, cast


class Command(Protocol):
    """What the file of a command contains."""

    HELP: str

    def declare(self, command: argparse.ArgumentParser) -> None: ...

    def run(self, parsed: argparse.Namespace) -> int: ...


@cache
def commands() -> dict[str, Command]:
    """Every command by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: cast(Command, import_module(f"{__name__}.{name}")) for name in names}
