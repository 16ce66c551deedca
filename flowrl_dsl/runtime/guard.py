"""Diagnosis of an update with non-finite losses or gradients.

The compiled program records the number of the first such update in its state, at no cost.  Here the updates are replayed
from the last checkpoint up to that update by the turns of the run itself; the update is then interpreted node by node.
Every transition is in the replay, so no environment is stepped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime import arrays, files, inherited, learner
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.schema import Reproduction, read_json
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.table import Table
from flowrl_dsl.runtime.turns.base import Turn

FOLDER = "nonfinite"
_LARGEST = 1 << 32
"""Bytes of the largest state or batch that is read."""


def investigate(rerun: Rerun, turn: Turn) -> RunError:
    """Locate the first non-finite node of an update, save a reproduction, and return the error to raise."""
    while not rerun.reached:
        turn.advance(rerun)
    bad, path = rerun.bad, rerun.folder.path
    report = rerun.program.diagnose(rerun.state, rerun.replay.view(), rerun.hyper)
    target = path / FOLDER
    with files.disk(target):
        _save(target, rerun.state, rerun.hyper, bad, report)
    if report is None:
        return RunError(
            "FRL0420",
            f"update {bad} produced non-finite values, but its interpretation node by node did not",
            f"the state before it is in {target}",
        )
    return found(bad, report, f"reproduction saved in {target}: `flowrl-dsl diagnose {path}` replays it")


class Rerun:
    """A run from its last checkpoint to just before update ``bad``: a player that neither acts nor steps an environment.

    ``fresh`` [n, width] are the replay rows since the checkpoint; a step of the environments is the next ``envs`` of them.
    """

    def __init__(
        self,
        program: Any,
        settings: Settings,
        folder: RunFolder,
        fresh: np.ndarray,
        hyper: Mapping[str, float],
        bad: int,
        table: Table | None = None,
    ):
        self.program, self.settings, self.folder, self.hyper, self.bad = program, settings, folder, hyper, bad
        self.state, self.step, self.updates = learner.initial(program, settings.seed, table), 0, 0
        self.replay = Replay.of(program, table)
        self.reached = False
        loaded = Checkpoints(folder.path).load(learner.expected(self.state, self.replay))
        if loaded is None:
            self.state = inherited.begun(folder, self.state)
        else:
            self.state = learner.from_arrays(self.state, loaded.state)
            self.step, self.updates = loaded.step, loaded.rest["updates"]
            if self.replay.grows:
                self.replay.restore(loaded.total, loaded.rows)
        self._rows = iter(fresh.reshape(-1, settings.envs, fresh.shape[-1]))

    def act(self) -> None:
        """The actions are in the rows."""

    fills = False

    def random_actions(self) -> None:
        """The random actions are in the rows too."""

    def update(self, count: int) -> None:
        if self.reached:
            return
        self.reached = self.updates + count > self.bad
        if not self.reached:
            self._update(count)
        while self.reached and self.updates < self.bad:
            self._update(1)

    def _update(self, count: int) -> None:
        self.state, _ = self.program.update(self.state, self.replay.view(), count, self.hyper)
        self.updates += count

    def iterate(self, steps: int, *, between: int | None = None, after: int | None = None) -> bool:
        """No environment is stepped here: the rows are taken one step at a time."""
        return False

    def count_step(self) -> None:
        self.step += self.settings.envs

    def interact(self, actions: None) -> None:
        if not self.reached:
            self.replay.add_rows(next(self._rows))
            self.step += self.settings.envs


def found(update: int, report: Any, *notes: str) -> RunError:
    """The error that corresponds to a report of ``program.diagnose``."""
    message = f'update {update} is first not finite at node "{report.node}": {report.value}'
    return RunError("FRL0420", message, *notes, span=span_of(report.line))


def again(program: Any, folder: RunFolder, seed: int) -> RunError | None:
    """Diagnose the saved reproduction of a run again; None if every value is finite now."""
    source = folder.path / FOLDER
    template = program.init(seed)
    try:
        report = read_json(source / "report.json", Reproduction)
        saved, batch = (arrays.read_npz(read_regular(source / name, _LARGEST)) for name in ("state.npz", "batch.npz"))
    except (OSError, Unreadable) as error:
        raise RunError("FRL0422", f"{folder.path} contains no saved non-finite update", str(error)) from error
    state = learner.from_arrays(template, saved)
    try:
        looked = program.diagnose_batch(state, batch, report.hyper)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RunError("FRL0413", f"the batch in {source} is not one of this program", str(error)) from error
    return None if looked is None else found(report.update, looked)


def span_of(line: str) -> Span | None:
    """The span at ``file:line:column``."""
    parts = line.rsplit(":", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    row, column = int(parts[1]), int(parts[2])
    return Span(parts[0], row, column, row, column + 1)


def _save(target: Path, state: Any, hyper: Mapping[str, float], bad: int, report: Any) -> None:
    target.mkdir(exist_ok=True)
    files.replace(target / "state.npz", arrays.npz(learner.to_arrays(state)))
    files.replace(target / "batch.npz", arrays.npz({} if report is None else dict(report.batch)))
    said = {name: None if report is None else getattr(report, name) for name in ("node", "line", "value")}
    files.replace(target / "report.json", json.dumps({"update": bad, **said, "hyper": dict(hyper)}, indent=1).encode())
