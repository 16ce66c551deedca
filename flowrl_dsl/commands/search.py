"""``flowrl-dsl search SPEC --range NAME=LOW..HIGH``"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from flowrl_dsl.arguments import REPLACED, add_json, add_set, positive, seed
from flowrl_dsl.exits import interruptible, show

if TYPE_CHECKING:
    from flowrl_dsl.searching import Range

HELP = "search for the hyperparameters with the greatest return, by Optuna; repeated, it continues"
OUTLIVES_ITS_SCREEN = True


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("spec", metavar="SPEC")
    command.add_argument("--task", required=True, metavar="TASK", help="a Gymnasium id or dm_control/DOMAIN-TASK")
    help_text = "values of a parameter or option: temperature=0.01..1:log, critic.ensemble=2..5:int, or the name of a param "
    help_text += "with a declared range; may be repeated (default: all declared ranges)"
    command.add_argument("--range", action="append", default=[], type=values, metavar="NAME=LOW..HIGH", help=help_text)
    command.add_argument("--trials", type=positive, default=20, metavar="N", help="runs in all (default 20)")
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="of the proposals and of every run")
    add_set(command)
    for name, meaning in REPLACED.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=positive, metavar="N", help=meaning)
    help_text = "folder of the study and its runs (default searches/SPEC/TASK)"
    command.add_argument("--out", type=Path, metavar="DIR", help=help_text)
    add_json(command)


def values(text: str) -> Range | str:
    """``NAME``, or ``NAME=LOW..HIGH`` with ``:log`` and ``:int`` behind it."""
    from flowrl_dsl.searching import Range

    name, equals, rest = text.partition("=")
    if not equals:
        return text.strip()
    ends, *kinds = rest.split(":")
    try:
        low, high = (float(end.replace("_", "")) for end in ends.split(".."))
    except ValueError:
        low, high = math.nan, math.nan
    log, whole = "log" in kinds, "int" in kinds
    wrong = not (low < high and math.isfinite(high - low)) or set(kinds) - {"log", "int"}
    if wrong or (log and low <= 0) or (whole and (low % 1 or high % 1)):
        message = f"expected name=low..high with low < high, :log above zero, :int between whole numbers; found {text!r}"
        raise argparse.ArgumentTypeError(message)
    return Range(name.strip(), low, high, log, whole)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs, searching, streams

    replaced = {name: getattr(parsed, name) for name in REPLACED}
    arguments = runs.TrainArguments(parsed.spec, parsed.task, parsed.seed, tuple(parsed.set), replaced)
    out = parsed.out or Path("searches") / Path(parsed.spec).stem / parsed.task.replace("/", "_")

    def work() -> None:
        with streams.silenced(parsed.json):
            found = searching.search(arguments, parsed.range, parsed.trials, out)
        show(parsed, lambda: [one.as_json() for one in found], lambda: searching.table(found))

    return interruptible(work)
