"""``flowrl-dsl look RUN``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import places, positive, seed
from flowrl_dsl.exits import OK

HELP = "draw the actions that a policy chooses among: samples, the critic's values, and the denoising path"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN")
    help_text = "steps of an episode of the policy, such as 0,50,200 (default: its start, a quarter and half of it)"
    command.add_argument("--at", type=places, default=(), metavar="STEPS", help=help_text)
    help_text = "a file of NumPy with an observation in each row, instead of steps of an episode"
    command.add_argument("--observations", type=Path, metavar="FILE", help=help_text)
    help_text = "components of the action, such as 0,2 (default: the two in which the samples differ most)"
    command.add_argument("--components", type=places, default=(), metavar="I,J", help=help_text)
    command.add_argument("--samples", type=positive, default=500, metavar="N", help="samples at each state (default 500)")
    command.add_argument("--paths", type=positive, default=12, metavar="N", help="denoising paths drawn (default 12)")
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the episode and of the samples")
    help_text = "png, pdf or svg (default RUN/look.png)"
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.looking import LookArguments, look

    names = ("run", "at", "observations", "components", "samples", "paths", "seed")
    print(look(LookArguments(**{name: getattr(parsed, name) for name in names}), parsed.output))
    return OK
