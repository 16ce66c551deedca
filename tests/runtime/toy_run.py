"""Trains the toy program in a process of its own, to be killed: ``toy_run.py FOLDER [name=value…]`` begins or resumes."""

from __future__ import annotations

import sys
from pathlib import Path

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.runtime import environments
from flowrl_dsl.runtime.errors import Interrupted
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.progress import Lines
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.train import Training

sys.path.insert(0, str(Path(__file__).parent))
from toy_program import ToyLoop, ToyProgram


def train(folder: Path, task: str = "InvertedPendulum-v5", blow_up_at: int = -1, **options: int) -> Training:
    """Begin or resume a run in ``folder``."""
    if not (folder / "run.json").exists():
        RunFolder.create(folder.parent, "toy", task, 0, {}, folder)
    program = ToyProgram(*environments.sizes(task), blow_up_at=blow_up_at)
    given = {"checkpoint_every": 100, "log_every": 50} | options
    settings = Settings.of(ToyLoop(), task, 3, **given)
    run = RunFolder(folder)
    training = Training(program, settings, run, Lines(settings.steps))
    with run.locked():
        training.run()
    return training


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[2:])
    try:
        train(Path(sys.argv[1]), words.pop("task", "InvertedPendulum-v5"), **{k: int(v) for k, v in words.items()})
    except Interrupted:
        sys.exit(130)
    except DiagnosticError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
