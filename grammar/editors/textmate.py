"""Write the TextMate grammar of the VS Code extension: ``python grammar/editors/textmate.py``.

Its words come from the grammar and from the registry of components; a test fails while the file is out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from flowrl_dsl.axes import AXES
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import Component, members_of, sections
from flowrl_dsl.spec.stdlib import definitions
from flowrl_dsl.spec.typecheck import GRADIENT
from flowrl_dsl.syntax.lexer import language

C = TypeVar("C", bound=type[Component])
FILE = Path(__file__).parent / "vscode" / "syntaxes" / "flowrl.tmLanguage.json"
CONSTANTS = ("false", "inf", "true")
RANGE = "punctuation.definition.range"
"""The scope of the brackets of a range; package.json excludes it from pairs of brackets."""
NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def words() -> dict[str, list[str]]:
    """The words that are coloured, by group, each in alphabetical order."""
    own = _shipped(sections())
    networks = (function.name for cls in own.values() for function in cls.functions)
    calls = {*PRIMITIVES, *networks, *definitions(), GRADIENT}
    return {
        "keywords": sorted({*language().keywords} - {*CONSTANTS}),
        "constants": sorted(CONSTANTS),
        "sections": sorted({"phase", *own}),
        "mechanisms": sorted(_shipped(members_of("mechanism"))),
        "functions": sorted(calls),
        "axes": sorted(AXES),
    }


def _shipped(members: dict[str, C]) -> dict[str, C]:
    """Without those of plugins that this environment has."""
    return {name: cls for name, cls in members.items() if cls.__module__.startswith("flowrl_dsl.")}


def textmate() -> str:
    """The grammar as JSON; of two patterns that fit at a place the first is taken."""
    known = {group: _any(names) for group, names in words().items()}
    patterns = [
        {"name": "comment.line.number-sign.flowrl", "match": "#.*$"},
        _string(),
        {"name": "constant.numeric.flowrl", "match": rf"\b{_number()}"},
        _named("entity.name.type.flowrl", rf"\b(improve)\b(?:.*?\*)?\s*\b({known['mechanisms']})\b", "keyword.other.flowrl"),
        _named("entity.name.function.flowrl", rf"\b(def)\s+({NAME})", "keyword.other.flowrl"),
        _named("variable.other.constant.flowrl", rf"\b(let|param)\s+({NAME})", "keyword.other.flowrl"),
        _range(),
        {"name": "constant.language.flowrl", "match": rf"\b({known['constants']})\b"},
        {"name": "keyword.other.flowrl", "match": rf"\b({known['keywords']})\b"},
        {"name": "entity.name.section.flowrl", "match": rf"\b({known['sections']})\b(?=\s*(?:{NAME}\s*)?\{{)"},
        {"name": "variable.other.property.flowrl", "match": rf"\b{NAME}\b(?=\s*=(?!=))"},
        {"name": "support.function.flowrl", "match": rf"\b({known['functions']})\b(?=\s*\()"},
        {"name": "entity.name.type.flowrl", "match": rf"\b{NAME}\b(?=\s*\()"},
        {"name": "support.constant.flowrl", "match": rf"\b({known['axes']})\b"},
        {"name": "keyword.operator.flowrl", "match": "|".join(map(re.escape, _operators()))},
    ]
    grammar = {"name": "flowrl", "scopeName": "source.flowrl", "fileTypes": ["flowrl"], "patterns": patterns}
    return json.dumps(grammar, indent=2) + "\n"


def _any(names: Iterable[str]) -> str:
    return "|".join(names)


def _string() -> dict[str, Any]:
    escape = {"name": "constant.character.escape.flowrl", "match": r'\\["\\nrt]'}
    return {"name": "string.quoted.double.flowrl", "begin": '"', "end": '"|$', "patterns": [escape]}


def _named(scope: str, match: str, keyword: str) -> dict[str, Any]:
    """A keyword and the name behind it."""
    return {"match": match, "captures": {"1": {"name": keyword}, "2": {"name": scope}}}


def _range() -> dict[str, Any]:
    """``in (0, 10]``: brackets that need not match, which an editor must not pair with others."""
    bracket = {"name": f"{RANGE}.flowrl"}
    return {
        "begin": r"\b(in)\s*([(\[])",
        "beginCaptures": {"1": {"name": "keyword.other.flowrl"}, "2": bracket},
        "end": r"[)\]]|$",
        "endCaptures": {"0": bracket},
        "patterns": [{"include": "$self"}],
    }


def _number() -> str:
    """The terminal of the grammar."""
    return next(terminal.pattern.value for terminal in language().lark.terminals if terminal.name == "NUMBER")


def _operators() -> list[str]:
    """The symbols of the grammar that are no brackets, the longer ones first."""
    symbols = [text for text in language().written.values() if not text.isalpha() and text not in "(){}[],"]
    return sorted(symbols, key=lambda text: (-len(text), text))


if __name__ == "__main__":
    FILE.write_text(textmate(), encoding="utf-8")
    print(FILE)
