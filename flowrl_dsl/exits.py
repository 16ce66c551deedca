"""Exit codes of the command line, and what commands share: tables and files they write, mistakes, interruptions.

Exit codes: 0, 1 spec error, 2 usage, 3 run failure, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from flowrl_dsl.diagnostics import Diagnostic

OK, SPEC_ERROR, USAGE, RUN_FAILURE, INTERRUPTED = 0, 1, 2, 3, 130


def exit_code(diagnostics: Sequence[Diagnostic]) -> int:
    """3 when a run or a suite of runs failed (FRL04xx, FRL05xx), 1 when a spec is wrong, 0 when there are only warnings."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if not errors:
        return OK
    return RUN_FAILURE if all(d.code.startswith(("FRL04", "FRL05")) for d in errors) else SPEC_ERROR


def unless_misused(work: Callable[[], None]) -> int:
    """Do the work; a ``ValueError`` is a mistake in the arguments of the command."""
    try:
        work()
    except ValueError as error:
        print(error, file=sys.stderr)
        return USAGE
    return OK


def interruptible(work: Callable[[], None]) -> int:
    """Do the work, which writes a checkpoint when it is interrupted."""
    from flowrl_dsl.runtime.errors import Interrupted

    try:
        work()
    except Interrupted:
        return INTERRUPTED
    return OK


def show(parsed: argparse.Namespace, value: Callable[[], object], text: Callable[[], str] | None = None) -> None:
    """Print a table as text, or with ``--json`` its value; without ``text`` its lines have been printed as they came."""
    if parsed.json or text is not None:
        print(shown(parsed, value, text or str).removesuffix("\n"))


def shown(parsed: argparse.Namespace, value: Callable[[], object], text: Callable[[], str]) -> str:
    """The text of a table, or with ``--json`` its value as JSON."""
    return json.dumps(value(), indent=1) if parsed.json else text()


def agreed(question: str) -> bool:
    """Whether the user, if there is one, answers yes."""
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def write(path: Path, text: str) -> None:
    """Write a file at once: the one behind a link, not the link, with the permissions that it had."""
    from flowrl_dsl.runtime import files

    target = path.resolve()
    with files.disk(path):
        mode = target.stat().st_mode if target.exists() else None
        files.replace(target, text.encode())
        if mode is not None:
            target.chmod(mode)


def colored(stream: TextIO) -> bool:
    """Whether to color the text on a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
