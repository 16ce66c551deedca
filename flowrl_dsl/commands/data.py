"""``flowrl-dsl data SOURCE``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import add_json
from flowrl_dsl.exits import OK, show

HELP = "summarise a data set: episodes, returns, lengths, and the range and coverage of actions"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="a Minari id or folder, a D4RL HDF5 file, or an OGBench .npz")
    command.add_argument("--task", metavar="TASK", help="the task, whose sizes and bounds of actions are checked")
    command.add_argument("--plot", type=Path, metavar="FILE", help="the picture: png, pdf or svg (default NAME.png)")
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import data
    from flowrl_dsl.datasets import summary

    loaded = data.load_for(parsed.source, parsed.task)
    found = summary.summarize(loaded)
    picture = data.draw(loaded, parsed.plot)
    show(parsed, lambda: found.as_json() | {"picture": str(picture)}, lambda: f"{summary.text(found)}\npicture: {picture}")
    return OK
