"""The parts of an algorithm that change in an update, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowrl_dsl.algorithm import POLICY, Improvement, Origin, Stage
from flowrl_dsl.registry import Component, SectionKind, find, stages
from flowrl_dsl.spec import compatibility
from flowrl_dsl.spec.blocks import sections_of
from flowrl_dsl.spec.check import Check
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.order import OrderReader, Trainer, default_order
from flowrl_dsl.spec.scope import SET_FILE, Site
from flowrl_dsl.syntax import tree


def read_order(check: Check, improvements: Sequence[Improvement]) -> Stage:
    """The order that the algorithm as a whole sets, or the default one."""
    movable, _ = movable_parts(check)
    given = check.statements.settings.get("order")
    if given is None:
        text = " -> ".join(movable)
        check.scope.origins["order"] = Origin(text=text, source="default", span=check.place)
        return default_order(movable)
    check.scope.record(Site("order", given.value.span), given.value)
    return order_reader(check, improvements, given).read(given.value)


def order_reader(
    check: Check, improvements: Sequence[Improvement], given: tree.Assign, partial: bool = False
) -> OrderReader:
    """The reader of an order; ``partial`` for one of several phases."""
    movable, still = movable_parts(check)
    file = given.span.file
    fixed = check.edited or bool(check.statements.applied)
    lenient = file != SET_FILE and (fixed or file != check.main)
    measured, trainers = _measured(check, improvements), _trainers(check)
    return OrderReader(
        movable, still, lenient, measured, check.scope.diagnostics, trainers, partial=partial, copies=copies_of(check)
    )


def _measured(check: Check, improvements: Sequence[Improvement]) -> set[str]:
    """The parameters learned from quantities that the mechanisms measure."""
    offered = set().union(*(improvement.mechanism.provides for improvement in improvements))
    learned = {name: parameter.learned for name, parameter in check.scope.parameters.items()}
    return {n for n, c in learned.items() if isinstance(c, Component) and compatibility.needs(c, check.scope) & offered}


def _trainers(check: Check) -> list[Trainer]:
    """The mechanisms that update another section in the stage of the policy they improve."""
    terms: list[Any] = [(find("mechanism", term.mechanism), term.owner) for term in check.statements.improvements]
    trainers = [Trainer(cls.name, cls.trains, owner) for cls, owner in terms if cls is not None]
    return [trainer for trainer in trainers if trainer.trains != POLICY]


def copies_of(check: Check) -> list[str]:
    """The copies that the sections keep."""
    sections = check.sections.items()
    return [group for owner, section in sections if isinstance(section, SectionKind) for group in section.kept(owner)]


def movable_parts(check: Check) -> tuple[list[str], dict[str, str]]:
    """The parts that move, in default order, and why the others do not."""
    scope = check.scope
    learned = [name for name, parameter in scope.parameters.items() if parameter.learned is not None]
    copies = [
        (section, name)
        for section, component in check.sections.items()
        for name, kind in kinds(type(component)).items()
        if kind.role == "component" and kind.family == "target" and getattr(component, name, None) is not None
    ]
    moving = stages()
    owners = {kind: [owner for owner, _ in sections_of(check, kind)] for kind in moving}
    owners[POLICY] = owners[POLICY] or [POLICY]
    movable = [*(owner for kind in moving for owner in owners[kind]), *learned]
    movable += ["targets"] if copies else []
    still = {name: "it is not learned" for name in check.statements.params if name not in learned}
    still |= {} if copies else {"targets": "no section keeps a target or old copy"}
    still |= {kind: f"the algorithm has no {kind}" for kind in moving if not owners[kind]}
    return movable, still
