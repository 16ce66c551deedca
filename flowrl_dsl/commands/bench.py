"""``flowrl-dsl bench KIND``"""

from __future__ import annotations

import argparse

from flowrl_dsl.arguments import add_json, add_set, positive
from flowrl_dsl.exits import INTERRUPTED, OK, SPEC_ERROR, show

HELP = "measure the speed of specs or environments on this machine"
KINDS = {
    "step": "one update with all passes and with none: time, share of peak speed, compilation time, memory",
    "act": "microseconds per action selection, for 1, 16 and 256 observations",
    "env": "steps per second of a task's environments, compared with Gymnasium's vector environments",
    "train": "steps per second of a short training run, and the share of each part",
}


def declare(command: argparse.ArgumentParser) -> None:
    kinds = command.add_subparsers(title="kinds", metavar="KIND", dest="kind", required=True)
    for name, help_text in KINDS.items():
        kind = kinds.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        if name != "env":
            kind.add_argument("specs", nargs="*", metavar="SPEC", help="specs to measure (default: all shipped specs)")
            add_set(kind)
        needed = name in ("env", "train")
        default = "HalfCheetah-v5" if needed else "none: the sizes of HalfCheetah, no environment needed"
        kind.add_argument("--task", metavar="TASK", help=f"a Gymnasium id or dm_control/DOMAIN-TASK (default {default})")
        kind.add_argument("--repeat", type=positive, metavar="N", help="samples per measurement")
        add_json(kind)


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.bench import report
    from flowrl_dsl.bench.kind import Asked

    specs, sets = tuple(getattr(parsed, "specs", ())), tuple(getattr(parsed, "set", ()))
    found = report.collect(Asked(parsed.kind, specs, parsed.task, sets, parsed.repeat))
    show(parsed, lambda: report.as_json(found), lambda: report.text(found))
    if found.interrupted:
        return INTERRUPTED
    return SPEC_ERROR if found.failed else OK
