"""``flowrl-dsl list [WHAT]``"""

from __future__ import annotations

import argparse

from flowrl_dsl.exits import unless_misused

HELP = "list shipped specs and registered components with their papers"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="?", metavar="WHAT", help="specs, suites, tasks, components, or a family such as sampler"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import listing, listing_json

    return unless_misused(lambda: print((listing_json if parsed.json else listing)(parsed.what)))
