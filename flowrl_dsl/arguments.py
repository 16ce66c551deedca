"""What arguments of commands have in common: the format of their values, and options of several commands."""

from __future__ import annotations

import argparse
import math

_MOST_SEEDS = 1024

REPLACED = {
    "steps": "environment steps",
    "envs": "number of parallel environments",
    "evaluate_every": "environment steps between evaluations",
    "episodes": "episodes per evaluation",
    "checkpoint_every": "environment steps between checkpoints",
}
"""Settings of a run that an option of ``train`` overrides, with their descriptions."""


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
    from flowrl_dsl.passes import NAMES

    if text in ("all", "none"):
        return NAMES if text == "all" else ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in NAMES:
            close = nearest(name, NAMES)
            hint = f'did you mean "{close}"? ' if close else ""
            known = f"expected none, all, or names of {', '.join(NAMES)}"
            raise argparse.ArgumentTypeError(f'there is no pass "{name}"; {hint}{known}')
    return names


def add_set(command: argparse.ArgumentParser) -> None:
    """The option ``--set NAME=VALUE``."""
    help_text = "set a parameter or an option, such as temperature=0.05; may be repeated"
    command.add_argument("--set", action="append", default=[], type=assignment, metavar="NAME=VALUE", help=help_text)


def add_json(command: argparse.ArgumentParser) -> None:
    """The option ``--json`` of every command that prints a table; :func:`flowrl_dsl.exits.show` reads it."""
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")


def places(text: str) -> tuple[int, ...]:
    """Whole numbers from 0 on with commas between them, none of them twice."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) < 2**31 for part in parts) or len({*parts}) < len(parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between them, such as 0,3, found {text!r}")
    return tuple(map(int, parts))


def size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` of a picture, from 64 to 4096 each."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and 64 <= int(part) <= 4096 for part in parts):
        raise argparse.ArgumentTypeError(f"expected a width and a height from 64 to 4096, such as 640x480, found {text!r}")
    return int(parts[0]), int(parts[1])


def port(text: str) -> int:
    """A port of this machine, from 0 to 65535; 0 is any free one."""
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)
