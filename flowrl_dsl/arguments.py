"""The command line: commands, options, and the format of their values.  No command runs here."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from flowrl_dsl import __version__

Commands = argparse._SubParsersAction

_DEFAULT_TASK = "InvertedPendulum-v5"
_MOST_SEEDS = 1024

REPLACED = {
    "steps": "environment steps",
    "envs": "number of parallel environments",
    "evaluate_every": "environment steps between evaluations",
    "episodes": "episodes per evaluation",
    "checkpoint_every": "environment steps between checkpoints",
}
"""Settings of a run that an option of ``train`` overrides, with their descriptions."""

EMITTED = ("tree", "spec", "graph", "jaxpr", "hlo", "python")


def positive(text: str) -> int:
    """A whole number above zero, with ``_`` between digits and ``1e6`` allowed."""
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        value = 0.0
    if not (value >= 1 and value < 2**53 and value == int(value)):
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, found {text!r}")
    return int(value)


def seed(text: str) -> int:
    """A whole number of at most 31 bits, the range that every random generator accepts."""
    if not (text.isascii() and text.isdigit() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2147483647, found {text!r}")
    return int(text)


def population(text: str) -> int:
    """A number of seeds; each needs a state and a replay buffer on the device."""
    count = positive(text)
    if count > _MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"expected at most {_MOST_SEEDS} seeds, found {text!r}")
    return count


def deviation(text: str) -> float:
    """A standard deviation: a finite number, not negative."""
    if not (_is_number(text) and float(text) >= 0):
        raise argparse.ArgumentTypeError(f"expected a number, not negative, found {text!r}")
    return float(text)


def assignment(text: str) -> str:
    """``name=value``; the spec checks the name and the value."""
    name, equals, _ = text.partition("=")
    if not (name.strip() and equals):
        raise argparse.ArgumentTypeError(f"expected name=value, found {text!r}")
    return text


def sweep(text: str) -> tuple[str, ...]:
    """``name=number,number,…`` as one assignment for each number."""
    name, _, values = assignment(text).partition("=")
    found = [value.strip() for value in values.split(",")]
    if not all(map(_is_number, found)):
        raise argparse.ArgumentTypeError(
            f"expected name=number,number,... found {text!r}; for other values start one run each with --set"
        )
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} contains a value twice")
    return tuple(f"{name.strip()}={value}" for value in found)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def passes(text: str) -> tuple[str, ...]:
    """``all``, ``none`` (as no names), or names of passes with commas between them."""
    from flowrl_dsl.diagnostics import nearest
    from flowrl_dsl.passes import PIPELINE

    if text in ("all", "none"):
        return tuple(PIPELINE) if text == "all" else ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in PIPELINE:
            close = nearest(name, PIPELINE)
            hint = f'did you mean "{close}"? ' if close else ""
            known = f"expected none, all, or names of {', '.join(PIPELINE)}"
            raise argparse.ArgumentTypeError(f'there is no pass "{name}"; {hint}{known}')
    return names


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="flowrl-dsl",
        description="A language and compiler for reinforcement learning with diffusion and flow policies.",
        epilog="SPEC is a file or the name of a shipped spec, such as qsm.",
    )
    version = f"flowrl-dsl {__version__}"
    top.add_argument("--version", action="version", version=version, help="show the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    _add_text_commands(commands)
    _add_catalogue(commands)
    _add_compile(commands)
    _add_train(commands)
    _add_run_commands(commands)
    _add_bench(commands)
    _add_data(commands)
    return top


def _add(commands: Commands, name: str, help_text: str) -> argparse.ArgumentParser:
    # no abbreviated options: one that works today would break when another begins with the same letters
    return commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)


def _add_text_commands(commands: Commands) -> None:
    check = _add(commands, "check", "report all errors in specs")
    check.add_argument("files", nargs="+", metavar="FILE")
    check.add_argument("--format", choices=("text", "json"), default="text")
    fmt = _add(commands, "fmt", "rewrite specs in the standard layout")
    fmt.add_argument("files", nargs="+", metavar="FILE")
    fmt.add_argument("--check", action="store_true", help="change no file; exit with 1 if a file would change")
    explain = _add(commands, "explain", "explain an error code such as FRL0212, with an example and its fix")
    explain.add_argument("code", metavar="CODE")


def _add_catalogue(commands: Commands) -> None:
    listing = _add(commands, "list", "list shipped specs and registered components with their papers")
    listing.add_argument("what", nargs="?", metavar="WHAT", help="specs, components, or a family such as sampler")
    diff = _add(commands, "diff", "show the semantic differences between two specs")
    diff.add_argument("left", metavar="SPEC")
    diff.add_argument("right", metavar="SPEC")
    diff.add_argument("--task", metavar="TASK", help="compare the specs as resolved for this task")
    _add_set(diff)
    new = _add(commands, "new", "create a spec that extends SPEC and contains all its settings as comments")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--from", dest="base", required=True, metavar="SPEC", help="the spec to extend")
    new.add_argument("-o", dest="output", type=Path, metavar="FILE", help="output file (default NAME.flowrl)")


def _add_compile(commands: Commands) -> None:
    command = _add(commands, "compile", "compile a spec and print its plan, or the form selected by --emit")
    command.add_argument("spec", metavar="SPEC")
    command.add_argument("--task", metavar="TASK", help="task that sets the sizes and selects the `for task` block")
    command.add_argument("--emit", choices=EMITTED, help="intermediate form to print")
    help_text = "passes over the update graph: none, all, or a comma-separated list (default all; cse,dce for --emit python)"
    command.add_argument("--passes", type=passes, metavar="NAMES", help=help_text)
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help="output file (default: standard output)")
    _add_set(command)


def _add_set(command: argparse.ArgumentParser) -> None:
    help_text = "set a parameter or an option, such as temperature=0.05; may be repeated"
    command.add_argument("--set", action="append", default=[], type=assignment, metavar="NAME=VALUE", help=help_text)


def _add_train(commands: Commands) -> None:
    command = _add(commands, "train", "train a spec on a task")
    command.add_argument("spec", metavar="SPEC")
    help_text = f"a Gymnasium id or dm_control/DOMAIN-TASK (default {_DEFAULT_TASK})"
    command.add_argument("--task", default=_DEFAULT_TASK, metavar="TASK", help=help_text)
    help_text = "constructor argument of the task, such as frame_skip=2; may be repeated"
    command.add_argument("--env", action="append", default=[], type=assignment, metavar="NAME=VALUE", help=help_text)
    command.add_argument("--seed", type=seed, default=0, metavar="N")
    help_text = "train a population of N runs with consecutive seeds from --seed, in one compiled program"
    command.add_argument("--seeds", type=population, metavar="N", help=help_text)
    _add_set(command)
    help_text = "one run per value, such as temperature=0.03,0.1,0.3, and seed; if repeated, per combination"
    command.add_argument("--sweep", action="append", default=[], type=sweep, metavar="NAME=VALUES", help=help_text)
    for name, meaning in REPLACED.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=positive, metavar="N", help=meaning)
    command.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default runs/SPEC/TASK/seedN)")
    command.add_argument("--wandb", metavar="PROJECT", help="also log to Weights & Biases")
    help_text = "the data set that an offline algorithm learns from: a file, a folder, or an id of Minari"
    command.add_argument("--data", metavar="SOURCE", help=help_text)


def _add_run_commands(commands: Commands) -> None:
    resume = _add(commands, "resume", "resume a run, bit for bit as if it had never stopped")
    resume.add_argument("run", type=Path, metavar="RUN")
    help_text = "train to this number of environment steps, more than the run has had so far"
    resume.add_argument("--steps", type=positive, metavar="N", help=help_text)
    help_text = "begin again at step 0 if every checkpoint is lost or damaged"
    resume.add_argument("--restart", action="store_true", help=help_text)
    evaluate = _add(commands, "eval", "evaluate the newest checkpoint of each run")
    evaluate.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    evaluate.add_argument("--episodes", type=positive, metavar="N")
    plot = _add(commands, "plot", "plot learning curves")
    plot.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    plot.add_argument("-o", dest="output", type=Path, default=Path("curves.png"), metavar="FILE", help="png, pdf or svg")
    diagnose = _add(commands, "diagnose", "replay the first non-finite update and locate its node")
    diagnose.add_argument("run", type=Path, metavar="RUN")


_BENCH = {
    "step": "one update with all passes and with none: time, share of peak speed, compilation time, memory",
    "act": "microseconds per action selection, for 1, 16 and 256 observations",
    "env": "steps per second of a task's environments, compared with Gymnasium's vector environments",
    "train": "steps per second of a short training run, and the share of each part",
}


def _add_bench(commands: Commands) -> None:
    bench = _add(commands, "bench", "measure the speed of specs or environments on this machine")
    kinds = bench.add_subparsers(title="kinds", metavar="KIND", dest="kind", required=True)
    for name, help_text in _BENCH.items():
        kind = _add(kinds, name, help_text)
        if name != "env":
            kind.add_argument("specs", nargs="*", metavar="SPEC", help="specs to measure (default: all shipped specs)")
            _add_set(kind)
        needed = name in ("env", "train")
        default = "HalfCheetah-v5" if needed else "none: the sizes of HalfCheetah, no environment needed"
        kind.add_argument("--task", metavar="TASK", help=f"a Gymnasium id or dm_control/DOMAIN-TASK (default {default})")
        kind.add_argument("--repeat", type=positive, metavar="N", help="samples per measurement")
        kind.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")


def _add_data(commands: Commands) -> None:
    data = _add(commands, "data", "summarise a data set: episodes, returns, lengths, and the range and coverage of actions")
    data.add_argument("source", metavar="SOURCE", help="a Minari id or folder, a D4RL HDF5 file, or an OGBench .npz")
    data.add_argument("--task", metavar="TASK", help="the task, whose sizes and bounds of actions are checked")
    data.add_argument("--plot", type=Path, metavar="FILE", help="the picture: png, pdf or svg (default NAME.png)")
    data.add_argument("--json", type=Path, metavar="FILE", help="also write the summary as JSON")
    collect = _add(commands, "collect", "write a Minari data set of trained policies or of their replays")
    collect.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run, a population, or RUN/checkpoints/STEP")
    help_text = "steps of all policies together; of replays, the newest of each"
    collect.add_argument("--steps", type=positive, metavar="N", help=help_text)
    collect.add_argument("--out", required=True, metavar="NAME", help="id of the data set, such as mine/hopper-medium-v0")
    collect.add_argument("--seed", type=seed, default=0, metavar="N")
    collect.add_argument("--envs", type=positive, default=1, metavar="N", help="number of parallel environments")
    help_text = "standard deviation of Gaussian noise on the actions in [-1, 1]"
    collect.add_argument("--noise", type=deviation, default=0.0, metavar="X", help=help_text)
    collect.add_argument("--replay", action="store_true", help="the transitions stored by the runs, not new ones")
