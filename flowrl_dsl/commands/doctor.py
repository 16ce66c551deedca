"""``flowrl-dsl doctor``"""

from __future__ import annotations

import argparse
import json

from flowrl_dsl.exits import OK, RUN_FAILURE

HELP = "check versions, devices, cache, disk, renderer, and a training of a few steps"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import doctor

    found = []
    for finding in doctor.findings():
        found.append(finding)
        if not parsed.json:
            print(doctor.line(finding), flush=True)
    if parsed.json:
        print(json.dumps([one.as_json() for one in found], indent=1))
    return RUN_FAILURE if any(one.state == "bad" for one in found) else OK
