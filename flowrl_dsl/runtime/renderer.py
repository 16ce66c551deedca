"""The OpenGL library that MuJoCo draws with, found by trying each of them in a process of its own.

MuJoCo, DeepMind Control and Gymnasium read its name from the variable MUJOCO_GL, and none of them can change it after the
first picture; a library that fails may even end the process.  So it is chosen before a simulator is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from flowrl_dsl.runtime.errors import RunError

_VARIABLE = "MUJOCO_GL"
_PATIENCE = 60.0
"""Seconds that drawing one picture of a box may take; the import of MuJoCo is most of them."""
_TRIAL = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 16, 16)
renderer.update_scene(data)
renderer.render()
"""


def choose() -> None:
    """Set MUJOCO_GL to a library that can draw here, or leave it as its user has set it.

    Raises FRL0481 if there is none, or if the user's cannot draw.
    """
    reasons = []
    for name in _candidates():
        reason = _trouble(name)
        if reason is None:
            os.environ.update(_environment(name))
            return
        reasons.append(f"{name or 'the default'}: {reason}")
    given = os.environ.get(_VARIABLE)
    if given is not None:
        hint = f"unset {_VARIABLE}, and a renderer is looked for"
        raise RunError("FRL0481", f"MuJoCo cannot draw with {_VARIABLE}={given}", *reasons, hint)
    hint = "install one, for instance apt-get install libegl1 libosmesa6; EGL needs the driver of a graphics card or Mesa's"
    raise RunError("FRL0481", "MuJoCo finds no renderer on this machine", *reasons, hint)


def _candidates() -> Iterator[str]:
    """Names of libraries in the order of their speed; the empty name is MuJoCo's default."""
    given = os.environ.get(_VARIABLE)
    if given is not None:
        yield given
    elif sys.platform != "linux":
        yield ""
    else:
        yield from ("egl", "osmesa")
        if os.environ.get("DISPLAY"):
            yield "glfw"


def _environment(name: str) -> dict[str, str]:
    # PyOpenGL looks its functions up in one library for the whole process
    return {_VARIABLE: name, "PYOPENGL_PLATFORM": name} if name in ("egl", "osmesa") else {_VARIABLE: name} if name else {}


def _trouble(name: str) -> str | None:
    """Why MuJoCo cannot draw with a library, in one line; None if it can."""
    command, environment = [sys.executable, "-c", _TRIAL], os.environ | _environment(name)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"no picture after {_PATIENCE:.0f} seconds"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith(" ")]
    return lines[-1][:200] if lines else f"the process ended with {done.returncode}"
