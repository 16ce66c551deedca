"""The complete state of a MuJoCo simulation as arrays, so that a restored one continues bit for bit.

The integration state (with the solver's warm start) determines the next step of the physics.  It does not determine
the values that a task *reads* before that step: body positions, contact forces and sensors are from within the last one.
A snapshot therefore also contains every fixed-size array of ``MjData``, and every array of the model changed by the task.
"""

from __future__ import annotations

import logging
from typing import Any

import mujoco
import numpy as np

_LOG = logging.getLogger(__name__)
_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_NAMES = {kind: [name for name in dir(kind) if not name.startswith("_")] for kind in (mujoco.MjModel, mujoco.MjData)}


def _arrays(of: Any) -> dict[str, np.ndarray]:
    found = {name: getattr(of, name) for name in _NAMES[type(of)]}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "biuf"
    }


class MujocoState:
    """Reads and restores the state of one model and its data; created when the task has just been made."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData):
        self._model, self._data = model, data
        # in fresh data the arrays that live in the arena (contacts, constraints) are empty: the rest is of fixed size
        self._fixed = tuple(_arrays(mujoco.MjData(model)))
        self._original = {name: value.copy() for name, value in _arrays(model).items()}

    def snapshot(self) -> dict[str, Any]:
        state = np.empty(mujoco.mj_stateSize(self._model, _STATE))
        mujoco.mj_getState(self._model, self._data, state, _STATE)
        changed = {
            name: value.copy()
            for name, value in _arrays(self._model).items()
            if not np.array_equal(value, self._original[name])
        }
        data = {name: getattr(self._data, name).copy() for name in self._fixed}
        return {"state": state, "data": data, "model": changed}

    def restore(self, snapshot: dict[str, Any], *, constraints: bool) -> None:
        """``constraints`` rebuilds the arena too, for a task whose next step begins with the second half of one."""
        for name, value in self._original.items():
            getattr(self._model, name)[...] = snapshot["model"].get(name, value)
        mujoco.mj_setState(self._model, self._data, snapshot["state"], _STATE)
        if constraints:
            mujoco.mj_step1(self._model, self._data)
        for name, value in snapshot["data"].items():
            getattr(self._data, name)[...] = value


def quiet() -> None:
    """Send MuJoCo's warnings to the log instead of a file MUJOCO_LOG.TXT in the user's folder.

    Deprecation notes are about the XML of other people's tasks: they are dropped.
    """
    mujoco.set_mju_user_warning(lambda text: None if "deprecated" in text else _LOG.warning("MuJoCo: %s", text.strip()))
