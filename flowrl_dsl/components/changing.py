"""Contracts of what changes in the course of training: optimizers, copies, schedules and adaptations.

Their methods are as those of ``components/base.py``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import Component

if TYPE_CHECKING:
    from flowrl_dsl.components.context import Context


class Optimizer(Component):
    """The optimizer of a parameter group."""

    family: ClassVar[str] = "optimizer"

    @abstractmethod
    def init(self, ctx: Context, params: Value, name: str) -> Value:
        """The state before the first step."""

    @abstractmethod
    def step(self, ctx: Context, params: Value, gradient: Value, state: Value) -> tuple[Value, Value]:
        """New parameters and new state, by a node of operation ``GradientStep``."""


class Target(Component):
    """The update rule of a copy of parameters."""

    family: ClassVar[str] = "target"
    of_rollouts: ClassVar[bool] = False
    """Whether the copy stays the same for all updates on a rollout."""

    @abstractmethod
    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        """The copy after this update."""


class Schedule(Component):
    """A number as a function of the update counter."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def value(self, ctx: Context, step: Value, name: str) -> Value:
        """The number [] at update ``step``, counted from 0."""


class Adaptation(Component):
    """A parameter that follows a measured quantity; its groups of the state begin with ``group``."""

    family: ClassVar[str] = "adaptation"

    @abstractmethod
    def measured(self, ctx: Context, s: Value) -> Value:
        """The measured quantity [], a constant: of the mechanisms, or computed at observations [batch, obs]."""

    @abstractmethod
    def initial(self, ctx: Context, name: str, group: str) -> dict[str, Value]:
        """The groups of the state before the first update: ``group``, and that of an optimizer if there is one."""

    @abstractmethod
    def value(self, ctx: Context, name: str, stored: Value) -> Value:
        """The number [] that formulas read, given the contents of ``group``."""

    @abstractmethod
    def update(self, ctx: Context, name: str, group: str, measured: Value) -> dict[str, Value]:
        """The new versions of its groups."""
