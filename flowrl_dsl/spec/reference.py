"""Options in words, for the reference pages and for editors: what each takes, and its default."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from flowrl_dsl.axes import show
from flowrl_dsl.registry import ANY, Component, Drawn, Scalar, language_of
from flowrl_dsl.spec.kinds import choices, describe, without_none
from flowrl_dsl.spec.literals import spec_text


def kind_text(info: FieldInfo) -> str:
    """What an option takes, in words."""
    noted = language_of(info)
    kind, _ = without_none(info.annotation)
    if noted is not None and "slot" in noted:
        return f"formula {show(noted['slot'].result)}"
    if kind is Scalar:
        return "number" if noted is None or noted["interval"] == ANY else f"number in {noted['interval']}"
    if noted is not None and noted.get("scales"):
        return "number `from` the values that it scales"
    if kind is Drawn[Scalar]:
        return "number `from` a policy"
    if isinstance(kind, type) and issubclass(kind, Drawn):
        return "value `from` a copy of the policy"
    if isinstance(kind, type) and issubclass(kind, Component):
        return kind.family.replace("_", " ")
    if choices(kind):
        return ", ".join(f"`{choice}`" for choice in choices(kind))
    items = getattr(get_args(kind)[0], "__metadata__", ()) if get_origin(kind) is tuple else ()
    bounds = filter(None, map(_bound, (*info.metadata, *(bound for item in items for bound in item.metadata))))
    return f"{describe(kind).removeprefix('a ')} {', '.join(bounds)}".rstrip()


def _bound(item: Any) -> str:
    for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if hasattr(item, attribute):
            return f"{sign} {getattr(item, attribute):g}"
    return "even" if getattr(item, "multiple_of", 1) == 2 else ""


def default_text(info: FieldInfo) -> str:
    """Its default as a spec writes it, or ``required``."""
    noted = language_of(info)
    if noted is not None:
        return "required" if noted["default"] is None else f"`{noted['default']}`"
    if info.is_required():
        return "required"
    return f"`{spec_text(info.default)}`"
