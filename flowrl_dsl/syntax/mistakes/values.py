"""Values that are missing."""

from __future__ import annotations

from flowrl_dsl.syntax.brackets import NEEDS_VALUE, OPERATORS, STARTERS, first_on_line
from flowrl_dsl.syntax.lexer import language
from flowrl_dsl.syntax.mistakes.scene import Finding, Scene, describe
from flowrl_dsl.syntax.tokens import END

_ENDS_VALUE = OPERATORS - {"MINUS"} | {"COMMA", "RPAR", "RSQB", "RBRACE", "EQUAL", "IN", END}


def missing_value(scene: Scene) -> Finding | None:
    """``x =``, ``f(a, , b)``, ``1 +``: the token ends a value that has not begun."""
    token = scene.token
    starts = token.type in STARTERS and (first_on_line(scene.tokens, scene.index) or scene.following.type == "NAME")
    if not scene.wants_value or not (token.type in _ENDS_VALUE or starts):
        return None
    if scene.following.type == "EQUAL" and token.type in language().keywords.values() and not starts:
        return None  # f(from = 3): a reserved word as a name
    edit = scene.insert("NUMBER") if token.type != "EQUAL" else None
    message = _missing_value_at(scene, scene.index) if not scene.at_start else "missing value"
    return scene.behind(scene.index - 1, "FRL0112", message, f"found {describe(token)}", edit=edit)


def _missing_value_at(scene: Scene, index: int) -> str:
    before, name = scene.tokens[index - 1], scene.tokens[max(index - 2, 0)]
    if before.type == "EQUAL" and name.type == "NAME":
        return f'missing value for "{name}"'
    return f'missing value after "{before}"'


def swallowed_value(scene: Scene) -> Finding | None:
    """``x =`` and a statement on the next line, whose name was read as the value of x."""
    name = scene.index - 1
    if scene.token.type not in ("EQUAL", "LBRACE") or scene.kind_back(1) != "NAME" or scene.opener is not None:
        return None
    if scene.kind_back(2) not in NEEDS_VALUE or not first_on_line(scene.tokens, name):
        return None
    message = _missing_value_at(scene, name)
    note = f'found the next statement, "{scene.tokens[name]}"'
    placeholder = "NAME" if scene.kind_back(2) == "FROM" else "NUMBER"
    return scene.behind(name - 1, "FRL0112", message, note, edit=scene.insert(placeholder, name))
