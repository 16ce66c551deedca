"""``flowrl-dsl plot RUN…``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.exits import OK

HELP = "plot learning curves"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    command.add_argument("-o", dest="output", type=Path, default=Path("curves.png"), metavar="FILE", help="png, pdf or svg")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.runtime.logs import expanded
    from flowrl_dsl.runtime.plot import plot

    plot(expanded(parsed.runs), parsed.output)
    print(parsed.output)
    return OK
