"""Marks of tests that need a package which is not installed everywhere."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

_ABSENT = find_spec("dm_control") is None

dm_control = pytest.mark.skipif(_ABSENT, reason="dm-control is not installed (it needs labmaze: no wheel for Python 3.13)")


def _installed(package: str, extra: str) -> pytest.MarkDecorator:
    reason = f"{package} is not installed: pip install 'flowrl-dsl[{extra}]'"
    return pytest.mark.skipif(find_spec(package) is None, reason=reason)


playground, brax = _installed("mujoco_playground", "playground"), _installed("brax", "brax")


def marked(*tasks: Any) -> list[Any]:
    """Parameters of a test; those that name a task of dm_control are skipped where the package is absent."""
    return [pytest.param(task, marks=dm_control) if "dm_control/" in str(task) else task for task in tasks]
