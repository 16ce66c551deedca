"""Every diagnostic code: what it means, what brings it about, and how to be rid of it.

The rooms write the diagnostics; this table explains them (``flowrl-dsl explain FRL0110``) and is what the reference
documentation is made from.  FRL01xx is syntax, FRL02xx meaning, FRL03xx advice, FRL04xx runs, data sets and editors, FRL05xx
suites.
"""

from __future__ import annotations

from textwrap import indent

from flowrl_dsl.codes import data, editor, lint, pictures, run, spec, suites, syntax, take
from flowrl_dsl.codes.base import Code

_TABLES = (
    syntax.CODES,
    spec.CODES,
    lint.CODES,
    run.CODES,
    data.CODES,
    editor.CODES,
    take.CODES,
    pictures.CODES,
    suites.CODES,
)

CODES: dict[str, Code] = {code.code: code for table in _TABLES for code in table}


def explain(code: str) -> str | None:
    """One code as text for the terminal, or None when there is no such code."""
    found = CODES.get(code.upper())
    if found is None:
        return None
    example = indent(found.example.strip("\n"), "    ")
    return f"{found.code}: {found.title}\n\n{found.explanation}\n\nFor example:\n\n{example}\n\nCure: {found.cure}"


__all__ = ["CODES", "Code", "explain"]
