"""Mistakes in headers, ranges and bodies of statements."""

from __future__ import annotations

from flowrl_dsl.diagnostics import Diagnostic, Proposal
from flowrl_dsl.syntax.brackets import NEEDS_VALUE, OPERATORS, STARTERS, WHOLES, first_on_line
from flowrl_dsl.syntax.mistakes.scene import Edit, Finding, Scene, describe, wanted
from flowrl_dsl.syntax.tokens import END, span_of


def bad_range(scene: Scene) -> Finding | None:
    kinds = [token.type for token in scene.tokens[scene.start : scene.index]]
    if scene.head.type != "PARAM" or "IN" not in kinds or "RBRACE" in scene.expected:
        return None
    message = f"expected {wanted(scene.expected)} in the range, found {describe(scene.token)}"
    note = 'a range is written (0, 10], with numbers, inf or -inf as bounds: "(" and ")" leave the bound out'
    return scene.at_token("FRL0125", message, note)


def missing_in(scene: Scene) -> Finding | None:
    if scene.head.type != "PARAM" or scene.token.type not in ("LPAR", "LSQB") or "IN" not in scene.expected:
        return None
    note = Proposal("write the range as in (0, 10]", "", " in")
    return scene.behind(scene.index - 1, "FRL0125", 'missing "in" before the range', note, edit=scene.insert("IN"))


def misplaced_range(scene: Scene) -> Finding | None:
    if scene.token.type != "IN" or "PLUS" not in scene.expected:
        return None
    return scene.at_token("FRL0125", "only a param has a range", "write param name = value in (0, 10]")


def section_as_value(scene: Scene) -> Finding | None:
    if scene.token.type != "LBRACE" or scene.kind_back(1) not in NEEDS_VALUE:
        return None
    if scene.kind_back(1) == "EQUAL" and scene.kind_back(2) == "NAME" and scene.opener is None:
        name = scene.tokens[scene.start]
        note = f"write {name} {{ ... }}"
        edit = Edit(scene.index - 1, 1, ())
        return scene.at_token("FRL0119", 'a section takes no "="', note, edit=edit)
    note = "lists stand in [ ], arguments in ( )"
    return scene.at_token("FRL0119", "a braced section is not a value", note)


def missing_body(scene: Scene) -> Finding | None:
    if "LBRACE" not in scene.expected or scene.head.type not in WHOLES | {"IMPROVE", "FOR"}:
        return None
    token = scene.token
    ends = token.type in STARTERS | {"RBRACE", END} or first_on_line(scene.tokens, scene.index)
    if not ends:
        return None
    message = f'missing "{{" before the body of "{scene.head}"'
    return scene.behind(scene.index - 1, "FRL0118", message, f'"{scene.head}" has a body in braces, even an empty one')


def definition_shape(scene: Scene) -> Finding | None:
    if scene.head.type != "DEF" or scene.token.type != "EQUAL" or "LPAR" not in scene.expected:
        return None
    name = scene.previous
    note = f"write def {name}(x) = ..., or let {name} = ... for a plain value"
    return scene.behind(scene.index - 1, "FRL0139", f'expected "(" after "def {name}"', note)


def header_arguments(scene: Scene) -> Finding | None:
    if scene.token.type != "LPAR" or "LBRACE" not in scene.expected or not scene.in_header:
        return None
    name = scene.previous
    return scene.at_token("FRL0136", f'"{name}" takes no arguments in parentheses here', _into_the_body(name))


def mechanism_arguments(scene: Scene) -> Finding | None:
    """``improve drift(2) { ... }``: up to the brace it reads as a weight, ``improve linear(1 -> 0, over = 9) * drift``."""
    if scene.head.type != "IMPROVE" or scene.token.type != "LBRACE" or scene.previous.type != "RPAR":
        return None
    name, opening = scene.tokens[scene.start + 1], scene.start + 2
    if name.type != "NAME" or scene.tokens[opening].type != "LPAR":
        return None
    place, message = span_of(scene.tokens[opening], scene.file), f'"{name}" takes no arguments in parentheses here'
    found = Diagnostic("FRL0136", message, place, (_into_the_body(name),))
    return Finding(found, Edit(opening, scene.index - opening, ()))


def _into_the_body(name: str) -> str:
    return f"write the options into the body: {name} {{ key = value }}"


def improve_weight(scene: Scene) -> Finding | None:
    if scene.head.type != "IMPROVE" or scene.opener is not None:
        return None
    if scene.token.type == "NAME" and scene.expected >= {"STAR"}:
        message = 'missing "*" between the weight and the mechanism'
        note = Proposal(f"write improve {scene.previous} * {scene.token}", "", " *")
        return scene.behind(scene.index - 1, "FRL0137", message, note, edit=scene.insert("STAR"))
    if scene.token.type in OPERATORS | {"STRING", "LSQB", "LPAR", "TRUE", "FALSE", "NUMBER"}:
        weights = "a weight is a number, a name, a call, or an expression in parentheses: improve (1 - w) * score_matching"
        return scene.at_token("FRL0137", f"expected {wanted(scene.expected)}, found {describe(scene.token)}", weights)
    return None
