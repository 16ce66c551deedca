"""Text to tree.  Never raises for any input; all mistakes of a file are reported at once.

The way of a text: :mod:`lexer` cuts it into tokens, :mod:`brackets` pairs the brackets, the grammar reads the tokens;
only where it does not fit, :mod:`recovery` finds out why (:mod:`mistakes` says it) and how to go on; :mod:`builder`
makes our tree of what was read, and :mod:`damage` finds the part of it that is certain after a mistake.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

from lark import Tree, UnexpectedToken

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, in_order
from flowrl_dsl.syntax.brackets import balance
from flowrl_dsl.syntax.builder import DEEPEST, TreeBuilder, too_deep
from flowrl_dsl.syntax.damage import certain
from flowrl_dsl.syntax.lexer import Lexer, language
from flowrl_dsl.syntax.mistakes.scene import names_section
from flowrl_dsl.syntax.recovery import Recovery
from flowrl_dsl.syntax.sources import read_source
from flowrl_dsl.syntax.tokens import ERROR, Token, span_of
from flowrl_dsl.syntax.tree import Expr, File


def parse_file(path: str | Path) -> tuple[File | None, list[Diagnostic]]:
    """The tree of a file; None where there are errors."""
    text, diagnostics = read_source(path)
    return (None, diagnostics) if text is None else parse(text, str(path))


def parse(text: str, file: str) -> tuple[File | None, list[Diagnostic]]:
    """The tree of a whole file's text; None where there are errors.  ``file`` is the name that places give."""
    tree, diagnostics = parse_certain(text, file)
    return (None if any(d.severity == "error" for d in diagnostics) else tree), diagnostics


def parse_certain(text: str, file: str) -> tuple[File | None, list[Diagnostic]]:
    """The tree of a text; with errors that of its certain part (:mod:`damage`), or None where nothing is certain."""
    lexer = Lexer(text, file)
    if len(lexer.tokens) == 1 and not lexer.diagnostics.found:
        what = "holds only comments" if lexer.comments else "is empty"
        lexer.diagnostics.error("FRL0105", f"the file {what}", Span(file, 1, 1, 1, 1), "write algorithm name { ... }")
        return None, lexer.diagnostics.found
    tree, diagnostics = _read(lexer, "file")
    return (None if tree is None else replace(tree, comments=tuple(lexer.comments))), diagnostics


def parse_expression(text: str, file: str) -> tuple[Expr | None, list[Diagnostic]]:
    """The tree of one expression, such as the value of ``--set key=value``; None where there are errors."""
    expression, diagnostics = _read(Lexer(text, file), "expression")
    return (None if diagnostics else expression), diagnostics


@overload
def _read(lexer: Lexer, start: Literal["file"]) -> tuple[File | None, list[Diagnostic]]: ...
@overload
def _read(lexer: Lexer, start: Literal["expression"]) -> tuple[Expr | None, list[Diagnostic]]: ...
def _read(lexer: Lexer, start: str) -> tuple[File | Expr | None, list[Diagnostic]]:
    """Tokens to tree, of a file the certain part of it; without a tree there is at least one error."""
    diagnostics, file = lexer.diagnostics, lexer.file
    mended = {(d.span.line, d.span.column) for d in diagnostics if d.span is not None}
    written = [token for token in lexer.tokens if token.type == ERROR or (token.line, token.column) not in mended]
    if (deep := _deep_bracket(lexer.tokens)) is not None:
        return None, [*diagnostics, _nested_too_deep(deep, file)]
    tokens = balance(lexer.tokens, file, diagnostics)
    grown = None if any(token.type == ERROR for token in tokens) else _grow(tokens, start)
    if grown is None:
        recovery = Recovery(tokens, start, file, diagnostics)
        kept = recovery.run()
        grown = _grow(kept, start) if recovery.complete else None
    result = None
    if grown is not None:
        if (deep := too_deep(grown)) is not None:
            return None, [*diagnostics, _nested_too_deep(deep, file)]
        result = TreeBuilder(file, diagnostics).transform(grown)
    elif not diagnostics.errors:  # no rule saw a mistake, yet the grammar does not fit: never be silent about it
        diagnostics.error("FRL0139", "the grammar does not fit this text", span_of(tokens[0], file))
    if diagnostics.errors and grown is not None and isinstance(result, File):
        result = _certain_file(result, grown, written, diagnostics)
    return result, in_order(diagnostics)


def _certain_file(file: File, grown: Tree, written: list[Token], diagnostics: Diagnostics) -> File | None:
    """The certain part of a file with errors; None of one that holds definitions alone."""
    if file.whole is None:
        return None
    whole = certain(file.whole, grown.children[0], written, diagnostics)
    return None if whole is None else replace(file, whole=whole)


def _grow(tokens: list[Token], start: str) -> Tree | None:
    """Lark's tree of the tokens, or None when the grammar does not accept them."""
    parser = language().lark.parse_interactive(start=start)
    try:
        for token in tokens[:-1]:
            parser.feed_token(token)
        grown = parser.feed_token(tokens[-1])
    except UnexpectedToken:
        return None
    return None if any(map(_misread, grown.find_data("section"))) else grown


def _misread(section: Tree) -> bool:
    """Whether a section's name is in truth the next statement's first word, or its first word a misspelt one."""
    first, second = section.children[:2]
    if not (isinstance(first, Token) and isinstance(second, Token)):
        return False
    return second.type == "NAME" and not names_section(first, second)


def _deep_bracket(tokens: list[Token]) -> Token | None:
    depth = 0
    for token in tokens:
        depth += (token.type in ("LPAR", "LSQB", "LBRACE")) - (token.type in ("RPAR", "RSQB", "RBRACE"))
        if depth > DEEPEST:
            return token
    return None


def _nested_too_deep(token: Token, file: str) -> Diagnostic:
    note = "name a part of it with let, and use the name"
    return Diagnostic("FRL0131", f"nested more than {DEEPEST} levels deep", span_of(token, file), (note,))
