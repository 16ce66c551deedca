"""What may stand at a place: the kind of value that the option, the argument or the formula around it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from flowrl_dsl.editor.outline import Block, Bracket, Spot
from flowrl_dsl.formula import Slot
from flowrl_dsl.registry import Component, families, find, sections
from flowrl_dsl.spec.kinds import Kind, kinds

COMPONENT, NUMBER, COUNT, DRAWN, LITERAL, FORMULA = "component", "number", "count", "drawn", "literal", "formula"
AXIS, VARIABLE, SOURCE, ORDER, BEGIN, PART, PARAM, STRING = (
    "axis",
    "variable",
    "source",
    "order",
    "begin",
    "part",
    "param",
    "string",
)
NOTHING = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """``role`` is one of the words above; ``owner`` and ``option`` say of which option it is the value.

    ``families`` are those whose members may stand here, ``slots`` those whose values a formula sees here.
    """

    role: str
    owner: type[Component] | None = None
    option: str = ""
    families: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def kind(self) -> Kind | None:
        return None if self.owner is None else kinds(self.owner).get(self.option)


def class_of(block: Block) -> type[Component] | None:
    """The kind of section, or the mechanism, whose options a block sets."""
    header = block.header
    if header is None or header.name is None:
        return None
    if header.kind == "section":
        return sections().get(header.name)
    return find("mechanism", header.name) if header.kind == "IMPROVE" else None


def is_phase(block: Block) -> bool:
    return block.kind == "section" and block.header is not None and block.header.name == "phase"


def expected_at(spot: Spot) -> Expected:
    """What may stand at a place inside of a statement."""
    if spot.before is not None and spot.before.type == "FROM":
        return Expected(SOURCE)
    found = _value(spot)
    for bracket in spot.brackets:
        found = _inside(found, bracket)
    return found


def _value(spot: Spot) -> Expected:
    """What the statement takes behind its ``=``, or as a weight."""
    statement = spot.statement
    if statement is None or spot.part == "range":
        return Expected(NOTHING)
    match statement.kind:
        case "assign":
            return _setting(spot.block, str(statement.name))
        case "PARAM" if spot.part == "value":
            return Expected(PARAM, families=("adaptation", "schedule"))
        case "LET" | "DEF" if spot.part == "value":
            return Expected(FORMULA, slots=slots_of(spot.block))
        case "IMPROVE":
            return Expected(NUMBER, families=("schedule",))
    return Expected(NOTHING)


def _setting(block: Block, key: str) -> Expected:
    cls = class_of(block)
    if cls is not None:
        return of_option(cls, key)
    if is_phase(block):
        roles = {"updates": COUNT, "steps": COUNT, "order": ORDER, "begin": BEGIN}
        return Expected(roles.get(key, NOTHING))
    if key == "regime":
        return Expected(COMPONENT, families=("regime",))
    return Expected({"order": ORDER, "paper": STRING}.get(key, NOTHING))


def of_option(owner: type[Component], option: str) -> Expected:
    """What an option of a component takes."""
    kind = kinds(owner).get(option)
    if kind is None:
        return Expected(NOTHING)
    match kind.role:
        case "component":
            return Expected(COMPONENT, owner, option, (kind.family,))
        case "scalar":
            return Expected(NUMBER, owner, option, ("schedule",))
        case "formula":
            assert kind.slot is not None
            return Expected(FORMULA, owner, option, slots=(kind.slot,))
        case "drawn":
            return Expected(DRAWN, owner, option, (kind.family,) if kind.draws_component else ())
    return Expected(LITERAL, owner, option)


def _inside(outer: Expected, bracket: Bracket) -> Expected:
    """What an argument of a call takes where the call stands for ``outer``; a list and a group take the same."""
    name = bracket.argument
    if bracket.function is None:
        return outer
    if outer.role == FORMULA:
        if name in ("over", "wrt"):
            return replace(outer, role=AXIS if name == "over" else VARIABLE)
        return outer
    if outer.role == ORDER:
        return Expected(COUNT) if name is not None or bracket.position == 0 else outer
    if outer.role == BEGIN:
        return Expected(PART)
    cls = called(outer, bracket.function)
    return Expected(NOTHING) if cls is None else of_option(cls, argument_of(cls, bracket))


def called(outer: Expected, name: str) -> type[Component] | None:
    """The component that a name is where something is expected."""
    return next((cls for family in outer.families if (cls := find(family, str(name))) is not None), None)


def argument_of(cls: type[Component], bracket: Bracket) -> str:
    """The option that the argument being written sets; an arrow in front sets the two ends of a schedule."""
    if bracket.argument is not None:
        return str(bracket.argument)
    names = list(kinds(cls))
    shift = 1 if bracket.position and {"start", "end"} <= {*names} else 0
    position = bracket.position + shift
    return names[position] if position < len(names) else ""


def slots_of(block: Block) -> tuple[Slot, ...]:
    """The slots whose values a ``let`` or ``def`` in a block may see."""
    cls = class_of(block)
    if cls is None:
        return all_slots()
    return tuple(kind.slot for kind in kinds(cls).values() if kind.slot is not None)


@cache
def all_slots() -> tuple[Slot, ...]:
    """The slots of all components."""
    classes = [cls for members in families().values() for cls in members.values()]
    return tuple(kind.slot for cls in classes for kind in kinds(cls).values() if kind.slot is not None)
