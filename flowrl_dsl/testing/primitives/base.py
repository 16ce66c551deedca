"""The type of a primitive's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Parameters = Mapping[str, Any]
"""The parameters of an equation."""
Rule = Callable[..., Any]
"""A function of the parameters of an equation and the values of its inputs; returns a value, or a list of several."""
