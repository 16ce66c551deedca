"""Continuing a run (``resume``): what has changed since it began, and a greater number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrl_dsl import runs
from flowrl_dsl.runtime.errors import RunError

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.settings import Settings


def resume(path: Path, steps: int | None = None, restart: bool = False) -> None:
    """Resume a run from its last checkpoint and train it to the end, which ``steps`` moves.

    With ``restart`` a run that has lost its checkpoints begins again; without, it is refused with FRL0425.
    """
    from flowrl_dsl.runtime.logs import RunFolder

    folder = RunFolder(path)
    runs.run(prepare(folder, steps, restart), folder)


def prepare(folder: RunFolder, steps: int | None, restart: bool) -> runs.PreparedRun:
    """An existing run, ready to be resumed; prints what may make its results other than those of an uninterrupted run."""
    prepared = replace(runs.rebuild(folder), restart=restart)
    for note in _software(folder):
        print(f"note: {note}", flush=True)
    return prepared if steps is None else _extended(folder, prepared, steps)


def _software(folder: RunFolder) -> Iterator[str]:
    """Versions and a device other than those that the run began with."""
    import jax

    then, now = folder.settings.get("versions", {}), runs.versions()
    differing = [f"{name} {then[name]} -> {now[name]}" for name in now if then.get(name, now[name]) != now[name]]
    device = str(jax.devices()[0].device_kind)
    if folder.settings.get("device", device) != device:
        differing.append(f"device {folder.settings['device']} -> {device}")
    if differing:
        yield f"since {folder.path} began: {', '.join(differing)}; from here on its numbers may differ in their last digits"


def _extended(folder: RunFolder, prepared: runs.PreparedRun, steps: int) -> runs.PreparedRun:
    """The run with more steps; raises FRL0426 where it would not continue as a run that had them from its start."""
    old = prepared.settings
    if steps < old.steps:
        raise RunError("FRL0426", f"{folder.path} has {old.steps} steps, which cannot become {steps}", "a run can only grow")
    if steps == old.steps:
        return prepared
    given = folder.said("given") | {"steps": steps}
    program, settings = runs.build(prepared.algorithm, old.task, old.seed, given, prepared.data)
    if _shapes(program) != _shapes(prepared.program):
        message = f"the state of {folder.path} has one entry per row of its replay, as many as its steps fill"
        hint = f"with {steps} steps its sampling would draw other rows: start a new run with --steps {steps}"
        raise RunError("FRL0426", message, hint)
    reached = _reached(folder)
    print(f"note: {folder.path} is extended from {old.steps} to {steps} steps{_remark(old, reached)}", flush=True)
    history = [*folder.settings.get("extended", []), {"before": old.steps, "after": steps, "at": reached}]
    changes = {"given": given, "settings": asdict(settings), "extended": history}
    return replace(prepared, program=program, settings=settings, changes=changes)


def _shapes(program: Program) -> Any:
    import jax

    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), jax.eval_shape(lambda: program.init(0)))


def _reached(folder: RunFolder) -> int:
    """The step of the newest checkpoint."""
    from flowrl_dsl.runtime.checkpoint import Checkpoints

    return max(Checkpoints(folder.path).numbers(), default=0)


def _remark(old: Settings, reached: int) -> str:
    """How the records differ from those of a run of the new length."""
    from flowrl_dsl.runtime.settings import passed

    if reached < old.steps:
        return ""
    ends = {"train": old.log_every, "eval": old.evaluate_every}
    extra = [kind for kind, every in ends.items() if not passed(reached - old.envs, reached, every)]
    if not extra:
        return ""
    records = " and ".join(extra)
    text = f"; it keeps the {records} record of step {reached}, its former end, which a run of the new length has not"
    return text + (", and the next train record averages over the steps since" if "train" in extra else "")
