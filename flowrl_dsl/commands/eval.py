"""``flowrl-dsl eval RUN…``"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from flowrl_dsl.arguments import positive
from flowrl_dsl.exits import OK

HELP = "evaluate the newest checkpoint of each run"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    command.add_argument("--episodes", type=positive, metavar="N")
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs, streams

    with streams.silenced(parsed.json):
        found = runs.evaluate(parsed.runs, parsed.episodes)
    if parsed.json:
        print(json.dumps(found, indent=1))
    return OK
