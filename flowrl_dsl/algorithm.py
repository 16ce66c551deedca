"""The typed spec: an algorithm after names, options, axes and compatibility have been checked.

Plain data between the room that checks (``spec``) and the components that build the update graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.registry import Component, Interval, Scalar


@dataclass(frozen=True, slots=True)
class Single:
    """One stage of the step: ``critic``, ``policy``, ``targets``, or the name of a learned parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """``a -> b``: each stage reads what the stages before it wrote."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """``[a, b]``: all stages read the values from before any of them."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """``every(n, a)``: only in each n-th update."""

    n: int
    stage: Stage


Stage = Single | Sequence | Together | Every


def stage_names(stage: Stage) -> list[str]:
    """The names of a stage's parts, in the order they are written."""
    match stage:
        case Single(name):
            return [name]
        case Every(_, inner):
            return stage_names(inner)
        case Sequence(parts) | Together(parts):
            return [name for part in parts for name in stage_names(part)]


def show_stage(stage: Stage) -> str:
    """The stage as a spec writes it."""
    match stage:
        case Single(name):
            return name
        case Every(n, inner):
            return f"every({n}, {show_stage(inner)})"
        case Together(parts):
            return "[" + ", ".join(map(show_stage, parts)) + "]"
        case Sequence(parts):
            return " -> ".join(map(show_stage, parts))


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Parameter(_Model):
    """A ``param``.  ``schedule`` makes it a function of the update counter; ``learned`` gives it a loss of its own.

    ``value`` is its value at the start; ``interval`` the range declared by ``in``.
    """

    name: str
    value: float
    interval: Interval = Interval()
    schedule: Component | None = None
    learned: Component | None = None
    span: Span | None = None


POLICY = "policy"
"""The section whose policy acts, and that an ``improve`` block outside of a section improves."""
RESERVED = ("key", "step", "bad_update", "normalizer", "source")
"""Groups of the state that belong to no section."""


class Improvement(_Model):
    """One ``improve`` block of the section ``owner``.

    ``label`` is the mechanism's name, numbered when it occurs twice; behind the section's where that has a name of its own.
    """

    label: str
    owner: str = POLICY
    weight: Scalar
    mechanism: Component
    span: Span | None = None


class Origin(_Model):
    """Where the value of an option came from: ``source`` is ``default``, ``--set``, ``task "Hopper-v5"`` or a file name."""

    text: str
    source: str
    span: Span | None = None


class Algorithm(_Model):
    """A checked algorithm.

    ``sections`` holds the section components by name (``policy``, ``critic``, ``act``, ``observe``, ``train``);
    ``origins`` the source of every resolved option by path (``policy.sampler.steps``).
    """

    name: str
    title: str = ""
    paper: str = ""
    regime: Component
    order: Stage
    sections: dict[str, Component]
    parameters: dict[str, Parameter]
    improvements: tuple[Improvement, ...]
    origins: dict[str, Origin]
    task: str | None = None

    def learned(self) -> list[Parameter]:
        return [p for p in self.parameters.values() if p.learned is not None]

    def place(self, name: str) -> Span | None:
        """Where the spec speaks of a section or parameter: its declaration, or the first of its settings."""
        if name in self.parameters:
            return self.parameters[name].span
        spans = (origin.span for path, origin in self.origins.items() if path.startswith(f"{name}."))
        return min((span for span in spans if span is not None and span.file.endswith(".flowrl")), default=None)
