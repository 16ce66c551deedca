"""``flowrl-dsl export RUN --format FORMAT``"""

from __future__ import annotations

import argparse
from pathlib import Path

from flowrl_dsl.exits import OK

HELP = "write the policy of a run for programs without this package: NumPy, StableHLO or ONNX"


def declare(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", type=Path, metavar="RUN")
    help_text = "numpy, one Python file (default); stablehlo, for programs with jax; onnx"
    command.add_argument("--format", choices=("numpy", "stablehlo", "onnx"), default="numpy", help=help_text)
    help_text = "how the spec evaluates (default) or explores"
    command.add_argument("--mode", choices=("evaluate", "explore"), default="evaluate", help=help_text)
    command.add_argument("--out", type=Path, metavar="DIR", help="the folder of the files (default RUN/export/FORMAT)")


def run(parsed: argparse.Namespace) -> int:
    from flowrl_dsl.exporting import export

    for path in export(parsed.run, parsed.format, parsed.mode, parsed.out):
        print(path)
    return OK
