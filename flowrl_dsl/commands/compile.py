"""``flowrl-dsl compile SPEC``"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowrl_dsl.arguments import add_set, passes
from flowrl_dsl.exits import OK, USAGE, write

HELP = "compile a spec and print its plan, or the form selected by --emit"
EMITTED = ("tree", "spec", "graph", "jaxpr", "hlo", "python")


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("spec", metavar="SPEC")
    command.add_argument("--task", metavar="TASK", help="task that sets the sizes and selects the `for task` block")
    command.add_argument("--emit", choices=EMITTED, help="intermediate form to print")
    help_text = "text, or a drawing of the update by its stages (with --emit graph)"
    command.add_argument("--format", choices=("text", "svg"), default="text", help=help_text)
    help_text = "passes over the update graph: none, all, or a comma-separated list (default all; cse,dce for --emit python)"
    command.add_argument("--passes", type=passes, metavar="NAMES", help=help_text)
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help="output file (default: standard output)")
    add_set(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.driver import compile_report, drawing

    if parsed.format == "svg" and parsed.emit != "graph":
        print("only the graph is drawn: --emit graph --format svg", file=sys.stderr)
        return USAGE
    if parsed.format == "svg":
        text = drawing(parsed.spec, parsed.task, parsed.set, parsed.passes)
    else:
        text = compile_report(parsed.spec, parsed.emit, parsed.task, parsed.set, parsed.passes)
    if parsed.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write(parsed.output, text)
    return OK
