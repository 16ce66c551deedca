"""A lexer for Pygments, by which documents and code hosts colour specs; it reads what the compiler's lexer reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pygments.lexer import Lexer
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Whitespace, _TokenType

from flowrl_dsl.editor.document import Document
from flowrl_dsl.editor.meaning import meanings
from flowrl_dsl.editor.names import Names

TOKENS: dict[str, _TokenType] = {
    "keyword": Keyword,
    "comment": Comment.Single,
    "string": String,
    "number": Number,
    "operator": Operator,
    "algorithm": Name.Class,
    "section": Name.Namespace,
    "phase": Name.Namespace,
    "part": Name.Namespace,
    "source": Name.Namespace,
    "mechanism": Name.Class,
    "component": Name.Class,
    "setting": Name.Attribute,
    "option": Name.Attribute,
    "argument": Name.Attribute,
    "param": Name.Variable,
    "let": Name.Variable,
    "value": Name.Variable,
    "size": Name.Variable,
    "def": Name.Function,
    "function": Name.Builtin,
    "axis": Name.Constant,
    "choice": Name.Constant,
    "word": Keyword.Pseudo,
    "unknown": Name,
}
"""The token of Pygments by the kind of meaning."""
_PIECES = re.compile(r"\s+|\S+")
_PUNCTUATION = frozenset("(){}[],")
_CONSTANTS = ("true", "false", "inf")


class FlowrlLexer(Lexer):
    """Specs of flowrl-dsl, whole or a few statements of one."""

    name = "flowrl"
    aliases = ("flowrl",)
    filenames = ("*.flowrl",)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """The stretches of a text in its order, each with its offset and its token; together they are the text."""
        last = 0
        for start, end, kind in sorted(_stretches(Document("text", text)), key=lambda one: one[:2]):
            yield from _gap(text, last, start)
            yield start, kind, text[start:end]
            last = end
        yield from _gap(text, last, len(text))


def _stretches(document: Document) -> Iterator[tuple[int, int, _TokenType]]:
    starts = [0]
    for line in document.lines:
        starts.append(starts[-1] + len(line) + 1)
    for comment in document.comments:
        start = starts[comment.span.line - 1] + comment.span.column - 1
        yield start, start + len(comment.text), TOKENS["comment"]
    for entry, what in meanings(document, Names([document])):
        yield entry.token.start_pos, entry.token.end_pos, _token(str(entry.token), what.kind)


def _token(text: str, kind: str) -> _TokenType:
    if text in _PUNCTUATION:
        return Punctuation
    return Keyword.Constant if text in _CONSTANTS else TOKENS[kind]


def _gap(text: str, start: int, end: int) -> Iterator[tuple[int, _TokenType, str]]:
    """What no token is: white space, and characters that are not of the language."""
    for found in _PIECES.finditer(text, start, end):
        yield found.start(), Whitespace if found[0].isspace() else Error, found[0]
