"""``param``: a number with a range, a schedule, or a number learned by a loss of its own."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.algorithm import Parameter
from flowrl_dsl.diagnostics import Proposal, did_you_mean
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import ANY, Component, Interval, Scalar, find, functions, members_of
from flowrl_dsl.spec.numbers import NotANumber, fold
from flowrl_dsl.spec.options import Options, as_call, ends
from flowrl_dsl.spec.order import parts
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.text import text_of, what_is
from flowrl_dsl.spec.typecheck import GRADIENT
from flowrl_dsl.syntax import tree

SIZES = ("A", "N", "M")
WORDS = ("none", "every", "after", "until", "over", "wrt", "inf")


def taken(name: str) -> str:
    """The existing meaning of a name in the language; empty for a name that may be declared."""
    if name in PRIMITIVES or name in functions() or name == GRADIENT:
        return "a function"
    if name in SIZES:
        return "a size"
    if name in parts() or name in WORDS:
        return "a word of the language"
    for family in ("section", "mechanism"):
        if find(family, name) is not None:
            return f"a {family}"
    return ""


def check_name(name: tree.Name, scope: Scope) -> None:
    """Report a declaration that takes a name of the language."""
    meaning = taken(name.id)
    if meaning:
        scope.diagnostics.error("FRL0227", f'"{name.id}" is {meaning} and cannot be declared', name.span)


def read_parameter(param: tree.Param, scope: Scope) -> Parameter:
    """The typed parameter; after an error a stand-in under its name."""
    check_name(param.name, scope)
    interval = _interval(param)
    site = Site(param.name.id, param.value.span)
    scope.record(site, param.value)
    parameter = Parameter(name=param.name.id, value=1.0, interval=interval, span=param.span)
    try:
        number = fold(param.value)
    except NotANumber as reason:
        scope.error("FRL0224", f'param "{param.name.id}" has no value: {reason}', site, param.value.span)
        return parameter
    before = len(scope.diagnostics.errors)
    if number is None:
        parameter = _changing(param, parameter, scope, site)
    else:
        parameter = parameter.model_copy(update={"value": float(number)})
    if len(scope.diagnostics.errors) == before:
        _check_range(parameter, param, scope)
    return parameter


def _changing(param: tree.Param, parameter: Parameter, scope: Scope, site: Site) -> Parameter:
    """A schedule or an adaptation."""
    call = as_call(param.value)
    options = Options(scope)
    if call is not None and find("schedule", call.function.id) is not None:
        schedule = options.component("schedule", param.value, replace(site, in_schedule=True))
        start = ends(schedule, scope).get("start", parameter.value)
        return parameter.model_copy(update={"value": start, "schedule": schedule})
    if call is not None and find("adaptation", call.function.id) is not None:
        learned = _learned(parameter, param.value, options, site)
        return parameter.model_copy(update={"value": _start(learned), "learned": learned})
    _no_parameter(param, scope, site)
    return parameter


def _learned(parameter: Parameter, value: tree.Expr, options: Options, site: Site) -> Component:
    """The adaptation; its loss may depend on the parameter itself, which does not count as a use by the algorithm."""
    scope = options.scope
    scope.parameters[parameter.name] = parameter
    learned = options.component("adaptation", value, site)
    scope.used.discard(("param", parameter.span))
    return learned


def _start(learned: Component) -> float:
    """The initial value of an adaptation: its option ``init``."""
    init = getattr(learned, "init", 1.0)
    if isinstance(init, Scalar):
        init = init.value
    return float(init) if isinstance(init, int | float) else 1.0


def _no_parameter(param: tree.Param, scope: Scope, site: Site) -> None:
    names = sorted({*members_of("schedule"), *members_of("adaptation")})
    value = param.value
    message = f'param "{param.name.id}" is a number, a schedule or learned, found {what_is(value)}'
    if isinstance(value, tree.Arrow):
        schedule = f"linear({text_of(value)}, over = 100_000)"
        hint = Proposal(f"write the schedule that runs between the ends: {schedule}", text_of(value), schedule)
        scope.error("FRL0255", message, site, value.span, hint)
        return
    call = as_call(value)
    scope.error("FRL0222", message, site, value.span, did_you_mean(call.function.id, names) if call else "")


def _interval(param: tree.Param) -> Interval:
    given = param.range
    if given is None:
        return ANY
    low = float("-inf") if given.low is None else float(given.low)
    high = float("inf") if given.high is None else float(given.high)
    return Interval(low, high, given.low_open or given.low is None, given.high_open or given.high is None)


def _check_range(parameter: Parameter, param: tree.Param, scope: Scope) -> None:
    for value in list(ends(parameter.schedule, scope).values()) or [parameter.value]:
        if value not in parameter.interval:
            message = f'param "{parameter.name}" must be in {parameter.interval}, found {value:g}'
            where = f"the range is declared at {param.range.span}" if param.range else ""
            scope.diagnostics.error("FRL0214", message, param.value.span, where)
            return
