"""Text to tokens: every character of a file is a token, a comment, white space, or the subject of a diagnostic.

The terminals are those of ``grammar/flowrl.lark``, and lark's basic lexer finds them.  It would stop at the first
character that fits none; ``grammar/mistakes.lark`` therefore has terminals for everything else, and the lexer puts what
the writer most likely meant in the place of such a token.  Where nothing can be guessed it leaves an :data:`ERROR`
token, which records that the surrounding statement has been complained about already.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cache

from lark import Lark
from lark.lexer import BasicLexer, LexerThread, PatternStr

from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.resources import cache_folder, folder
from flowrl_dsl.syntax.slips import SLIPS, Slip, meant, too_large
from flowrl_dsl.syntax.tokens import END, Token, placed, span_of
from flowrl_dsl.syntax.tree import Comment

MOST_ERRORS = 2000  # of one file: far more than are shown, so that the rest can be counted

_MEANT = "MEANT_"


@dataclass(frozen=True)
class Language:
    """The grammar with the terminals of known mistakes, and how its words and symbols are written."""

    lark: Lark
    lexer: BasicLexer  # gives comments and white space too
    ignored: frozenset[str]  # terminals that no rule reads
    mistakes: frozenset[str]  # terminals of mistakes.lark
    written: dict[str, str]  # terminal -> written form, of reserved words and symbols
    keywords: dict[str, str]  # written form -> terminal, of reserved words


def _table_file() -> str | bool:
    """Where lark keeps the tables it made of the grammar: making them takes longer than checking a spec.

    Lark compares a hash of the grammar before it uses them, and goes on without them where they are not to be had.
    """
    home = cache_folder()
    if home is None:
        return False
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return str(home / "grammar.lalr")


@cache
def language() -> Language:
    """The language of ``grammar/flowrl.lark`` and the mistakes of ``grammar/mistakes.lark``, read once a process."""
    text = "\n".join((folder("grammar") / name).read_text(encoding="utf-8") for name in ("flowrl.lark", "mistakes.lark"))
    options = {"parser": "lalr", "lexer": "basic", "keep_all_tokens": True, "maybe_placeholders": False}
    lark = Lark(text, start=["file", "expression", "mistake"], cache=_table_file(), **options)
    everything = copy(lark.lexer_conf)
    everything.ignore = ()
    mistakes = frozenset(s.name for rule in lark.rules if rule.origin.name == "mistake" for s in rule.expansion)
    spelt = [t for t in lark.terminals if isinstance(t.pattern, PatternStr) and t.name not in mistakes]
    written = {t.name: t.pattern.value for t in spelt}
    return Language(
        lark=lark,
        lexer=BasicLexer(everything),
        ignored=frozenset(lark.lexer_conf.ignore),
        mistakes=mistakes,
        written=written,
        keywords={text: kind for kind, text in written.items() if text.isalpha()},
    )


class Lexer:
    """Cuts one text into tokens; ``tokens`` ends with an END token, ``comments`` and ``diagnostics`` are complete."""

    def __init__(self, text: str, file: str):
        self.file, self.language = file, language()
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []
        self.diagnostics = Diagnostics(limit=MOST_ERRORS)
        for token in LexerThread.from_text(self.language.lexer, text).lex(None):
            self._take(placed(token))
        self.tokens.append(_end_of(text))

    def _take(self, token: Token) -> None:
        kind = token.type
        if kind == "COMMENT":
            self._comment(token)
        elif kind in self.language.ignored:
            pass
        elif kind in self.language.mistakes:
            self._mend(self._slip(token), token)
        elif kind == "NUMBER" and (slip := too_large(token)) is not None:
            self._mend(slip, token)
        else:
            self.tokens.append(token)

    def _slip(self, token: Token) -> Slip:
        kind = token.type.removeprefix(_MEANT)
        return meant(token, kind, self.language.written[kind]) if kind != token.type else SLIPS[kind](token)

    def _mend(self, slip: Slip, token: Token) -> None:
        self.diagnostics.error(slip.code, slip.message, self._start(token, slip.width), slip.note)
        if slip.instead is not None:
            self.tokens.append(slip.instead)

    def _comment(self, token: Token) -> None:
        text = token.rstrip()
        trailing = bool(self.tokens) and self.tokens[-1].end_line == token.line
        self.comments.append(Comment(text, trailing, self._start(token, len(text))))

    def _start(self, token: Token, width: int) -> Span:
        """The place of the first ``width`` characters of a token, on its first line."""
        place = span_of(token, self.file)
        return Span(self.file, place.line, place.column, place.line, place.column + width)


def _end_of(text: str) -> Token:
    """The END token, at the empty place behind a text."""
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    return Token(END, "", len(text), line, column, line, column, len(text))
