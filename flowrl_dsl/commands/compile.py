"""``flowrl-dsl compile SPEC``"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowrl_dsl.arguments import add_json, add_set, passes
from flowrl_dsl.exits import OK, USAGE, shown, write

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
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    if parsed.format == "svg" and parsed.emit != "graph":
        print("only the graph is drawn: --emit graph --format svg", file=sys.stderr)
        return USAGE
    if parsed.json and parsed.emit is not None:
        print("only the plan is printed as JSON: --json without --emit", file=sys.stderr)
        return USAGE
    text = _text(parsed)
    if parsed.output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write(parsed.output, text)
    return OK


def _text(parsed: argparse.Namespace) -> str:
    from flowrl_dsl.driver import compile_plan, compile_report, drawing

    asked = parsed.task, parsed.set, parsed.passes
    if parsed.emit is None:
        plan = compile_plan(parsed.spec, *asked)
        return shown(parsed, plan.as_json, plan.text)
    return drawing(parsed.spec, *asked) if parsed.format == "svg" else compile_report(parsed.spec, parsed.emit, *asked)
