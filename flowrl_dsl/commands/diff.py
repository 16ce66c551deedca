"""``flowrl-dsl diff SPEC SPEC``"""

from __future__ import annotations

import argparse

from flowrl_dsl.arguments import add_json, add_set
from flowrl_dsl.exits import OK, show

HELP = "show the semantic differences between two specs"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("left", metavar="SPEC")
    command.add_argument("right", metavar="SPEC")
    command.add_argument("--task", metavar="TASK", help="compare the specs as resolved for this task")
    add_set(command)
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import differences

    found = differences(parsed.left, parsed.right, parsed.task, parsed.set)
    show(parsed, found.as_json, found.text)
    return OK
