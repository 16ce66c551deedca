"""``flowrl-dsl init DIR``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.exits import OK

HELP = "create a folder with a spec, a component of its own, a test of both, and a .gitignore"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder; its name is the algorithm's")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.starting import init

    for path in init(parsed.folder):
        print(path)
    return OK
