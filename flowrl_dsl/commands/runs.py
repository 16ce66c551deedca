"""``flowrl-dsl runs [DIR…]``"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flowrl_dsl.arguments import add_json, assignment
from flowrl_dsl.exits import OK, USAGE, agreed, show

HELP = "list runs with their specs, tasks, steps, returns and states; remove those chosen with --prune"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("folders", nargs="*", type=Path, default=[Path("runs")], metavar="DIR", help="default: runs")
    help_text = "only runs with this text in this column, such as spec=qsm or state=stopped; may be repeated"
    command.add_argument("--where", action="append", default=[], type=assignment, metavar="COLUMN=TEXT", help=help_text)
    help_text = "column: path (default), state, spec, task, seed, step, steps, return or created; numbers descend"
    command.add_argument("--sort", default="path", metavar="COLUMN", help=help_text)
    add_json(command)
    command.add_argument("--prune", action="store_true", help="remove these runs, after a question")
    command.add_argument("--yes", action="store_true", help="answer the question of --prune")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import inventory

    filters = [(name.strip(), text.strip()) for name, _, text in (one.partition("=") for one in parsed.where)]
    for name in [parsed.sort, *(name for name, _ in filters)]:
        if name not in inventory.SORTED_BY:
            print(f'there is no column "{name}"; expected one of {", ".join(inventory.SORTED_BY)}', file=sys.stderr)
            return USAGE
    entries = inventory.chosen(inventory.found(parsed.folders), filters, parsed.sort)
    show(parsed, lambda: [one.as_json() for one in entries], lambda: inventory.table(entries) if entries else "no runs")
    if not (parsed.prune and entries):
        return OK
    if not (parsed.yes or agreed(f"remove these {len(entries)} runs for good?")):
        print("nothing was removed; --yes removes without a question", file=sys.stderr)
        return USAGE
    inventory.prune(entries)
    return OK
