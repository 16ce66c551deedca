"""What happens after an update whose losses or gradients were not finite.

The compiled program notes the number of the first such update in its state, which costs nothing.  Here the updates are
done again from the last checkpoint, up to that one; the next is then interpreted node by node.  Every transition is
in the replay, so that no environment is stepped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.runtime import checkpoint, files, learner
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.settings import Settings

FOLDER = "nonfinite"


def investigate(
    program: Any, settings: Settings, folder: RunFolder, fresh: np.ndarray, hyper: Mapping[str, float], bad: int
) -> RunError:
    """Find the node behind update ``bad``, save what reproduces it, and return the error to raise.

    ``fresh`` are the replay rows since the last checkpoint.
    """
    state, replay = _just_before(program, settings, folder, fresh, hyper, bad)
    report = program.diagnose(state, replay.view(), hyper)
    target = folder.path / FOLDER
    with files.disk(target):
        _save(target, state, hyper, bad, report)
    if report is None:
        return RunError(
            "FRL0420",
            f"update {bad} gave values that are not finite, but interpreting it node by node gave none",
            f"the state before it is in {target}",
        )
    return found(bad, report, f"reproduction saved in {target}: `flowrl-dsl diagnose {folder.path}` looks again")


def found(update: int, report: Any, *notes: str) -> RunError:
    """The error for a report of ``program.diagnose``."""
    message = f'update {update} is not finite from node "{report.node}" on: {report.value}'
    return RunError("FRL0420", message, *notes, span=span_of(report.line))


def again(program: Any, folder: RunFolder, seed: int) -> RunError | None:
    """Diagnose the saved reproduction of a run anew; None when every value is finite now."""
    source = folder.path / FOLDER
    try:
        report = json.loads((source / "report.json").read_text())
        arrays, batch = checkpoint.read_arrays(source / "state.npz"), checkpoint.read_arrays(source / "batch.npz")
    except (OSError, ValueError) as error:
        raise RunError("FRL0422", f"{folder.path} has no saved update that went wrong") from error
    state = learner.from_arrays(program.init(seed), arrays)
    looked = program.diagnose_batch(state, batch, report["hyper"])
    return None if looked is None else found(report["update"], looked)


def span_of(line: str) -> Span | None:
    """The place that ``file:line:column`` names."""
    parts = line.rsplit(":", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    row, column = int(parts[1]), int(parts[2])
    return Span(parts[0], row, column, row, column + 1)


def _just_before(
    program: Any, settings: Settings, folder: RunFolder, fresh: np.ndarray, hyper: Mapping[str, float], bad: int
) -> tuple[Any, Replay]:
    state, step, updates = program.init(settings.seed), 0, 0
    replay = Replay.of(program)
    loaded = Checkpoints(folder.path).load()
    if loaded is not None:
        state = learner.from_arrays(state, loaded.state)
        step, updates = loaded.step, loaded.rest["updates"]
        replay.restore(loaded.total, loaded.rows)
    # an update sees the rows of the steps before it, exactly as in the loop
    count, row = settings.updates * settings.envs, 0
    while updates + count <= bad:
        if step >= settings.first_update:
            state, _ = program.update(state, replay.view(), count, hyper)
            updates += count
        replay.add_rows(fresh[row : row + settings.envs])
        row, step = row + settings.envs, step + settings.envs
    if step < settings.first_update:
        missing = settings.first_update - step
        rows = -(-missing // settings.envs) * settings.envs
        replay.add_rows(fresh[row : row + rows])
    for _ in range(bad - updates):
        state, _ = program.update(state, replay.view(), 1, hyper)
    return state, replay


def _save(target: Path, state: Any, hyper: Mapping[str, float], bad: int, report: Any) -> None:
    target.mkdir(exist_ok=True)
    files.replace(target / "state.npz", checkpoint.npz(learner.to_arrays(state)))
    files.replace(target / "batch.npz", checkpoint.npz({} if report is None else dict(report.batch)))
    said = {name: None if report is None else getattr(report, name) for name in ("node", "line", "value")}
    files.replace(target / "report.json", json.dumps({"update": bad, **said, "hyper": dict(hyper)}, indent=1).encode())
