"""Runs compared as wholes: their final states, with those of resumed runs and of joined members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from flowrl_dsl import cli, runs
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.population import Population, SharedDisplay
from tests.runtime.toy_run import Quiet


def states(run: Path, step: int) -> dict[str, np.ndarray]:
    """The learner's state at a checkpoint."""
    return dict(np.load(run / f"checkpoints/step-{step:09d}/state.npz"))


def check_resumed(whole: Path, half: Path, steps: int) -> None:
    """A shorter run, resumed up to ``steps``, has the bits of the whole one."""
    assert cli.main(["resume", str(half), "--steps", str(steps)]) == 0
    one, other = states(whole, steps), states(half, steps)
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def check_joined(whole: Path, steps: int) -> dict[str, Any]:
    """Two joined members with the settings of a run learn what it learns, up to rounding; returns the members."""
    prepared, shared, folders = runs.rebuild(RunFolder(whole)), SharedDisplay(Quiet(steps)), {}
    said = json.loads((whole / "run.json").read_text())
    for name in ("a", "b"):
        place = whole.parent / f"joined/{name}"
        folders[name] = RunFolder.create(whole.parent, said["spec"], said["task"], 0, said, {}, place)
    members = {name: prepared.training(folder, shared.of(name)) for name, folder in folders.items()}
    assert Population(members, shared, joined=True).run() == {}
    alone = states(whole, steps)
    for folder in folders.values():
        for leaf, array in states(folder.path, steps).items():
            np.testing.assert_allclose(array, alone[leaf], rtol=2e-3, atol=2e-4, err_msg=leaf)
    return members
