"""``flowrl-dsl new NAME --from SPEC``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.exits import OK, unless_misused

HELP = "create a spec that extends SPEC and contains all its settings as comments"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME")
    command.add_argument("--from", dest="base", required=True, metavar="SPEC", help="the spec to extend")
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help="output file (default NAME.flowrl)")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.catalogue import new

    path = parsed.output or Path(f"{parsed.name}.flowrl")
    code = unless_misused(lambda: new(parsed.name, parsed.base, path))
    if code == OK:
        print(path)
    return code
