"""The command ``flowrl-dsl doctor``: what a training needs of this machine, checked one by one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from flowrl_dsl import runs, streams
from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.resources import cache_folder

State = Literal["ok", "note", "bad"]
RENDERERS = ("egl", "osmesa", "glfw")
_LEAST_FREE = 2 << 30
"""Bytes that a run with its replay and checkpoints may need."""
_RENDER = "import mujoco; context = mujoco.GLContext(64, 64); context.make_current(); context.free()"
_SMOKE = ("policy.network=mlp([8])", "critic.network=mlp([8])", "train.batch=8", "train.warmup=20")


@dataclass(frozen=True)
class Finding:
    """What one check found; ``bad`` prevents training, a ``note`` limits something else; the cure is a hint."""

    check: str
    state: State
    found: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding by the names of its fields."""
        return asdict(self)


def findings() -> Iterator[Finding]:
    """The findings in order, each as soon as it is known."""
    installed = runs.versions() | {"python": platform.python_version()}
    yield Finding("versions", "ok", ", ".join(f"{name} {version}" for name, version in installed.items()))
    yield from bad_pairs(installed)
    for check in (_devices, _cache, _disk, _renderer, _smoke):
        yield check()


def _number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (3, 17) of ``3.17.0rc1`` is not needed more exactly."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


Versions = dict[str, tuple[int, ...]]
_BAD_PAIRS: tuple[tuple[str, Callable[[Versions], bool], str], ...] = (
    (
        "dm-control does not import with mujoco 4",
        lambda have: have.get("mujoco", (0,)) >= (4,) and "dm-control" in have,
        "pip install 'mujoco>=3.17,<4'",
    ),
    (
        "mujoco before 3.17 lacks the batched stepping that is used",
        lambda have: have.get("mujoco", (9,)) < (3, 17),
        "pip install 'mujoco>=3.17,<4'",
    ),
    (
        "jax and jaxlib are of different releases",
        lambda have: have.get("jax") != have.get("jaxlib"),
        "pip install --upgrade jax jaxlib",
    ),
    (
        "no dm-control: its package labmaze has no wheel for Python 3.13",
        lambda have: have["python"] >= (3, 13) and "dm-control" not in have,
        "use Python 3.11 or 3.12 for tasks of DeepMind Control",
    ),
)


def bad_pairs(installed: dict[str, str]) -> list[Finding]:
    """The known combinations of versions that do not work together; the last kind limits the tasks alone."""
    have = {name: _number(version) for name, version in installed.items()}
    found = [(text, cure) for text, applies, cure in _BAD_PAIRS if applies(have)]
    if not found:
        return [Finding("pairs", "ok", "no known bad combination of versions")]
    return [Finding("pairs", "note" if text.startswith("no ") else "bad", text, cure) for text, cure in found]


def _devices() -> Finding:
    import jax

    try:
        runs.prepare_jax()
    except DiagnosticError as error:
        first = error.diagnostics[0]
        return Finding("devices", "bad", first.message, *first.notes[:1])
    names = ", ".join(f"{device.device_kind} ({device.platform})" for device in jax.devices())
    return Finding("devices", "ok", f"{names}; {os.cpu_count()} processors")


def _cache() -> Finding:
    home = cache_folder()
    if home is None:
        return Finding("cache", "note", "no home folder: programs are compiled again in every process", "set XDG_CACHE_HOME")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    except OSError as error:
        return Finding(
            "cache", "note", f"{home} cannot be written: {error.strerror}", "set XDG_CACHE_HOME to another folder"
        )
    return Finding("cache", "ok", f"{home}, {size / 2**20:.0f} MiB")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 2**30:.1f} GiB free in the current folder"
    if free < _LEAST_FREE:
        return Finding("disk", "note", found, "runs are written below it: choose another with --out")
    return Finding("disk", "ok", found)


def _renderer() -> Finding:
    """The first way to render without a screen that works in a process of its own, which it may end."""
    for name in RENDERERS:
        environment = os.environ | {"MUJOCO_GL": name}
        command = [sys.executable, "-c", _RENDER]
        if subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode == 0:
            return Finding("renderer", "ok", f"MUJOCO_GL={name}")
    return Finding("renderer", "note", "no renderer for pictures of MuJoCo", "install libegl1 or libosmesa6 of your system")


def _smoke() -> Finding:
    """A training of a few steps."""
    from flowrl_dsl import api

    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, streams.silenced():
            api.train("td3", "Pendulum-v1", sets=_SMOKE, steps=60, evaluate_every=60, episodes=1, out=Path(folder) / "run")
    except DiagnosticError as error:
        first = error.diagnostics[0]
        return Finding("training", "bad", f"{first.code}: {first.message}", *first.notes[:1])
    return Finding("training", "ok", f"60 steps of td3 on Pendulum-v1 took {time.monotonic() - began:.1f} s")


def line(finding: Finding) -> str:
    """One finding for the terminal."""
    cure = f"\n{'':16}cure: {finding.cure}" if finding.cure else ""
    return f"{finding.state:4}  {finding.check:8}  {finding.found}{cure}"
