"""The input of the lint rules: the algorithm, its components by path, its statements and its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.formula import Formula
from flowrl_dsl.formulas import formulas
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.merge import Statements


@dataclass
class Checked:
    """An algorithm without errors; ``text`` is that of the spec's own file."""

    algorithm: Algorithm
    statements: Statements
    components: Mapping[str, Component]
    text: str

    @cached_property
    def formulas(self) -> dict[str, Formula]:
        """The formulas of all components by path."""
        return dict(formulas(self.components))
