"""Phases: ``phase NAME { updates = n  order = ...  begin = [copy(SOURCE, SECTION), reset(optimizers)] }``.

The last phase of an offline algorithm may be counted in environment steps, ``steps = n``: it acts.  A length of ``none`` is
one that is left out, which is how a derived spec takes back that of its base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowrl_dsl.algorithm import Action, Improvement, Origin, Phase, Stage, show_stage, stage_names
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.spec.beginning import BeginReader
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.merge import PHASE_OPTIONS, Block
from flowrl_dsl.spec.moves import copies_of, movable_parts, order_reader, read_order
from flowrl_dsl.spec.numbers import LARGEST, count
from flowrl_dsl.spec.order import left_out
from flowrl_dsl.spec.parameters import check_name
from flowrl_dsl.spec.scope import Site
from flowrl_dsl.spec.text import text_of
from flowrl_dsl.syntax import tree


def check_options(check: Check) -> None:
    """Report what a phase cannot contain; of a text with syntax errors, in the blocks that are complete."""
    for name, block in check.statements.phases.items():
        if not block.complete:
            continue
        for key, assign in block.options.items():
            if key not in PHASE_OPTIONS:
                hint = did_you_mean(key, PHASE_OPTIONS)
                check.error("FRL0208", f'phase "{name}" has no option "{key}"', assign.key.span, hint)
        for let in block.lets.values():
            check.error("FRL0205", "a phase cannot contain a let", let.span, "write it at the top level")


def read_phases(check: Check, improvements: Sequence[Improvement], acts: bool) -> tuple[Phase, ...]:
    """The phases as written, empty for an algorithm without any; every part moves in at least one of them.

    ``acts``: the regime steps environments from the start.
    """
    blocks = list(check.statements.phases.items())
    reader = _PhaseReader(check, improvements, acts)
    phases = tuple(reader.phase(name, block, name == blocks[-1][0]) for name, block in blocks)
    if phases and not reader.failed:
        _check_total(check, phases)
        _check_all_move(check, phases)
    return phases


@dataclass
class _PhaseReader:
    """Reads the blocks of one algorithm.  An order that a phase does not set is that of the algorithm."""

    check: Check
    improvements: Sequence[Improvement]
    acts: bool
    _default: Stage | None = None

    def __post_init__(self) -> None:
        self._before = len(self.check.scope.diagnostics.errors)

    @property
    def failed(self) -> bool:
        return len(self.check.scope.diagnostics.errors) > self._before

    def phase(self, name: str, block: Block, last: bool) -> Phase:
        if block.given is None:
            self.check.error("FRL0237", "a phase has a name", block.name.span, "for instance phase pretrain { ... }")
        else:
            check_name(block.given, self.check.scope)
        updates, steps = self._updates(name, block, last), self._steps(name, block, last)
        return Phase(name, self._order(name, block), updates, self._begin(name, block), steps)

    def _updates(self, name: str, block: Block, last: bool) -> int | None:
        if _length(block, "updates") is None and _length(block, "steps") is None and not last:
            message = f'phase "{name}" sets no updates; only the last phase may leave them out'
            self.check.error("FRL0237", message, (block.given or block.name).span, "add: updates = 100_000")
        return self._count(name, block, "updates")

    def _steps(self, name: str, block: Block, last: bool) -> int | None:
        """The environment steps of a phase that acts; it is the last one of an algorithm that does not act before it."""
        given = _length(block, "steps")
        if given is not None and _length(block, "updates") is not None:
            message = f'phase "{name}" sets both updates and steps'
            self.check.error("FRL0259", message, given.span, "steps are those of a phase that acts; leave one of them out")
        elif given is not None and not last:
            message = f'phase "{name}" acts, and is not the last phase'
            self.check.error("FRL0259", message, given.span, "count it in updates, or write it last")
        elif given is not None and self.acts:
            message = "this regime acts in every phase, and its phases are counted in updates"
            hint = "with regime = offline the last phase acts if it has steps"
            self.check.error("FRL0259", message, given.span, hint)
        return self._count(name, block, "steps")

    def _count(self, name: str, block: Block, option: str) -> int | None:
        given = _length(block, option)
        if given is None:
            return None
        self.check.scope.record(Site(f"{name}.{option}", given.value.span), given.value)
        number = count(given.value)
        if number is None:
            message = f"the {option} of a phase are a whole number from 1 to {LARGEST}, found {text_of(given.value)}"
            self.check.error("FRL0237", message, given.value.span)
        return number

    def _order(self, name: str, block: Block) -> Stage:
        given = block.options.get("order")
        if given is not None:
            self.check.scope.record(Site(f"{name}.order", given.value.span), given.value)
            return order_reader(self.check, self.improvements, given, partial=True).read(given.value)
        if self._default is None:
            self._default = read_order(self.check, self.improvements)
        place = self.check.scope.origins["order"].span
        self.check.scope.origins[f"{name}.order"] = Origin(text=show_stage(self._default), source="default", span=place)
        return self._default

    def _begin(self, name: str, block: Block) -> tuple[Action, ...]:
        given = block.options.get("begin")
        if given is None:
            return ()
        self.check.scope.record(Site(f"{name}.begin", given.value.span), given.value)
        return BeginReader(self.check, movable_parts(self.check)[0]).read(given.value)


def _length(block: Block, option: str) -> tree.Assign | None:
    """The assignment of ``updates`` or ``steps``; None if it is left out or ``none``."""
    given = block.options.get(option)
    return None if given is None or (isinstance(given.value, tree.Name) and given.value.id == "none") else given


def _check_total(check: Check, phases: Sequence[Phase]) -> None:
    """The counter of updates has 32 bits."""
    if sum(phase.updates or 0 for phase in phases) > LARGEST:
        place = check.statements.phases[phases[-1].name]
        check.error("FRL0237", f"the phases have more than {LARGEST} updates together", (place.given or place.name).span)


def _check_all_move(check: Check, phases: Sequence[Phase]) -> None:
    moved = {part for phase in phases for part in stage_names(phase.order)}
    missing = left_out(moved, movable_parts(check)[0], copies_of(check))
    if missing:
        place = check.statements.phases[phases[-1].name]
        message = f"no phase moves {', '.join(missing)}"
        hint = f"append {'it' if len(missing) == 1 else 'them'} to the order of a phase: ... -> {' -> '.join(missing)}"
        check.error("FRL0232", message, (place.given or place.name).span, hint)
