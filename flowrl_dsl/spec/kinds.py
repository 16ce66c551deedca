"""The kinds of a component's options, derived from the annotations of its fields."""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic.fields import FieldInfo

from flowrl_dsl.registry import ANY, Component, Drawn, Interval, Scalar, Slot, language_of


@dataclass(frozen=True)
class Kind:
    """``role`` is component, scalar, formula, drawn or literal; ``type`` the annotation without None."""

    role: str
    type: Any
    optional: bool
    slot: Slot | None = None
    interval: Interval = ANY
    default: str | None = None
    language: bool = False
    scales: str = ""

    @property
    def family(self) -> str:
        """The family of a component, or of the component that is drawn."""
        return self.type.family if self.role == "component" else self.drawn.family

    @property
    def drawn(self) -> Any:
        """The content type of a ``Drawn``: ``int``, ``Scalar`` or a component class."""
        return self.type.__pydantic_generic_metadata__["args"][0]

    @property
    def draws_component(self) -> bool:
        return self.role == "drawn" and isinstance(self.drawn, type) and issubclass(self.drawn, Component)

    @property
    def draws_number(self) -> bool:
        """Whether it is a ``Drawn`` of a number that is an input of the program."""
        return self.role == "drawn" and self.drawn is Scalar


@cache
def kinds(component: type[Component]) -> dict[str, Kind]:
    """The kind of each option, in order of declaration; a redeclared option moves to its new place."""
    names: dict[str, None] = {}
    for cls in reversed(component.__mro__):
        for name in inspect.get_annotations(cls):
            if name in component.model_fields:
                names.pop(name, None)
                names[name] = None
    return {name: _kind(component.model_fields[name]) for name in names}


def _kind(info: FieldInfo) -> Kind:
    annotation, optional = without_none(info.annotation)
    language = language_of(info)
    if language is None:
        return Kind("literal", annotation, optional)
    shape = language.get("slot")
    interval = language.get("interval", ANY)
    role = "formula" if shape is not None else _role(annotation)
    return Kind(role, annotation, optional, shape, interval, language["default"], True, language.get("scales", ""))


def _role(annotation: Any) -> str:
    for base, role in ((Scalar, "scalar"), (Drawn, "drawn"), (Component, "component")):
        if isinstance(annotation, type) and issubclass(annotation, base):
            return role
    return "literal"


def without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without None, and whether None was among its members."""
    if not isinstance(annotation, types.UnionType) and typing.get_origin(annotation) is not typing.Union:
        return annotation, False
    members = typing.get_args(annotation)
    rest = [member for member in members if member is not type(None)]
    return (rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]), len(rest) < len(members)  # noqa: UP007


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that a ``Literal``, or a union of truth values and one, admits; empty for other annotations."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        members = typing.get_args(annotation)
        rest = [word for member in members for word in choices(member)]
        return ("false", "true", *rest) if bool in members else ()
    return tuple(map(str, typing.get_args(annotation))) if typing.get_origin(annotation) is Literal else ()


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, without their bounds; empty for other annotations."""
    union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    return tuple(map(_bare, typing.get_args(annotation))) if union else ()


def describe(annotation: Any) -> str:
    """The values a literal option accepts, in words."""
    if choices(annotation):
        return "one of " + ", ".join(choices(annotation))
    if alternatives(annotation):
        return " or ".join(map(describe, alternatives(annotation)))
    if typing.get_origin(annotation) in (tuple, list):
        items = [item for item in typing.get_args(annotation) if item is not Ellipsis]
        return f"a list of {_PLURALS.get(_bare(items[0]), 'values')}" if items else "a list"
    return _SINGULARS.get(annotation, "a value")


def _bare(annotation: Any) -> Any:
    """An annotation without its bounds."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


_SINGULARS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
_PLURALS = {int: "whole numbers", float: "numbers", bool: "true or false", str: "strings"}
