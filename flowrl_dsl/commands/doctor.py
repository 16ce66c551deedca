"""``flowrl-dsl doctor``"""

from __future__ import annotations

import argparse

from flowrl_dsl.arguments import add_json
from flowrl_dsl.exits import OK, RUN_FAILURE, show

HELP = "check versions, devices, cache, disk, renderer, and a training of a few steps"


def declare(command: argparse.ArgumentParser) -> None:
    add_json(command)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl import doctor, streams

    found = []
    with streams.silenced(parsed.json):
        for finding in doctor.findings():
            found.append(finding)
            print(doctor.line(finding), flush=True)
    show(parsed, lambda: [one.as_json() for one in found])
    return RUN_FAILURE if any(one.state == "bad" for one in found) else OK
