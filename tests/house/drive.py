"""``python -m tests.house.drive SPEC TASK SPEC TASK ...``, where the plugins are installed: all that a shipped spec can do.

Each spec is checked, compiled, put through the property kit (which prints and runs it as Python), trained, and resumed from
a checkpoint in the middle: the second half is the same bit for bit.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from flowrl_dsl import cli
from flowrl_dsl.testing import invariants

SMALL = ("critic.network=mlp([8])", "policy.network=mlp([8])", "train.batch=8", "train.warmup=20")


def everything(spec: str, task: str) -> None:
    assert cli.main(["check", spec]) in (0, None)
    invariants.check_program(invariants.trial(Path(spec).read_text()))
    with tempfile.TemporaryDirectory() as home:
        whole, resumed = Path(home, "whole"), Path(home, "resumed")
        words = ["train", spec, "--task", task, "--steps", "120", "--checkpoint-every", "60", "--evaluate-every", "60"]
        words += ["--episodes", "2", f"--out={whole}", *(f"--set={line}" for line in SMALL)]
        assert cli.main(words) in (0, None)
        shutil.copytree(whole, resumed)
        shutil.rmtree(resumed / "checkpoints" / "step-000000120")
        assert cli.main(["resume", str(resumed)]) in (0, None)
        records = [(folder / "metrics.jsonl").read_bytes() for folder in (whole, resumed)]
        assert records[0] == records[1] and records[0].count(b"\n") >= 3
        assert cli.main(["eval", str(resumed)]) in (0, None)


def main(*words: str) -> None:
    for spec, task in zip(words[::2], words[1::2], strict=True):
        try:
            everything(spec, task)
        except Exception:
            # the others are still tried
            print(f"{Path(spec).stem} on {task} fails:\n{traceback.format_exc()}", file=sys.stderr)
        else:
            print(f"everything holds of {Path(spec).stem} on {task}")


if __name__ == "__main__":
    main(*sys.argv[1:])
