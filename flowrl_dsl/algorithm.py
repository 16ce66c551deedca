"""The typed spec: an algorithm after names, options, axes and compatibility have been checked.

Plain data passed from the checker (``spec``) to the components that build the update graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.registry import Component, Interval, Scalar, SectionKind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Single:
    """One stage of the step: ``critic``, ``policy``, ``targets``, or the name of a learned parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Then:
    """``a -> b``: each stage reads what the stages before it wrote."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Alongside:
    """``[a, b]``: all stages read the values from before any of them."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """The updates in which a stage runs: every n-th one, from the update ``after`` on, before the update ``until``.

    Update k, counted from 0, is one of them where (k + 1) mod every = 0, k >= after, and k < until where that is given.
    """

    every: int = 1
    after: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True)
class When:
    """``every(n, a)``, ``after(m, a)``, ``until(m, a)``: only in the updates of the condition."""

    condition: Condition
    stage: Stage


@dataclass(frozen=True, slots=True)
class CopyParameters:
    """``copy(behavior_target, policy)``: the parameters of a section, and all copies it keeps, become those of ``source``.

    ``source`` is a section or a copy of one, ``owner`` the section that is overwritten.
    """

    source: str
    owner: str


@dataclass(frozen=True, slots=True)
class ResetOptimizers:
    """``reset(policy, critic)``: the optimizers of these sections and learned parameters begin anew."""

    owners: tuple[str, ...]


Action = CopyParameters | ResetOptimizers


@dataclass(frozen=True, slots=True)
class Begin:
    """What happens where a phase begins, in the order written."""

    actions: tuple[Action, ...]


Stage = Single | Then | Alongside | When | Begin


class StageVisitor(ABC, Generic[T]):
    """Reads an order: one method for each form of a stage, which visits the parts itself."""

    def visit(self, stage: Stage) -> T:
        match stage:
            case Single(name):
                return self.single(name)
            case Then(parts):
                return self.sequence(parts)
            case Alongside(parts):
                return self.together(parts)
            case When(condition, inner):
                return self.when(condition, inner)
            case Begin(actions):
                return self.begin(actions)

    @abstractmethod
    def single(self, name: str) -> T:
        """A stage by its name."""

    @abstractmethod
    def sequence(self, parts: tuple[Stage, ...]) -> T:
        """``a -> b``"""

    @abstractmethod
    def together(self, parts: tuple[Stage, ...]) -> T:
        """``[a, b]``"""

    @abstractmethod
    def when(self, condition: Condition, stage: Stage) -> T:
        """A stage that runs in some updates only."""

    @abstractmethod
    def begin(self, actions: tuple[Action, ...]) -> T:
        """Copies of parameters and fresh optimizers."""


class StageSearch(StageVisitor[list[T]]):
    """Gathers something from the parts of a stage, in the order they are written."""

    def single(self, name: str) -> list[T]:
        return []

    def sequence(self, parts: tuple[Stage, ...]) -> list[T]:
        return [found for part in parts for found in self.visit(part)]

    def together(self, parts: tuple[Stage, ...]) -> list[T]:
        return self.sequence(parts)

    def when(self, condition: Condition, stage: Stage) -> list[T]:
        return self.visit(stage)

    def begin(self, actions: tuple[Action, ...]) -> list[T]:
        return []


class _Names(StageSearch[str]):
    def single(self, name: str) -> list[str]:
        return [name]


class _Conditions(StageSearch[Condition]):
    def when(self, condition: Condition, stage: Stage) -> list[Condition]:
        return [condition, *self.visit(stage)]


class _Text(StageVisitor[str]):
    def single(self, name: str) -> str:
        return name

    def sequence(self, parts: tuple[Stage, ...]) -> str:
        return " -> ".join(map(self.visit, parts))

    def together(self, parts: tuple[Stage, ...]) -> str:
        return "[" + ", ".join(map(self.visit, parts)) + "]"

    def when(self, condition: Condition, stage: Stage) -> str:
        word, count, others = written_as(condition)
        named = "".join(f", {name} = {value}" for name, value in others.items())
        return f"{word}({count}, {self.visit(stage)}{named})"

    def begin(self, actions: tuple[Action, ...]) -> str:
        return f"[{', '.join(map(show_action, actions))}]"


def show_action(action: Action) -> str:
    """An entry of ``begin`` as a spec writes it."""
    match action:
        case CopyParameters(source, owner):
            return f"copy({source}, {owner})"
        case ResetOptimizers(owners):
            return f"reset({', '.join(owners)})"


def written_as(condition: Condition) -> tuple[str, int, dict[str, int]]:
    """A condition in spec syntax: a word, its count, and named counts after the stage."""
    later = {"after": condition.after} if condition.after else {}
    ends = {} if condition.until is None else {"until": condition.until}
    if condition.every > 1 or not (later or ends):
        return "every", condition.every, later | ends
    if later:
        return "after", condition.after, ends
    assert condition.until is not None
    return "until", condition.until, {}


def stage_names(stage: Stage) -> list[str]:
    """The names of a stage's parts, in the order they are written."""
    return _Names().visit(stage)


def conditions(stage: Stage) -> list[Condition]:
    """The conditions of a stage and its parts, outer ones first."""
    return _Conditions().visit(stage)


def show_stage(stage: Stage) -> str:
    """The stage as a spec writes it."""
    return _Text().visit(stage)


@dataclass(frozen=True, slots=True)
class Phase:
    """``phase NAME { updates = n  order = ...  begin = ... }``: a span of updates with an order of its own.

    ``updates`` is None for a last phase of unspecified length, and for one of ``steps`` environment steps, which acts.
    """

    name: str
    order: Stage
    updates: int | None = None
    begin: tuple[Action, ...] = ()
    steps: int | None = None


def starts(phases: Sequence[Phase]) -> list[int]:
    """The first update of each phase, counted from 0: the sum of the updates of those before it."""
    return [sum(before.updates or 0 for before in phases[:at]) for at in range(len(phases))]


def offline_updates(phases: Sequence[Phase]) -> int:
    """The updates of the phases that are counted in updates."""
    return sum(phase.updates or 0 for phase in phases)


def lasting(phases: Sequence[Phase], updates: int) -> int | None:
    """The steps that phases take together, with ``updates`` a step; None without phases or if the last one has no length."""
    if not phases or (phases[-1].updates is None and phases[-1].steps is None):
        return None
    return -(-offline_updates(phases) // updates) + (phases[-1].steps or 0)


def order_of_phases(phases: Sequence[Phase]) -> Stage:
    """One order: the orders of the phases, each in its span of updates.  The last phase ends only with the run.

    A phase begins at the update k0 = (sum of the earlier phases' updates): ``begin`` happens in update k0, before its order.
    """
    stages: list[Stage] = []
    for phase, start in zip(phases, starts(phases), strict=True):
        last = phase is phases[-1]
        if phase.begin:
            stages.append(When(Condition(after=start, until=start + 1), Begin(phase.begin)))
        span = Condition(after=start, until=None if last else start + (phase.updates or 0))
        stages.append(phase.order if span == Condition() else When(span, phase.order))
    flat = [part for stage in stages for part in (stage.stages if isinstance(stage, Then) else (stage,))]
    return flat[0] if len(flat) == 1 else Then(tuple(flat))


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


FACTOR = "factor"
"""What ``--set`` calls the number in front of an ``improve`` block: ``score_matching.factor``."""
POLICY = "policy"
"""The section whose policy acts, and that an ``improve`` block outside of a section improves."""
RESERVED = ("key", "step", "bad_update", "normalizer", "source")
"""Groups of the state that belong to no section."""


class Improvement(_Model):
    """One ``improve`` block of the section ``owner``.

    ``label`` is the mechanism's name, numbered when it occurs twice; behind the section's where that has a name of its own.
    ``factor`` is the number in front of the block, by which its loss counts.
    """

    label: str
    owner: str = POLICY
    factor: Scalar
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
    ``origins`` the source of every resolved option by path (``policy.sampler.steps``).  ``order`` is that of any update:
    with ``phases``, the orders of all of them, each in its updates.
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
    phases: tuple[Phase, ...] = ()

    def learned(self) -> list[Parameter]:
        return [p for p in self.parameters.values() if p.learned is not None]

    def place(self, name: str) -> Span | None:
        """The place of a section or parameter in the spec: its declaration, or the first of its settings."""
        if name in self.parameters:
            return self.parameters[name].span
        spans = (origin.span for path, origin in self.origins.items() if path.startswith(f"{name}."))
        return min((span for span in spans if span is not None and span.file.endswith(".flowrl")), default=None)

    def written(self, *paths: str) -> Span | None:
        """The place of the first of these options that the spec, its base, a task or ``--set`` gives; None for defaults."""
        origins = (self.origins.get(path) for path in paths)
        return next((origin.span for origin in origins if origin is not None and origin.source != "default"), None)

    def start(self, scalar: Scalar | None) -> float | None:
        """The number that a scalar starts from: its own, its parameter's, or that of its schedule."""
        if scalar is None:
            return None
        parameter = self.parameters.get(scalar.name)
        if scalar.value is None and parameter is not None:
            return parameter.value
        start = getattr(scalar.schedule, "start", None)
        return start.value if isinstance(start, Scalar) else scalar.value

    def drawn_from(self, source: str) -> str:
        """The section that actions of ``source`` are drawn from: itself, or the one that keeps this copy."""
        sections = ((name, section) for name, section in self.sections.items() if isinstance(section, SectionKind))
        return next(name for name, section in sections if source == name or source in section.kept(name))


@dataclass(frozen=True)
class Position:
    """A component in its algorithm, for warnings that depend on more than its options.

    ``path`` names where it stands (``policy.sampler``) and ``span`` is the place to point at where no single option is
    meant.  ``components`` has all components of the algorithm by path.
    """

    algorithm: Algorithm
    components: Mapping[str, Component]
    path: str
    span: Span | None = None

    @property
    def owner(self) -> str:
        """The section, the label of the ``improve`` block or the parameter that contains the component, or is it."""
        return self.path.partition(".")[0]

    def written(self, *options: str) -> Span | None:
        """The place of the first of the component's options that somebody wrote; None where all are defaults."""
        return self.algorithm.written(*(f"{self.path}.{option}" for option in options))
