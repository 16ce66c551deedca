"""``flowrl-dsl train SPEC --task TASK``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.arguments import REPLACED, add_set, assignment, population, positive, seed, sweep
from flowrl_dsl.exits import interruptible, unless_misused

HELP = "train a spec on a task"
OUTLIVES_ITS_SCREEN = True
_DEFAULT_TASK = "InvertedPendulum-v5"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("spec", metavar="SPEC")
    help_text = f"a Gymnasium id or dm_control/DOMAIN-TASK (default {_DEFAULT_TASK})"
    command.add_argument("--task", default=_DEFAULT_TASK, metavar="TASK", help=help_text)
    help_text = "constructor argument of the task, such as frame_skip=2; may be repeated"
    command.add_argument("--env", action="append", default=[], type=assignment, metavar="NAME=VALUE", help=help_text)
    command.add_argument("--seed", type=seed, default=0, metavar="N")
    help_text = "train a population of N runs with consecutive seeds from --seed, in one compiled program"
    command.add_argument("--seeds", type=population, metavar="N", help=help_text)
    add_set(command)
    help_text = "one run per value, such as temperature=0.03,0.1,0.3, and seed; if repeated, per combination"
    command.add_argument("--sweep", action="append", default=[], type=sweep, metavar="NAME=VALUES", help=help_text)
    for name, meaning in REPLACED.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=positive, metavar="N", help=meaning)
    help_text = "devices among which the environments of a world of JAX functions are split"
    command.add_argument("--devices", type=positive, metavar="N", help=help_text)
    command.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default runs/SPEC/TASK/seedN)")
    command.add_argument("--wandb", metavar="PROJECT", help="also log to Weights & Biases")
    help_text = "the data set that an offline algorithm learns from: a file, a folder, or an id of Minari"
    command.add_argument("--data", metavar="SOURCE", help=help_text)
    help_text = "begin with the policy that acts in an earlier run, as `policy` or as another SECTION"
    command.add_argument("--begin", metavar="[SECTION=]RUN", help=help_text)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import runs

    replaced = {name: getattr(parsed, name) for name in (*REPLACED, "devices")}
    task = parsed.task
    if parsed.env:
        from flowrl_dsl.runtime.worlds.arguments import named

        task = named(task, parsed.env)
    given = (parsed.spec, task, parsed.seed, tuple(parsed.set), replaced, parsed.out, parsed.wandb, parsed.data)
    arguments = runs.TrainArguments(*given, begin=parsed.begin)
    if parsed.seeds is None and not parsed.sweep:
        return interruptible(lambda: runs.train(arguments))
    from flowrl_dsl import populations

    return unless_misused(lambda: populations.check(arguments, parsed.seeds or 1, parsed.sweep)) or interruptible(
        lambda: populations.train(arguments, parsed.seeds or 1, parsed.sweep)
    )
