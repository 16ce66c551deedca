"""The form of the call that is being written, and the argument at the cursor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowrl_dsl.editor import describe
from flowrl_dsl.editor import expected as roles
from flowrl_dsl.editor.document import Document, Place, View
from flowrl_dsl.editor.expected import argument_of, called, expected_at
from flowrl_dsl.editor.names import Names
from flowrl_dsl.editor.outline import Bracket, Spot
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import Component, functions
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.order import WORDS
from flowrl_dsl.spec.typecheck import GRADIENT

FORMS = {
    GRADIENT: ("value", "wrt = a"),
    "every": ("n", "stage", "after = n", "until = n"),
    "after": ("n", "stage", "until = n"),
    "until": ("n", "stage"),
    "copy": ("source", "section"),
    "reset": ("section", "..."),
}
"""The parameters of the language's own words."""


@dataclass(frozen=True)
class Signature:
    """``parameters`` are parts of ``label``, each with its documentation; ``active`` is the index of one, or None."""

    label: str
    text: str
    parameters: tuple[tuple[str, str], ...]
    active: int | None


def signature(view: View, place: Place) -> Signature | None:
    """The innermost call around a place that has a form; None outside of calls and in comments."""
    document = view.document
    if document.in_comment(place):
        return None
    spot, _ = document.spot_at(place)
    for depth in range(len(spot.brackets), 0, -1):
        bracket = spot.brackets[depth - 1]
        if bracket.function is not None:
            outer = replace(spot, brackets=spot.brackets[: depth - 1], before=None)
            return _of_call(outer, bracket, Names(view.chain), document)
    return None


def _of_call(outer: Spot, bracket: Bracket, names: Names, document: Document) -> Signature | None:
    name = str(bracket.function)
    want = expected_at(outer)
    cls = called(want, name)
    if cls is not None:
        return _of_component(cls, bracket)
    found = names.find(name, outer, document)
    if want.role == roles.FORMULA and found and found[0].kind == "def":
        own = [str(token) for token in found[0].statement.parameters]
        return _form(name, own, describe.declaration(found[0]), bracket)
    if name in FORMS and (name == GRADIENT or want.role in (roles.ORDER, roles.BEGIN)):
        text = describe.function(name) if name not in (*WORDS, "copy", "reset") else describe.WORDS[name]
        return _form(name, FORMS[name], text, bracket)
    function = PRIMITIVES.get(name) or functions().get(name)
    if want.role != roles.FORMULA or function is None:
        return None
    return _form(name, describe.parameters(function), function.doc, bracket)


def _form(name: str, parameters: list[str] | tuple[str, ...], text: str, bracket: Bracket) -> Signature:
    """A call whose arguments are given in order, the last ones with ``name = value``."""
    active: int | None = bracket.position
    if bracket.argument is not None:
        starts = [parameter.partition(" = ")[0] for parameter in parameters]
        active = starts.index(bracket.argument) if bracket.argument in starts else None
    if active is not None and active >= len(parameters):
        active = None
    return Signature(f"{name}({', '.join(parameters)})", text, tuple((one, "") for one in parameters), active)


def _of_component(cls: type[Component], bracket: Bracket) -> Signature:
    names = list(kinds(cls))
    option = argument_of(cls, bracket)
    active = names.index(option) if option in names else None
    parameters = tuple((name, describe.option(cls, name)) for name in names)
    return Signature(describe.signature(cls), describe.component(cls), parameters, active)
