"""The newest checkpoint of a run as a state: all of it, or the groups that are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax

from flowrl_dsl.runtime import learner
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.replay import Replay


def load_state(program: Any, folder: RunFolder, seed: int) -> tuple[int, Any]:
    """Step and learner state of the newest checkpoint; raises FRL0412 if the run has none."""
    template = jax.eval_shape(lambda: program.init(seed))
    checkpoints = Checkpoints(folder.path)
    loaded = checkpoints.load(learner.expected(template, Replay.of(program)))
    if loaded is None:
        raise RunError("FRL0412", f"{folder.path} has no usable checkpoint", *checkpoints.notices)
    return loaded.step, learner.from_arrays(template, loaded.state)


def load_groups(program: Any, folder: RunFolder, groups: Iterable[str]) -> tuple[int, Any]:
    """Step of the newest checkpoint, and these groups of its state; raises FRL0412 if the run has none."""
    checkpoints = Checkpoints(folder.path)
    loaded = checkpoints.load_state()
    if loaded is None:
        raise RunError("FRL0412", f"{folder.path} has no usable checkpoint", *checkpoints.notices)
    step, arrays = loaded
    whole = jax.eval_shape(lambda: program.init(0))
    template = {group: whole[group] for group in groups}
    read = {name: array for name, array in arrays.items() if any(name.startswith(f"['{group}']") for group in template)}
    return step, learner.from_arrays(template, read)
