"""Components with their options: calls, numbers, formulas, and the parameters and definitions that they reference."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass, replace

from hypothesis import reject
from hypothesis import strategies as st

from flowrl_dsl.algorithm import POLICY, Parameter
from flowrl_dsl.registry import ANY, POSITIVE, Component, Interval, Slot, functions, members_of
from flowrl_dsl.spec.compatibility import provided
from flowrl_dsl.spec.kinds import Kind, kinds
from flowrl_dsl.spec.options import default_expression
from flowrl_dsl.syntax import tree
from flowrl_dsl.testing._formulas import FormulaWriter, Piece
from flowrl_dsl.testing._specs.draft import PLACE, Draft
from flowrl_dsl.testing._specs.literals import FACTORS, NUMBERS, literal, rounded


@dataclass
class OptionWriter:
    """Writes components and the values of their options."""

    draft: Draft

    def component(self, family: str, interval: Interval = ANY, in_schedule: bool = False) -> str:
        """A call of some admissible component of the family; ``interval`` contains the ends of a schedule."""
        cls = members_of(family)[self.draft.pick(family, self.draft.members_of(family, self.draft.capabilities))]
        return self.call(cls, interval, in_schedule)

    def call(self, cls: type[Component], interval: Interval = ANY, in_schedule: bool = False) -> str:
        """A call of the component that satisfies its validators and requirements."""
        optional = [name for name, kind in kinds(cls).items() if kind.optional and kind.default in (None, "none")]
        chosen = [name for name in optional if self.draft.perhaps()]
        subsets = [list(s) for n in range(len(optional) + 1) for s in itertools.combinations(optional, n)]
        for subset in [chosen, *(s for s in subsets if s != chosen)]:
            before, asked = self.draft.declared.copy(), dict(self.draft.including)
            text = self._arguments(cls, subset, interval, in_schedule)
            if self._fits(cls.family, text):
                return text
            self.draft.declared, self.draft.including = before, asked
        return reject()

    def _arguments(self, cls: type[Component], optional: Collection[str], interval: Interval, in_schedule: bool) -> str:
        arguments: list[str] = []
        fields = kinds(cls)
        positional = True
        if {"start", "end"} <= fields.keys():
            start, end = (self.scalar(fields[name], interval, True) for name in ("start", "end"))
            arguments.append(f"{start} -> {end}")
            fields = {name: kind for name, kind in fields.items() if name not in ("start", "end")}
        for name, kind in fields.items():
            text = self.option(cls, name, kind, name in optional, in_schedule)
            if text is None:
                positional = False
                continue
            positional = positional and self.draft.perhaps()
            arguments.append(text if positional else f"{name} = {text}")
        return f"{cls.name}({', '.join(arguments)})" if arguments or self.draft.perhaps() else cls.name

    def _fits(self, family: str, text: str) -> bool:
        built, scope = self.draft.built(family, text)
        if scope.diagnostics.errors or built is None:
            return False
        needs = set().union(*(reached.component.needs() for reached in scope.reached))
        needs |= {required.capability for required in scope.required}
        return needs <= self.draft.capabilities | {
            c for reached in scope.reached for c in provided(reached.component, reached.path)
        }

    def option(self, cls: type[Component], name: str, kind: Kind, wanted: bool, in_schedule: bool = False) -> str | None:
        """The text of an option; None if it keeps its default."""
        info = cls.model_fields[name]
        if (kind.role == "component" or kind.draws_component) and self.draft.asked(kind.family):
            return self.component(kind.family) if kind.role == "component" else self.drawn(kind, cls.of_source.get(name, ()))
        required = kind.default is None and (kind.language or info.is_required())
        if kind.optional and kind.default in (None, "none"):
            if not wanted:
                return None
        elif not required and kind.role != "literal" and not self.draft.perhaps():
            return None if kind.role != "formula" or self.understands(kind) else self.formula(kind.slot)
        match kind.role:
            case "component":
                return self.component(kind.family)
            case "scalar":
                return self.scalar(kind, kind.interval, in_schedule)
            case "formula":
                return self.formula(kind.slot)
            case "drawn":
                return self.drawn(kind, cls.of_source.get(name, ()))
        return literal(self.draft, cls, name)

    def scalar(self, kind: Kind, interval: Interval, in_schedule: bool = False) -> str:
        """A number in the interval, the name of a parameter, or a schedule."""
        way = self.draft.one_of(("number", "number", "parameter", "schedule"))
        way = "parameter" if self.draft.asked("adaptation") else way
        if way == "parameter":
            return self.parameter(interval, fixed=in_schedule)
        if way == "schedule" and not in_schedule:
            return self.component("schedule", interval, True)
        return f"{self.number(kind.default, interval):g}"

    def number(self, default: str | None, interval: Interval) -> float:
        try:
            near = [rounded(float(default or "") * factor) for factor in FACTORS]
        except ValueError:
            near = list(NUMBERS)
        allowed = [x for x in near if x in interval] or [x for x in NUMBERS if x in interval]
        return self.draft.one_of(allowed) if allowed else reject()

    def drawn(self, kind: Kind, needed: Collection[str]) -> str:
        """A count or selection rule for actions, and their source: a policy that provides the required capabilities.

        A number scales the values of a section with the function that it needs.
        """
        if kind.scales:
            return f"{self.scalar(kind, kind.interval)} from {self.draft.one_of(self.draft.copies()[kind.scales])}"
        there = self.draft.capabilities
        kept = [source for source, need in self.draft.sources().items() if not need or need in there]
        source = self.draft.one_of([source for source in kept if {*needed} <= self.draft.provided_by(source)])
        with self.draft.writing_for(self.draft.owner_of(source)):
            value = self.component(kind.family) if kind.draws_component else str(self.draft.draw(st.integers(1, 3)))
        return value if source == POLICY and self.draft.perhaps() else f"{value} from {source}"

    def understands(self, kind: Kind) -> bool:
        """Whether the default of a formula calls only available networks."""
        called = {call for call in _calls(default_expression(kind.default or "1")) if call[0] in functions()}
        copies, there = self.draft.copies(), self.draft.capabilities
        return all(source in copies.get(name, ()) if source else functions()[name].needs in there for name, source in called)

    def parameter(self, interval: Interval, fixed: bool = False) -> str:
        """The name of a parameter whose values lie in the interval; a new one is declared."""
        fixed = fixed or self.draft.declaring
        known = self.draft.declared.parameters.items()
        fitting = [name for name, p in known if p.interval == interval and not (fixed and (p.schedule or p.learned))]
        if fitting and self.draft.perhaps():
            return self.draft.one_of(fitting)
        way = "fixed" if fixed else self.draft.one_of(("fixed", "schedule", "learned"))
        way = "learned" if self.draft.asked("adaptation") and not fixed else way
        if way == "learned" and not all(factor in interval for factor in FACTORS):  # learned parameters start near 1
            way = "fixed"
        self.draft.declaring, before = True, self.draft.declaring
        value, changes = 1.0, {}
        if way == "schedule":
            text, changes = self.component("schedule", interval, True), {"schedule": Component()}
        elif way == "learned":
            with self.draft.writing_for(POLICY):  # parameters are learned from its measurements
                text, changes = self.component("adaptation"), {"learned": Component()}
        else:
            value = self.number(None, interval)
            text = f"{value:g}"
        self.draft.declaring = before
        name = self.draft.name()
        where = f" in {interval}" if interval != ANY and self.draft.perhaps() else ""
        self.draft.declared.lines.append(f"param {name} = {text}{where}")
        self.draft.declared.parameters[name] = Parameter(name=name, value=value, interval=interval, span=PLACE, **changes)
        return name

    def formula(self, slot: Slot | None, block: list[str] | None = None) -> str:
        """A formula of a slot; lets are added to ``block`` if given."""
        assert slot is not None
        there = {"", *self.draft.capabilities}
        visible = {
            name: axes  # what an option draws is not read: the option would have to draw it from a policy that can
            for name, axes in slot.values.items()
            if slot.needs.get(name, "") in there and name not in slot.drawn_by
        }
        slot = replace(slot, values=visible)

        def bind(piece: Piece) -> str:
            assert block is not None
            name = self.draft.name()
            block.append(f"let {name} = {piece.text}")
            return name

        def define(arguments: list[str], text: str) -> str:
            name = self.draft.name()
            self.draft.declared.define(f"def {name}({', '.join(arguments)}) = {text}")
            return name

        writer = FormulaWriter(
            self.draft.draw,
            slot,
            self.draft.capabilities,
            parameter=lambda: self.parameter(POSITIVE),
            bind=bind if block is not None else None,
            define=define,
            members=self.draft.ensemble,
            copies=self.draft.copies(),
        )
        return writer.formula(self.draft.draw(st.integers(1, 3)))


def _calls(expr: tree.Expr, source: str = "") -> set[tuple[str, str]]:
    """Names of the functions that an expression calls, each with the copy whose parameters it reads, empty for its own."""
    match expr:
        case tree.Call(function, arguments):
            return {(function.id, source)}.union(*(_calls(argument.value, source) for argument in arguments))
        case tree.Binary(_, left, right):
            return _calls(left, source) | _calls(right, source)
        case tree.Unary(operand):
            return _calls(operand, source)
        case tree.From(operand, name):
            return _calls(operand, name.id)
    return set()
