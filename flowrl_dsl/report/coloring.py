"""Specs as coloured HTML."""

from __future__ import annotations

import re
from html import escape

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"[^"\n]*")
      | (?P<keyword>\b(?:algorithm|extends|for|task|data|param|let|def|improve|from|in|phase|begin)\b)
      | (?P<number>(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)
      | (?P<function>\b[A-Za-z_]\w*(?=\())
      | (?P<name>\b[A-Za-z_]\w*(?=\s*=))
      | (?P<section>\b[a-z_]\w*(?=\s*\{))
      | (?P<operator>->|[-+*/<>=])""",
    re.VERBOSE,
)


def colored(spec: str) -> str:
    """The text of a spec, or any other, with its tokens in spans of the class ``t-KIND``; all of it escaped."""
    parts, at = [], 0
    for token in _TOKEN.finditer(spec):
        parts.append(escape(spec[at : token.start()]))
        parts.append(f'<span class="t-{token.lastgroup}">{escape(token[0])}</span>')
        at = token.end()
    return "".join([*parts, escape(spec[at:])])
