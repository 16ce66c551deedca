"""Options: the syntax in a spec becomes a value of the type of the component's field.

A value that cannot be built is reported at its place and replaced by a stand-in, so the rest of the file is still checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import Field, ValidationError

from flowrl_dsl.algorithm import POLICY, Parameter
from flowrl_dsl.diagnostics import Proposal, Span, did_you_mean, nearest, suggestion
from flowrl_dsl.formula import Formula
from flowrl_dsl.registry import Component, Drawn, Interval, Scalar, families, find, members_of
from flowrl_dsl.spec import typecheck
from flowrl_dsl.spec.kinds import Kind, kinds
from flowrl_dsl.spec.literals import read_literal, spec_text
from flowrl_dsl.spec.numbers import NotANumber, fold
from flowrl_dsl.spec.scope import Reached, Required, Scope, Site
from flowrl_dsl.spec.text import article, plural, text_of, what_is
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse_expression

DEFAULT_FILE = "default"

FAILED: Any = object()
"""The value of an option with an error."""

Report = Callable[..., None]


@cache
def default_expression(text: str) -> tree.Expr:
    """The syntax of a default.  Raises ``ValueError`` for bad text, an error in the component."""
    expr, found = parse_expression(text, DEFAULT_FILE)
    if expr is None:
        raise ValueError(f"the default {text!r} of a component does not parse: {found[0].message if found else ''}")
    return expr


def bind(component: type[Component], call: tree.Call, report: Report) -> dict[str, tree.Expr]:
    """The arguments of a call by option: named, or positional in the order of the options.

    An arrow as first argument sets ``start`` and ``end``.
    """
    names = list(kinds(component))
    found: dict[str, tree.Expr] = {}
    for position, argument in enumerate(call.arguments):
        value = argument.value
        if argument.name is None and position == 0 and isinstance(value, tree.Arrow) and {"start", "end"} <= {*names}:
            if len(value.items) == 2:
                found["start"], found["end"] = value.items
            else:
                report("FRL0255", "a schedule has two ends", value.span, "write start -> end")
                found.update(dict.fromkeys(("start", "end"), value))
            continue
        name = argument.name.id if argument.name is not None else next((n for n in names if n not in found), None)
        if name is None:
            most = "1 argument" if len(names) == 1 else f"{len(names)} arguments"
            takes = most if names else "no arguments"
            message = f"{component.name} takes {takes}, found {len(call.arguments)}"
            report("FRL0217", message, value.span, _options(names))
        elif name not in names:
            place = argument.name.span if argument.name else value.span
            report("FRL0208", f'{component.name} has no option "{name}"', place, did_you_mean(name, names))
        elif name in found:
            report("FRL0206", f'option "{name}" of {component.name} is given twice', argument.span, "give it once")
        else:
            found[name] = value
    return found


def _options(names: list[str]) -> str:
    return f"its options, in order: {', '.join(names)}" if names else ""


def _with_axes(kind: Kind, values: Mapping[str, Any]) -> Kind:
    """The kind of an option whose formula sees values with axes that depend on options before it."""
    if kind.slot is None:
        return kind
    slot = kind.slot.given({name for name, value in values.items() if value is not None})
    read = {name: values[option] for name, option in slot.computed.items()}
    axes = {name: formula.term.axes for name, formula in read.items() if isinstance(formula, Formula)}
    return replace(kind, slot=replace(slot, values={**slot.values, **axes}))


@dataclass
class Options:
    """Builds components and the values of their options."""

    scope: Scope

    def component(self, family: str, expr: tree.Expr, site: Site) -> Component:
        """The component of a call or a bare name; :data:`FAILED` if it has no class."""
        call = as_call(expr)
        if call is None:
            return self._no_component(family, expr, site)
        cls = find(family, call.function.id)
        if cls is None:
            return self._unknown_component(family, call, site)
        inner = site.written(expr.span)
        return self.build(cls, bind(cls, call, self._reporter(site)), expr.span, inner)

    def build(self, cls: type[Component], given: Mapping[str, tree.Expr], span: Span, site: Site) -> Component:
        """A component from its given options; defaults are resolved like text in a spec."""
        values: dict[str, Any] = {}
        for name, kind in kinds(cls).items():
            values[name] = self._option(cls, name, self._seeing(kind, values), given.get(name), span, site)
        built = self._construct(cls, values, given, span, site)
        self.scope.reach(Reached(built, site.path, site.at(span)))
        return built

    def _seeing(self, kind: Kind, values: Mapping[str, Any]) -> Kind:
        """The kind of an option whose formula sees what options before it draw, with the policies that draw it."""
        kind = _with_axes(kind, values)
        if kind.slot is None or not kind.slot.drawn_by:
            return kind
        drawn = {name: values.get(option) for name, option in kind.slot.drawn_by.items()}
        sources = {name: self.scope.readable.get(d.source) for name, d in drawn.items() if isinstance(d, Drawn)}
        owners = {name: source.owner for name, source in sources.items() if source is not None}
        return replace(kind, slot=replace(kind.slot, drawn_by=owners))

    def _construct(
        self, cls: type[Component], values: dict[str, Any], given: Mapping[str, tree.Expr], span: Span, site: Site
    ) -> Component:
        if all(value is not FAILED for value in values.values()):
            try:
                return cls(**values)
            except ValidationError as error:
                self._contradictions(cls, error, given, span, site)
        complete = {name: self._stand_in(cls, name, site) if v is FAILED else v for name, v in values.items()}
        return cls.model_construct(**complete)

    def _contradictions(
        self, cls: type[Component], error: ValidationError, given: Mapping[str, tree.Expr], span: Span, site: Site
    ) -> None:
        """Report the errors of the component's own validators, which relate several options."""
        if not self.scope.complete:
            return
        for problem in error.errors():
            cause = problem.get("ctx", {}).get("error")
            message = str(cause) if cause is not None else problem["msg"]
            field = str(problem["loc"][0]) if problem["loc"] else ""
            place = given[field].span if field in given else span
            self.scope.error("FRL0216", f"{cls.name}: {message}", site, place)

    def _stand_in(self, cls: type[Component], name: str, site: Site) -> Any:
        """A valid placeholder for an option with an error, for the remaining checks."""
        kind = kinds(cls)[name]
        if kind.role == "component" or kind.draws_component:
            self.scope.maybe |= {c for member in members_of(kind.family).values() for c in member.provides}
        if kind.role == "drawn":
            number = Scalar(name=f"{site.path}.{name}", value=1.0) if kind.draws_number else 1
            return Drawn.model_construct(value=Component() if kind.draws_component else number, source=POLICY)
        if kind.role == "literal":
            return 1
        return {"component": Component(), "scalar": Scalar(name=f"{site.path}.{name}", value=1.0)}.get(kind.role)

    # --- one option

    def _option(self, cls: type[Component], name: str, kind: Kind, expr: tree.Expr | None, span: Span, site: Site) -> Any:
        inner = site.child(name)
        if expr is not None:
            self.scope.record(inner, expr)
            return self.value(cls, name, kind, expr, inner.written(expr.span))
        if kind.default is not None:
            default = inner if site.default else replace(inner, default=f"{name} = {kind.default}", lets={})
            self.scope.record(default, kind.default)
            return self.value(cls, name, kind, default_expression(kind.default), default)
        info = cls.model_fields[name]
        if kind.optional and kind.language:
            self.scope.record(inner, "none")
            return None
        if kind.language or info.is_required():
            self._missing(cls, name, span, site)
            return FAILED
        value = info.get_default(call_default_factory=True)
        self.scope.record(inner, spec_text(value))
        return value

    def _missing(self, cls: type[Component], name: str, span: Span, site: Site) -> None:
        if not self.scope.complete:
            return
        what = f'section "{cls.name}"' if cls.family == "section" else cls.name
        description = cls.model_fields[name].description
        hint = f"{name}: {description}" if description else ""
        self.scope.error("FRL0209", f'{what} needs "{name}"', site, span, hint)

    def value(self, cls: type[Component], name: str, kind: Kind, expr: tree.Expr, site: Site) -> Any:
        """The value of an option from its syntax; :data:`FAILED` after an error."""
        if kind.optional and isinstance(expr, tree.Name) and expr.id == "none":
            return None
        if isinstance(expr, tree.From) and kind.role not in ("drawn", "formula"):
            message = f'"{site.path}" is not sampled from a policy: remove `from`'
            self.scope.error("FRL0218", message, site, expr.source.span)
            return FAILED
        match kind.role:
            case "component":
                return self.component(kind.family, expr, site)
            case "scalar":
                return self.scalar(expr, kind.interval, site)
            case "formula":
                assert kind.slot is not None
                formula = typecheck.check(expr, kind.slot, self.scope, site)
                return FAILED if formula is None else formula
            case "drawn":
                return self._drawn(kind, expr, site)
        value = read_literal(cls, name, expr, self.scope, site)
        return FAILED if value is None else value

    def _drawn(self, kind: Kind, expr: tree.Expr, site: Site) -> Any:
        if kind.scales:
            return self._scaled(kind, expr, site)
        source = expr.source.id if isinstance(expr, tree.From) else POLICY
        inner = expr.value if isinstance(expr, tree.From) else expr
        value = self._of_drawn(kind, inner, site)
        place = expr.source.span if isinstance(expr, tree.From) else expr.span
        sources = self.scope.sources
        if source not in sources:
            if not self.scope.complete:
                return FAILED
            self.scope.error("FRL0219", f'unknown source "{source}"', site, place, did_you_mean(source, sources))
            return FAILED
        if sources[source]:
            self.scope.required.append(Required(site.path, sources[source], site, place, source))
        return FAILED if value is FAILED else kind.type(value=value, source=source)

    def _of_drawn(self, kind: Kind, expr: tree.Expr, site: Site) -> Any:
        """What is written before `from`: a component, a number of the program or a count."""
        if kind.draws_component:
            return self.component(kind.family, expr, site)
        return self.scalar(expr, kind.interval, site) if kind.draws_number else self._count(expr, site)

    def _scaled(self, kind: Kind, expr: tree.Expr, site: Site) -> Any:
        """A number, and the section or copy with the function that it scales."""
        known = {name: copy for name, copy in self.scope.readable.items() if kind.scales in copy.functions}
        if not isinstance(expr, tree.From):
            message = f'"{site.path}" is a number `from` the values that it scales, found {what_is(expr)}'
            example = f"for instance {text_of(expr)} from {next(iter(known), 'a section')}"
            self.scope.error("FRL0213", message, site, expr.span, example)
            return FAILED
        value, source, place = self.scalar(expr.value, kind.interval, site), expr.source.id, expr.source.span
        if source not in known:
            if self.scope.complete:
                self.scope.error("FRL0219", f'unknown source "{source}"', site, place, did_you_mean(source, known))
            return FAILED
        if known[source].needs:
            how = {"how": "reads", "owner": known[source].owner}
            self.scope.required.append(Required(site.path, known[source].needs, site, place, source, **how))
        return FAILED if value is FAILED else kind.type(value=value, source=source)

    def _count(self, expr: tree.Expr, site: Site) -> Any:
        """The number of sampled actions: a whole number from 1 on."""
        value = read_literal(_Count, "count", expr, self.scope, site)
        return FAILED if value is None else value

    # --- scalars

    def scalar(self, expr: tree.Expr, interval: Interval, site: Site) -> Scalar:
        """A number, a parameter's name or a schedule; :data:`FAILED` after an error."""
        try:
            number = fold(expr)
        except NotANumber as reason:
            self.scope.error("FRL0224", f'"{site.path}" has no value: {reason}', site, expr.span)
            return FAILED
        if number is not None:
            inside = self._in_interval(float(number), interval, expr.span, site)
            return Scalar(name=site.path, value=float(number)) if inside else FAILED
        if isinstance(expr, tree.Name) and expr.id in self.scope.parameters:
            return self._parameter(self.scope.parameters[expr.id], interval, expr, site)
        call = as_call(expr)
        if call is not None and find("schedule", call.function.id) is not None and not site.in_schedule:
            return self._schedule(expr, interval, site)
        self._no_scalar(expr, site)
        return FAILED

    def _parameter(self, parameter: Parameter, interval: Interval, expr: tree.Expr, site: Site) -> Scalar:
        self.scope.use("param", parameter)
        if site.in_schedule and (parameter.schedule or parameter.learned):
            message = f'the ends of a schedule are constants, but "{parameter.name}" varies during training'
            self.scope.error("FRL0213", message, site, expr.span)
            return FAILED
        for value in list(ends(parameter.schedule, self.scope).values()) or [parameter.value]:
            if value not in interval:
                message = f'"{site.path}" must be in {interval}, but param "{parameter.name}" is {value:g}'
                where = f"the parameter is declared at {parameter.span}" if parameter.span else ""
                self.scope.error("FRL0221", message, site, expr.span, where)
                return FAILED
        return Scalar(name=parameter.name)

    def _schedule(self, expr: tree.Expr, interval: Interval, site: Site) -> Scalar:
        schedule: Any = self.component("schedule", expr, replace(site, in_schedule=True))
        if schedule is FAILED:
            return FAILED
        fits = True
        for name, value in ends(schedule, self.scope).items():
            origin = self.scope.origins.get(f"{site.path}.{name}")
            if origin is None:  # the schedule lacks this end, which has been reported
                return FAILED
            fits = self._in_interval(value, interval, origin.span or expr.span, site) and fits
        return Scalar(name=site.path, schedule=schedule) if fits else FAILED

    def _in_interval(self, value: float, interval: Interval, place: Span, site: Site) -> bool:
        if value not in interval:
            self.scope.error("FRL0214", f'"{site.path}" must be in {interval}, found {value:g}', site, place)
        return value in interval

    def _no_scalar(self, expr: tree.Expr, site: Site) -> None:
        if isinstance(expr, tree.Name) and not self.scope.complete:
            return
        schedules = sorted(members_of("schedule"))
        expected = f'"{site.path}" is a number' + ("" if site.in_schedule else ", a parameter or a schedule")
        call = as_call(expr)
        if call is not None and find("adaptation", call.function.id) is not None:
            hint = f"only a parameter can be learned: write `param name = {text_of(expr)}` and use its name here"
        elif isinstance(expr, tree.Name):
            hint = did_you_mean(expr.id, {*self.scope.parameters, *schedules})
        elif isinstance(expr, tree.Arrow):
            schedule = f"linear({text_of(expr)}, over = 100_000)"
            hint = Proposal(f"write a schedule with these ends: {schedule}", text_of(expr), schedule)
        elif isinstance(expr, tree.Call):
            hint = did_you_mean(expr.function.id, schedules)
        else:
            arithmetic = isinstance(expr, tree.Binary | tree.Unary)
            hint = "arithmetic with parameters is only allowed in formulas" if arithmetic else ""
        code = "FRL0255" if isinstance(expr, tree.Arrow) else "FRL0213"
        self.scope.error(code, f"{expected}, found {what_is(expr)}", site, expr.span, hint)

    # --- components that are none

    def _no_component(self, family: str, expr: tree.Expr, site: Site) -> Any:
        names = ", ".join(sorted(members_of(family)))
        message = f'"{site.path}" is {article(family)}, found {what_is(expr)}'
        self.scope.error("FRL0213", message, site, expr.span, f"{plural(family)}: {names}")
        return FAILED

    def _unknown_component(self, family: str, call: tree.Call, site: Site) -> Any:
        name = call.function.id
        members = members_of(family)
        elsewhere = sorted(other for other, group in families().items() if name in group)
        close = nearest(name, members)
        hint = suggestion(name, close) if close else f"{plural(family)}: {', '.join(sorted(members))}"
        is_a = f'"{name}" is {" and ".join(map(article, elsewhere))}' if elsewhere else ""
        if name == "none" and not elsewhere:
            is_a = f'"{site.path}" is required'
        message = f'unknown {family.replace("_", " ")} "{name}"'
        self.scope.error("FRL0211", message, site, call.function.span, is_a, hint)
        return FAILED

    def _reporter(self, site: Site) -> Report:
        def report(code: str, message: str, span: Span, *notes: str) -> None:
            self.scope.error(code, message, site, span, *notes)

        return report


class _Count(Component):
    """The count of a ``Drawn``, so that counts are checked like any option."""

    count: int = Field(ge=1)


def as_call(expr: tree.Expr) -> tree.Call | None:
    """A call unchanged, or a bare name as a call without arguments."""
    if isinstance(expr, tree.Name):
        return tree.Call(expr, (), expr.span)
    return expr if isinstance(expr, tree.Call) else None


def ends(schedule: Component | None, scope: Scope) -> dict[str, float]:
    """The ends of a schedule: its options ``start`` and ``end``."""
    found = {}
    for name in ("start", "end"):
        scalar = getattr(schedule, name, None)
        if isinstance(scalar, Scalar):
            parameter = scope.parameters.get(scalar.name)
            value = parameter.value if scalar.value is None and parameter is not None else scalar.value
            if value is not None:
                found[name] = value
    return found
