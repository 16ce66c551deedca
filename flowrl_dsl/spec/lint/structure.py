"""Warnings about the parts of an algorithm: terms of the loss, copies, stages, and how much of it a spec writes."""

from __future__ import annotations

from collections.abc import Iterator

from flowrl_dsl.algorithm import Condition, CopyParameters, Position, conditions
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Operation, terms
from flowrl_dsl.formula import functions as called
from flowrl_dsl.registry import Drawn, SectionKind, functions
from flowrl_dsl.spec.lint.checked import Checked
from flowrl_dsl.spec.scope import SET_FILE

LONGEST = 30
"""Lines of an algorithm of its own; what is longer hides what is new in it."""


def unread_copies(checked: Checked) -> Iterator[Diagnostic]:
    """A copy of a section's parameters that is kept and updated but never read."""
    read, known = _read(checked), functions()
    for owner, section in checked.algorithm.sections.items():
        copies = section.kept(owner) if isinstance(section, SectionKind) and not section.encodes else {}
        for group, copy in copies.items():
            capability = copy.provides.format(owner)
            if not read & {group, capability}:
                reader = next((name for name, function in known.items() if function.needs == capability), group)
                message = f'"{owner}.{copy.option}" is kept, but nothing reads {reader}'
                place = checked.algorithm.written(f"{owner}.{copy.option}")
                yield warning("FRL0312", message, place, "leave it out, or read it")


def _read(checked: Checked) -> set[str]:
    """The copies that actions are drawn from, and the capabilities that components and called functions need."""
    known = functions()
    values = (getattr(component, name) for component in checked.components.values() for name in type(component).model_fields)
    sources = {value.source for value in values if isinstance(value, Drawn)}
    needs = set().union(*(component.needs() for component in checked.components.values()))
    names = set().union(*map(called, checked.formulas.values()))
    operations = (term for formula in checked.formulas.values() for term in terms(formula.term))
    sources |= {term.source for term in operations if isinstance(term, Operation)}
    actions = (action for phase in checked.algorithm.phases for action in phase.begin)
    sources |= {action.source for action in actions if isinstance(action, CopyParameters)}
    return sources | needs | {known[name].needs for name in names if name in known}


def idle_options(checked: Checked) -> Iterator[Diagnostic]:
    """Options that a component reads but that have no effect in this algorithm; not those of a base spec."""
    own = (checked.statements.name.span.file, SET_FILE)
    for path, component in checked.components.items():
        for option, reason in component.idle(Position(checked.algorithm, checked.components, path)).items():
            message = f'"{path}.{option}" has no effect: {reason}'
            place = checked.algorithm.written(f"{path}.{option}")
            if place is not None and place.file in own:
                yield warning("FRL0319", message, place, "leave it out")


def no_weight(checked: Checked) -> Iterator[Diagnostic]:
    """A loss term with zero weight."""
    for improvement in checked.algorithm.improvements:
        if checked.algorithm.start(improvement.factor) == 0:
            message = f"{improvement.label} has factor 0: it costs time and changes nothing"
            yield warning("FRL0314", message, improvement.span)


def every_update(checked: Checked) -> Iterator[Diagnostic]:
    """``every(1, ...)``."""
    of = checked.algorithm
    orders = [(of.order, "order")] if not of.phases else [(phase.order, f"{phase.name}.order") for phase in of.phases]
    for order, path in orders:
        if Condition() in conditions(order):
            yield warning("FRL0320", "every(1, ...) is the same as its part", of.written(path))


def unused_order(checked: Checked) -> Iterator[Diagnostic]:
    """An order of the algorithm that every phase replaces; not that of a base spec."""
    of, given = checked.algorithm, checked.statements.settings.get("order")
    own = (checked.statements.name.span.file, SET_FILE)
    if of.phases and given is not None and "order" not in of.origins and given.span.file in own:
        message = "this order has no effect: every phase has its own"
        yield warning("FRL0326", message, given.span, "leave it out, or leave out the order of a phase")


def long_spec(checked: Checked) -> Iterator[Diagnostic]:
    """An algorithm too long to read at a glance."""
    lines = [line for line in checked.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) > LONGEST:
        message = f"the spec has {len(lines)} lines of its own, more than {LONGEST}"
        hint = "leave out what is default, or extend a spec that has it"
        yield warning("FRL0322", message, checked.statements.name.span, hint)
