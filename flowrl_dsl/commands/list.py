"""``flowrl-dsl list [WHAT]``"""

from __future__ import annotations

import argparse

from flowrl_dsl.arguments import add_json
from flowrl_dsl.exits import show, unless_misused

HELP = "list shipped specs and registered components with their papers"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="?", metavar="WHAT", help="specs, suites, tasks, components, or a family such as sampler"
    )
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import listed, listing

    return unless_misused(lambda: show(parsed, lambda: listed(parsed.what), lambda: listing(parsed.what)))
