"""``flowrl-dsl eval RUN…``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import add_json, positive
from flowrl_dsl.exits import OK, show

HELP = "evaluate the newest checkpoint of each run"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    command.add_argument("--episodes", type=positive, metavar="N")
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs, streams

    with streams.silenced(parsed.json):
        found = runs.evaluate(parsed.runs, parsed.episodes)
    show(parsed, lambda: found)
    return OK
