"""``flowrl-dsl resume RUN``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import positive
from flowrl_dsl.exits import agreed, interruptible

HELP = "resume a run, bit for bit as if it had never stopped"
OUTLIVES_ITS_SCREEN = True


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN")
    help_text = "train to this number of environment steps, more than the run has had so far"
    command.add_argument("--steps", type=positive, metavar="N", help=help_text)
    help_text = "begin again at step 0 if every checkpoint is lost or damaged"
    command.add_argument("--restart", action="store_true", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import populations, resuming
    from flowrl_dsl.runtime.errors import RunError
    from flowrl_dsl.runtime.logs import is_population

    room = populations if is_population(parsed.run) else resuming
    try:
        return interruptible(lambda: room.resume(parsed.run, parsed.steps, parsed.restart))
    except RunError as error:
        if error.code != "FRL0425" or not agreed(f"{error.diagnostics[0].message}; begin it again?"):
            raise
        return interruptible(lambda: room.resume(parsed.run, parsed.steps, True))
