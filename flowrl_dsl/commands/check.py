"""``flowrl-dsl check FILE…``"""

from __future__ import annotations

import argparse
import sys

from flowrl_dsl.diagnostics import render_json, render_text
from flowrl_dsl.exits import colored, exit_code

HELP = "report all errors in specs"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("--format", choices=("text", "json"), default="text")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.driver import check_files

    found, sources = check_files(parsed.files)
    if parsed.format == "json":
        print(render_json(found))
    elif found:
        print(render_text(found, sources, colored(sys.stdout)))
    return exit_code(found)
