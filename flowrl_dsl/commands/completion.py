"""``flowrl-dsl completion SHELL``"""

from __future__ import annotations

import argparse

from flowrl_dsl.exits import OK

HELP = "print the completion script of a shell: commands, options, specs and run folders"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.cli import parser
    from flowrl_dsl.completing import script

    print(script(parser(), parsed.shell))
    return OK
