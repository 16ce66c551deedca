"""``flowrl-dsl plot RUN…``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.exits import OK

HELP = "plot learning curves, or other metrics, by steps, updates or seconds"
AXES = ("steps", "updates", "seconds")


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    command.add_argument("-o", dest="output", type=Path, default=Path("curves.png"), metavar="FILE", help="png, pdf or svg")
    command.add_argument("--by", choices=AXES, default="steps", help="the horizontal axis (default steps)")
    help_text = "name in metrics.jsonl, such as critic_loss; may be repeated (default return_mean)"
    command.add_argument("--metric", action="append", default=[], metavar="NAME", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.runtime.curves import RETURN
    from flowrl_dsl.runtime.logs import expanded
    from flowrl_dsl.runtime.plot import plot

    plot(expanded(parsed.runs), parsed.output, parsed.metric or (RETURN,), parsed.by)
    print(parsed.output)
    return OK
