"""Specs as coloured HTML."""

from __future__ import annotations

from html import escape

from pygments.token import Comment, Keyword, Name, Number, Operator, String

from flowrl_dsl.editor.pygmented import FlowrlLexer

KINDS = {
    Comment: "comment",
    String: "string",
    Keyword: "keyword",
    Number: "number",
    Operator: "operator",
    Name.Namespace: "section",
    Name.Class: "function",
    Name.Function: "function",
    Name.Builtin: "function",
}
"""The class in the style of the page of each kind of token of the lexer; others have none."""


def colored(spec: str) -> str:
    """The text of a spec, or any other, with its tokens in spans of the class ``t-KIND``; all of it escaped."""
    parts = []
    for _, token, text in FlowrlLexer().get_tokens_unprocessed(spec):
        kind = next((kind for parent, kind in KINDS.items() if token in parent), "")
        parts.append(f'<span class="t-{kind}">{escape(text)}</span>' if kind else escape(text))
    return "".join(parts)
