"""``flowrl-dsl collect RUN… --out NAME``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import add_json, deviation, positive, seed
from flowrl_dsl.exits import OK, show, unless_misused

HELP = "write a Minari data set of trained policies or of their replays"
OUTLIVES_ITS_SCREEN = True


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run, a population, or RUN/checkpoints/STEP")
    help_text = "steps of all policies together; of replays, the newest of each"
    command.add_argument("--steps", type=positive, metavar="N", help=help_text)
    command.add_argument("--out", required=True, metavar="NAME", help="id of the data set, such as mine/hopper-medium-v0")
    command.add_argument("--seed", type=seed, default=0, metavar="N")
    command.add_argument("--envs", type=positive, default=1, metavar="N", help="number of parallel environments")
    help_text = "standard deviation of Gaussian noise on the actions in [-1, 1]"
    command.add_argument("--noise", type=deviation, default=0.0, metavar="X", help=help_text)
    command.add_argument("--replay", action="store_true", help="the transitions stored by the runs, not new ones")
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import collecting, streams

    names = ("runs", "steps", "seed", "envs", "noise", "replay")
    arguments = collecting.CollectArguments(name=parsed.out, **{name: getattr(parsed, name) for name in names})
    code = unless_misused(lambda: collecting.check(arguments))
    if code == OK:
        with streams.silenced(parsed.json):
            collected = collecting.collect(arguments)
        show(parsed, lambda: collected)
    return code
