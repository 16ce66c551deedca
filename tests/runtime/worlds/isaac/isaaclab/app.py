"""Launching, which tells that there is one simulation in a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

running: list[Any] = []


@contextmanager
def launch_simulation(cfg: Any, arguments: dict[str, Any]) -> Iterator[None]:
    assert arguments == {"visualizer": "none"} and not running
    running.append(cfg)
    print("the simulation starts")
    yield
    running.clear()
