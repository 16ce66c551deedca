"""Configurations."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any


def parse_env_cfg(task: str, device: str | None, num_envs: int, overrides: Sequence[str]) -> Any:
    values: dict[str, Any] = {"fault": "", "is_finite_horizon": False}
    for one in overrides:
        name, _, value = one.partition("=")
        if name == "physics":
            assert value == "newton_mjwarp"
        elif name.removeprefix("env.") in values:
            values[name.removeprefix("env.")] = {"True": True}.get(value, value)
        else:
            raise KeyError(f"{name} is no field of the configuration")
    return SimpleNamespace(device=device, scene=SimpleNamespace(num_envs=num_envs), **values)
