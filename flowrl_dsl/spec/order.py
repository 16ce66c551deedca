"""The order of the stages of one step: every movable part exactly once; in one of several phases at most once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flowrl_dsl.algorithm import POLICY, Alongside, Condition, Single, Stage, StageSearch, Then, When, stage_names
from flowrl_dsl.diagnostics import Diagnostics, Proposal, Span, did_you_mean
from flowrl_dsl.registry import stages
from flowrl_dsl.spec.numbers import LARGEST, count
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree

TARGETS = "targets"
WORDS = ("every", "after", "until")
"""Words of conditions; one may have those behind it as named counts."""


def parts() -> list[str]:
    """The words of an order that name no parameter."""
    return [*stages(), TARGETS]


def default_order(movable: list[str]) -> Stage:
    """The movable parts one after the other, as given: critic, policy, learned parameters as declared, targets."""
    return _sequence([Single(name) for name in movable]) or Single(POLICY)


def left_out(names: Collection[str], movable: Sequence[str], copies: Sequence[str]) -> list[str]:
    """The parts that these names of stages leave out.  Copies may stand by their own names instead of ``targets``."""
    by_name = [copy for copy in copies if copy in names]
    missing = [name for name in movable if name not in names and (name != TARGETS or not by_name)]
    return missing if TARGETS in names or not by_name else missing + [copy for copy in copies if copy not in names]


@dataclass(frozen=True)
class Trainer:
    """A mechanism that moves the section ``trains`` in the stage of the policy that it improves."""

    name: str
    trains: str
    stage: str = POLICY


@dataclass
class OrderReader:
    """Reads ``critic -> [policy, temperature] -> every(2, targets)``.

    ``movable`` are the parts that this algorithm moves; ``still`` those it could move but does not, with the reason.  A
    still part is an error, unless ``lenient``: an order that was inherited, or written before a ``--set`` fixed the
    part, simply loses it.  ``measured`` are the parameters that are learned from what the stage ``policy`` measures;
    ``trainers`` are mechanisms that move another section in the stage of a policy.  The order of a ``partial`` phase may
    leave out parts, but not the policy whose measurements it reads.  ``copies`` may stand by their own names; ``targets``
    then is the others.
    """

    movable: list[str]
    still: dict[str, str]
    lenient: bool
    measured: Collection[str]
    diagnostics: Diagnostics
    trainers: Collection[Trainer] = ()
    partial: bool = False
    copies: Sequence[str] = ()
    _failed: bool = False

    def read(self, expr: tree.Expr) -> Stage:
        """The stage, partial after errors; every missing, repeated or unknown part is reported."""
        places: dict[str, Span] = {}
        stage = self._stage(expr, places)
        missing = [] if self.partial else left_out(places, self.movable, self.copies)
        if missing and not self._failed:
            whole = " -> ".join([text_of(expr), *missing])
            hint = Proposal(f"append {'it' if len(missing) == 1 else 'them'}: {whole}", text_of(expr), whole)
            self._error("FRL0232", f"the order leaves out {', '.join(missing)}", expr.span, hint)
        early = [] if stage is None else _BeforeThePolicy().visit(stage)
        for name in (name for name in early if name in self.measured):
            message = f'"{name}" is learned from what the stage policy measures, and stands before it'
            self._error("FRL0235", message, places[name], f"write it behind policy, or together with it: [policy, {name}]")
        if POLICY not in places:
            self._check_unmeasured(places)
        if stage is not None:
            self._check_trainers(stage, places)
            stage = self._by_name(stage, places)
        return stage if stage is not None else default_order(self.movable)

    def _by_name(self, stage: Stage, places: dict[str, Span]) -> Stage:
        """The order, ``targets`` replaced by the copies that it does not name, if it names any."""
        others = [copy for copy in self.copies if copy not in places]
        if len(others) == len(self.copies) or TARGETS not in places:
            return stage
        if not others:
            message = f"every copy stands in the order by its own name, so that nothing is left for `{TARGETS}`"
            self._error("FRL0231", message, places[TARGETS], "leave it out of the order")
            return stage
        parts = tuple(Single(copy) for copy in others)
        return _replaced(stage, parts[0] if len(parts) == 1 else Alongside(parts))

    def _check_unmeasured(self, places: dict[str, Span]) -> None:
        """Report the parameters learned from what the policy measures, in a phase that has no stage policy."""
        for name in (name for name in places if self.partial and name in self.measured):
            message = f'"{name}" is learned from what the stage policy measures, and this phase leaves out policy'
            self._error("FRL0235", message, places[name], "leave it out of this phase, or add policy before it")

    def _check_trainers(self, stage: Stage, places: dict[str, Span]) -> None:
        """Report the first two stages that update one section from the same parameters, since one update would be lost."""
        for trainer in self.trainers:
            trained, own = trainer.trains, trainer.stage
            also = [trained, *(other.stage for other in self.trainers if other.trains == trained and other.stage != own)]
            for other in (other for other in also if _SideBySide(other, own).visit(stage)):
                message = f"{other} and {own} move together, but {trainer.name} moves the {trained} in the stage {own}"
                self._error("FRL0236", message, places[own], f"write one after the other: {other} -> {own}")
                return

    def _stage(self, expr: tree.Expr, places: dict[str, Span]) -> Stage | None:
        match expr:
            case tree.Name(name):
                return self._part(name, expr.span, places)
            case tree.Arrow(items):
                return _sequence(self._stages(items, places))
            case tree.List(items) if items:
                parts = self._stages(items, places)
                return parts[0] if len(parts) == 1 else Alongside(tuple(parts)) if parts else None
            case tree.Call(tree.Name(word), arguments) if word in WORDS:
                return self._when(word, expr, arguments, places)
        forms = ", ".join(f"{word}(n, part)" for word in WORDS)
        hint = f"write parts joined by ->, [parts] for those that move together, or {forms}"
        self._error("FRL0230", f"`{text_of(expr)}` is not a stage", expr.span, hint)
        return None

    def _stages(self, items: tuple[tree.Expr, ...], places: dict[str, Span]) -> list[Stage]:
        stages = [self._stage(item, places) for item in items]
        return [stage for stage in stages if stage is not None]

    def _part(self, name: str, span: Span, places: dict[str, Span]) -> Stage | None:
        if name in places:
            first = f"first in column {places[name].column}"
            self._error("FRL0233", f'"{name}" stands twice in the order', span, first)
            return None
        places[name] = span
        if name in self.movable or name in self.copies:
            return Single(name)
        if name in self.still:
            if not self.lenient:
                self._error("FRL0231", f'"{name}" does not move: {self.still[name]}', span, "leave it out of the order")
            return None
        self._error("FRL0231", f'unknown part "{name}"', span, did_you_mean(name, [*self.movable, *self.copies]))
        return None

    def _when(
        self, word: str, call: tree.Expr, arguments: tuple[tree.Argument, ...], places: dict[str, Span]
    ) -> Stage | None:
        """A stage with a condition: a count and a part, and for ``every`` named counts after and until."""
        names = [argument.name.id for argument in arguments[2:] if argument.name is not None]
        allowed = [name for name in ("after", "until") if WORDS.index(word) < WORDS.index(name)]
        plain = [argument.name is None for argument in arguments[:2]] == [True, True]
        if not plain or len(names) != len(arguments[2:]) or not set(names) <= {*allowed}:
            example = f"for instance {word}(2, policy{''.join(f', {name} = 1_000' for name in allowed)})"
            self._error("FRL0234", f"`{word}` takes a count and a part", call.span, example)
            return None
        stage = self._stage(arguments[1].value, places)
        counts = {word: self._count(word, arguments[0].value)}
        counts |= {name: self._count(name, a.value) for name, a in zip(names, arguments[2:], strict=True)}
        if stage is None or None in counts.values():
            return None
        condition = Condition(**counts)  # type: ignore[arg-type]
        if condition.until is not None and condition.until <= condition.after:
            message = f"the part never runs: it would begin after update {condition.after} and end before {condition.until}"
            self._error("FRL0234", message, call.span, "until counts updates from the first one, as after does")
        return When(condition, stage)

    def _count(self, word: str, expr: tree.Expr) -> int | None:
        number = count(expr)
        if number is None:
            message = f"`{word}` counts updates: a whole number from 1 to {LARGEST}, found {text_of(expr)}"
            self._error("FRL0234", message, expr.span)
        return number

    def _error(self, code: str, message: str, span: Span, *notes: str) -> None:
        self._failed = True
        self.diagnostics.error(code, message, span, *notes)


def _sequence(stages: list[Stage]) -> Stage | None:
    """One stage after the other, without sequences inside sequences."""
    flat = [part for stage in stages for part in (stage.stages if isinstance(stage, Then) else (stage,))]
    if not flat:
        return None
    return flat[0] if len(flat) == 1 else Then(tuple(flat))


def _replaced(stage: Stage, targets: Stage) -> Stage:
    """The order with another stage in the place of ``targets``."""
    match stage:
        case Single(name) if name == TARGETS:
            return targets
        case Then(parts) | Alongside(parts):
            return type(stage)(tuple(_replaced(part, targets) for part in parts))
        case When(condition, inner):
            return When(condition, _replaced(inner, targets))
    return stage


class _BeforeThePolicy(StageSearch[str]):
    """Parts that a sequence moves before it moves the policy."""

    def sequence(self, parts: tuple[Stage, ...]) -> list[str]:
        names = [stage_names(part) for part in parts]
        at = next((i for i, inside in enumerate(names) if POLICY in inside), 0)
        return [name for inside in names[:at] for name in inside] + super().sequence(parts)

    def together(self, parts: tuple[Stage, ...]) -> list[str]:
        return super().sequence(parts)


class _SideBySide(StageSearch[bool]):
    """Whether some of the names stand in different parts of a ``[...]``: True for each such bracket."""

    def __init__(self, *names: str):
        self._names = set(names)

    def together(self, parts: tuple[Stage, ...]) -> list[bool]:
        holders = [part for part in parts if self._names & set(stage_names(part))]
        return [True] * (len(holders) > 1) + super().together(parts)
