"""A deterministic policy."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Backbone
from flowrl_dsl.registry import register


@register
class Deterministic(Backbone):
    """a = tanh(f(s))."""

    name = "deterministic"
    paper: ClassVar[str] = "arXiv:1509.02971"
    provides = frozenset({"mode", "reparameterized"})
