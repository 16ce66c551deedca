"""Mistakes inside expressions, separators between their parts, and whatever no other rule has named."""

from __future__ import annotations

from flowrl_dsl.diagnostics import Proposal, cure_of
from flowrl_dsl.syntax.brackets import COMPARISONS
from flowrl_dsl.syntax.mistakes.scene import VALUES, Finding, Scene, describe, wanted


def chained(scene: Scene) -> Finding | None:
    if scene.token.type not in COMPARISONS | {"FROM"} or scene.token.type in scene.expected or scene.wants_value:
        return None
    if "ARROW" not in scene.expected:
        return None
    if scene.token.type == "FROM":
        return scene.at_token(
            "FRL0130", 'a value is drawn from one place: a second "from" does not fit', "leave one of them out"
        )
    note = "two values are compared at a time; parentheses say which"
    return scene.at_token("FRL0130", "comparisons cannot be chained", note)


def equal_in_expression(scene: Scene) -> Finding | None:
    if scene.token.type != "EQUAL" or "PLUS" not in scene.expected:
        return None
    note = "an argument is named by one word: f(name = value)" if scene.opener else ""
    return scene.at_token("FRL0135", '"=" cannot stand inside an expression', '"==" compares', note)


def not_callable(scene: Scene) -> Finding | None:
    if scene.token.type != "LPAR" or scene.kind_back(1) not in ("NUMBER", "RPAR", "RSQB", "STRING", "TRUE", "FALSE"):
        return None
    note = "a product needs an operator: 2 * (x + y)"
    return scene.at_token("FRL0138", "only a name can be called with arguments", note)


def missing_equal(scene: Scene) -> Finding | None:
    if "EQUAL" not in scene.expected:
        return None
    previous, token = scene.previous, scene.token
    if scene.opener is not None and (token.type in ("NAME", "INF") or not scene.would_help("EQUAL")):
        return None  # two names: a comma is missing
    if scene.opener is None and not scene.would_help("EQUAL"):
        return _lonely_name(scene)
    message = f'missing "=" after "{previous}"'
    simple = token.type in ("NAME", "NUMBER", "STRING", "TRUE", "FALSE")
    note = Proposal(f"write {previous} = {token}", "", " =") if simple else ""
    return scene.behind(scene.index - 1, "FRL0111", message, note, edit=scene.insert("EQUAL"))


def _lonely_name(scene: Scene) -> Finding | None:
    if scene.index == scene.start + 1 and scene.head.type == "NAME":
        message = f'expected "=" or "{{" after "{scene.head}", found {describe(scene.token)}'
        return scene.behind(scene.start, "FRL0111", message)
    if scene.head.type in ("PARAM", "LET"):
        message = f'missing "=" and a value after "{scene.previous}"'
        return scene.behind(scene.index - 1, "FRL0111", message, f"write {scene.head} {scene.previous} = ...")
    return None


def missing_comma(scene: Scene) -> Finding | None:
    if "COMMA" not in scene.expected or not scene.would_help("COMMA"):
        return None
    if scene.opener is None and scene.head.type != "FOR":
        return None
    note: str = Proposal(cure_of("FRL0110")[0], "", ",")
    if "EQUAL" in scene.expected and scene.following.type != "EQUAL":
        note = f'if "{scene.previous}" names an argument, write {scene.previous} = {scene.token}'
    message = f'missing "," before {describe(scene.token)}'
    return scene.behind(scene.index - 1, "FRL0110", message, note, edit=scene.insert("COMMA"))


def unexpected(scene: Scene) -> Finding:
    note = ""
    if scene.kind_back(1) == "NAME" and scene.token.type in VALUES and scene.index > scene.start + 1:
        note = f"arguments stand in parentheses: {scene.previous}({scene.token})"
    return scene.at_token("FRL0139", f"expected {wanted(scene.expected)}, found {describe(scene.token)}", note)
