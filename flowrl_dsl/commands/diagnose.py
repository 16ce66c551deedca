"""``flowrl-dsl diagnose RUN``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.exits import OK

HELP = "replay the first non-finite update and locate its node"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs

    found = runs.diagnose(parsed.run)
    if found is None:
        print("every value of the update is finite now")
        return OK
    raise DiagnosticError([found])
