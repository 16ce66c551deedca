"""Trains the toy program in a process of its own, to be killed: ``python -m tests.runtime.toy_run FOLDER [name=value…]``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.runtime import files
from flowrl_dsl.runtime.errors import Interrupted
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.progress import Lines, Speed
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from tests.runtime.toy_program import ToyProgram, toy_settings


class Quiet(Lines):
    """Says nothing; ``at_log`` is called whenever metrics have been written."""

    def __init__(self, steps: int, at_log: Callable[[int], None] | None = None):
        super().__init__(steps)
        self.at_log, self.said = at_log or (lambda step: None), []

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None:
        self.at_log(step)

    def say(self, text: str) -> None:
        self.said.append(text)


@cache
def _program(obs_size: int, action_size: int, blow_up_at: int) -> ToyProgram:
    """One program, so compiled once, for all runs of a test session on tasks of these sizes."""
    return ToyProgram(obs_size, action_size, blow_up_at=blow_up_at)


def die_at(operation: int) -> None:
    """SIGKILL to this process before its n-th change of the disk."""
    left = [operation]

    def announce(action: str, path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    files.announce = announce


def train(
    folder: Path,
    task: str = "InvertedPendulum-v5",
    blow_up_at: int = -1,
    at_log: Callable[[int], None] | None = None,
    turn: str = "off_policy",
    **options: int,
) -> Training:
    """Begin or resume a run in ``folder``."""
    if not (folder / "run.json").exists():
        RunFolder.create(folder.parent, "toy", task, 0, {}, out=folder)
    program = _program(*catalogue.sizes(task), blow_up_at)
    settings = toy_settings(task, 3, **options)
    run = RunFolder(folder)
    training = Training(program, settings, run, Quiet(settings.steps, at_log), turn=turn)
    with run.locked():
        training.run()
    return training


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[2:])
    if "die_at" in words:
        die_at(int(words.pop("die_at")))
    try:
        train(Path(sys.argv[1]), words.pop("task", "InvertedPendulum-v5"), **{k: int(v) for k, v in words.items()})
    except Interrupted:
        sys.exit(130)
    except DiagnosticError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
