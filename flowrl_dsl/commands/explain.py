"""``flowrl-dsl explain CODE``"""

from __future__ import annotations

import argparse
import sys

from flowrl_dsl.exits import OK, USAGE

HELP = "explain an error code such as FRL0212, with an example and its fix"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("code", metavar="CODE")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.codes import CODES, explain
    from flowrl_dsl.diagnostics import did_you_mean

    text = explain(parsed.code)
    if text is None:
        hint = did_you_mean(parsed.code.upper(), CODES)
        hint = hint if hint.startswith("did") else "codes look like FRL0212"
        print(f'there is no code "{parsed.code}"; {hint}', file=sys.stderr)
        return USAGE
    print(text)
    return OK
