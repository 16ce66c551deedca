"""Options with plain values (numbers, words, truth values, lists of them), validated by pydantic, with our messages."""

from __future__ import annotations

import json
import typing
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flowrl_dsl.diagnostics import Span, did_you_mean
from flowrl_dsl.registry import Component
from flowrl_dsl.spec.kinds import alternatives, choices, describe, without_none
from flowrl_dsl.spec.numbers import LARGEST, NotANumber, fold, whole
from flowrl_dsl.spec.scope import Scope, Site
from flowrl_dsl.spec.text import text_of, what_is
from flowrl_dsl.syntax import tree


class _NoLiteral(Exception):
    """An expression is not a plain value."""

    def __init__(self, expr: tree.Expr):
        self.expr = expr


def read_literal(cls: type[Component], name: str, expr: tree.Expr, scope: Scope, site: Site) -> Any:
    """The option's value; None after an error.  A float without fraction is a whole number."""
    annotation, _ = without_none(cls.model_fields[name].annotation)
    try:
        value = _plain(expr)
    except NotANumber as reason:
        scope.error("FRL0224", f'"{site.path}" has no value: {reason}', site, expr.span)
        return None
    except _NoLiteral as found:
        _wrong(annotation, found.expr, scope, site)
        return None
    try:
        return _within_32_bits(_adapter(cls, name).validate_json(json.dumps(value), strict=True), expr, scope, site)
    except ValidationError as error:
        # Rejected items also make a list too short; that is not a separate error.
        problems = error.errors()
        refused = [problem for problem in problems if problem["type"] not in _LENGTHS]
        remaining = refused or problems
        for problem in remaining[:1] if alternatives(annotation) else remaining:  # each member of a union refuses the value
            _report(annotation, problem, expr, scope, site)
        return None


def _within_32_bits(value: Any, expr: tree.Expr, scope: Scope, site: Site) -> Any:
    """The value, or None after reporting a whole number in it that is too large."""
    found = None
    for key, item in enumerate(value) if isinstance(value, tuple) else ((-1, value),):
        if isinstance(item, int) and item > LARGEST:
            found = part = _at(expr, (key,))
            message = f'"{site.path}" must be at most {LARGEST}, found {text_of(part)}'
            scope.error("FRL0214", message, site, part.span)
    return value if found is None else None


def spec_text(value: Any) -> str:
    """A plain value as a spec writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value.isidentifier() else json.dumps(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(spec_text, value)) + "]"
    return repr(value)


@cache
def _adapter(cls: type[Component], name: str) -> TypeAdapter[Any]:
    info = cls.model_fields[name]
    annotation: Any = info.annotation
    return TypeAdapter(typing.Annotated[annotation, *info.metadata] if info.metadata else annotation)


def _plain(expr: tree.Expr) -> Any:
    """Python's value of a literal; raises where anything else stands."""
    match expr:
        case tree.String(value) | tree.Boolean(value):
            return value
        case tree.Name(word):
            return word
        case tree.List(items):
            return [_plain(item) for item in items]
    number = fold(expr)
    if number is None:
        raise _NoLiteral(expr)
    return whole(number)


def _wrong(annotation: Any, expr: tree.Expr, scope: Scope, site: Site, place: Span | None = None) -> None:
    """Report a value of the wrong kind; a parameter's name gets the reason why it cannot stand there."""
    message = f'"{site.path}" is {describe(annotation)}, found {what_is(expr)}'
    hint = ""
    if isinstance(expr, tree.Name) and expr.id in scope.parameters:
        hint = "this option shapes the compiled program, so that a parameter cannot set it: write its value here"
        scope.use("param", scope.parameters[expr.id])
    scope.error("FRL0213", message, site, place or expr.span, hint)


_BOUNDS = {
    "greater_than": ("gt", "greater than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
}
_LENGTHS = {"too_short": ("min_length", "at least {}"), "too_long": ("max_length", "at most {}")}


def _report(annotation: Any, problem: Any, expr: tree.Expr, scope: Scope, site: Site) -> None:
    """Report one pydantic error in the project's wording, at the item concerned."""
    part = _at(expr, problem["loc"])
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        message = f'"{site.path}" must be {words.format(f"{bound:g}")}, found {text_of(part)}'
        scope.error("FRL0214", message, site, part.span)
    elif kind in _LENGTHS:
        key, words = _LENGTHS[kind]
        message = f'"{site.path}" needs {words.format(context[key])} items, found {context["actual_length"]}'
        scope.error("FRL0214", message, site, part.span)
    elif choices(annotation):
        message = f'"{site.path}" must be one of {", ".join(choices(annotation))}, found {what_is(part)}'
        word = part.id if isinstance(part, tree.Name) else ""
        close = did_you_mean(word, choices(annotation)) if word else ""
        scope.error("FRL0215", message, site, part.span, close if close.startswith("did") else "")
    else:
        _wrong(annotation, part, scope, site)


def _at(expr: tree.Expr, loc: tuple[int | str, ...]) -> tree.Expr:
    """The part of a list that pydantic points at."""
    for key in loc:
        if isinstance(expr, tree.List) and isinstance(key, int) and key < len(expr.items):
            expr = expr.items[key]
    return expr
