"""The type of a primitive's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Parameters = Mapping[str, Any]
"""The parameters of an equation."""
Rule = Callable[..., Any]
"""Takes the parameters of an equation and the values of its inputs; gives a value, or a list for several outputs."""
