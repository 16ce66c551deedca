"""The standard library: definitions written in the language itself, visible in every formula."""

from __future__ import annotations

from functools import cache

from flowrl_dsl.resources import folder
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse

LIBRARY = "stdlib.flowrl"


@cache
def definitions() -> dict[str, tree.Define]:
    """The definitions by name.  Raises ``ValueError`` when the shipped file is damaged."""
    text = (folder("grammar") / LIBRARY).read_text(encoding="utf-8")
    file, found = parse(text, LIBRARY)
    if file is None or found:
        raise ValueError(f"the standard library does not parse: {'; '.join(d.message for d in found)}")
    return {define.name.id: define for define in file.definitions}
