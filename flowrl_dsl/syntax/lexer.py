"""Text to tokens: every character of a file is a token, a comment, white space, or the subject of a diagnostic.

The terminals come from ``grammar/flowrl.lark``.  Lark's own lexers stop at the first character they do not know; this
one reports it, and goes on with what the writer most likely meant, so that one slip of the keyboard does not hide the
other mistakes of a file.  Where nothing can be guessed it leaves an :data:`ERROR` token, which tells the parser that
the surrounding statement has been complained about already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token
from lark.lexer import PatternStr

from flowrl_dsl.diagnostics import Diagnostics, Span
from flowrl_dsl.resources import cache_folder, folder
from flowrl_dsl.syntax.tree import Comment

MOST_ERRORS = 100  # of one file

ERROR = "ERROR"
END = "$END"

# What a person types for a symbol the language spells otherwise: terminal, text.
_MEANT = {
    "\N{RIGHTWARDS ARROW}": ("ARROW", "->"),
    "\N{MINUS SIGN}": ("MINUS", "-"),
    "\N{EN DASH}": ("MINUS", "-"),
    "\N{MULTIPLICATION SIGN}": ("STAR", "*"),
    "·": ("STAR", "*"),
    "÷": ("SLASH", "/"),
    "≤": ("LESS_EQUAL", "<="),
    "≥": ("GREATER_EQUAL", ">="),
    "≠": ("DIFFERENT", "!="),
    "∞": ("INF", "inf"),
    "**": ("POWER", "^"),
    ":=": ("EQUAL", "="),
    ":": ("EQUAL", "="),
    "=>": ("ARROW", "->"),
}
_NO_MEANING = {
    ";": "statements need no semicolon: one stands on a line, or several side by side",
    "%": "write the number itself: 0.05 for five percent",
    "@": "matrix products are not part of formulas",
    "&": "there is no logical operator",
    "|": "there is no logical operator",
    "!": 'only "!=" exists',
}
_GREEK = dict(zip("αβγδεηθκλμνπρστφω", (
    "alpha", "beta", "gamma", "delta", "eps", "eta", "theta", "kappa", "lambda_", "mu", "nu", "pi", "rho", "sigma",
    "tau", "phi", "omega",
), strict=True))  # fmt: skip

_NUMBER_LIKE = re.compile(r"(?:[0-9]|\.(?=[0-9]))[\w.]*(?:(?<=[eE])[+-][\w.]*)?")
_WORD = re.compile(r"[^\W\d]\w*")
_SPACE = re.compile(r"[ \t\r]+")
_STRING_REST = re.compile(r'"(?:[^"\\\n]|\\[^\n])*\\?')
_CLOSERS_AT_END = re.compile(r"[\s)\]},{]*$")
_QUOTED_OTHERWISE = re.compile(r"'([^'\"\n\\]*)'|[“”„]([^“”\"\n\\]*)[“”]")
_CODE_AGAIN = re.compile(r"[\w\s\"'“”„#(){}\[\],=<>+\-*/^.]|$")


@dataclass(frozen=True)
class Language:
    """The grammar, and its terminals in the form the lexer asks for them."""

    lark: Lark
    keywords: dict[str, str]  # written form -> terminal
    symbols: tuple[tuple[str, str], ...]  # written form, terminal; longest first
    written: dict[str, str]  # terminal -> written form, of keywords and symbols
    number: re.Pattern[str]
    string: re.Pattern[str]


def _table_file() -> str | bool:
    """Where lark keeps the tables it made of the grammar: making them takes longer than checking a spec.

    Lark compares a hash of the grammar before it uses them, and goes on without them where they are not to be had.
    """
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return str(cache_folder() / "grammar.lalr")


@cache
def language() -> Language:
    """The language of ``grammar/flowrl.lark``, read once a process."""
    text = (folder("grammar") / "flowrl.lark").read_text(encoding="utf-8")
    options = {"parser": "lalr", "lexer": "basic", "keep_all_tokens": True, "maybe_placeholders": False}
    lark = Lark(text, start=["file", "expression"], cache=_table_file(), **options)
    written = {t.name: t.pattern.value for t in lark.terminals if isinstance(t.pattern, PatternStr)}
    symbols = [(text, name) for name, text in written.items() if not text.isalpha()]
    patterns = {t.name: re.compile(t.pattern.to_regexp()) for t in lark.terminals}
    return Language(
        lark=lark,
        keywords={text: name for name, text in written.items() if text.isalpha()},
        symbols=tuple(sorted(symbols, key=lambda s: -len(s[0]))),
        written=written,
        number=patterns["NUMBER"],
        string=patterns["STRING"],
    )


def span_of(token: Token, file: str) -> Span:
    """The place of a token in ``file``."""
    return Span(file, token.line, token.column, token.end_line, token.end_column)


def after(token: Token, file: str) -> Span:
    """The empty place just behind a token: where something is missing."""
    return Span(file, token.end_line, token.end_column, token.end_line, token.end_column)


def virtual(kind: str, near: Token, text: str = "") -> Token:
    """A token that is not in the text, at the empty place just before ``near``."""
    return Token(kind, text, near.start_pos, near.line, near.column, near.line, near.column, near.start_pos)


class Lexer:
    """Cuts one text into tokens; ``tokens`` ends with an END token, ``comments`` and ``diagnostics`` are complete."""

    def __init__(self, text: str, file: str):
        self.text, self.file = text, file
        self.language = language()
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []
        self.diagnostics = Diagnostics(limit=MOST_ERRORS)
        self.position, self.line, self.line_start = 0, 1, 0
        while self.position < len(text):
            self._next()
        self._emit(END, "", 0)

    def _next(self) -> None:
        char = self.text[self.position]
        if char == "\n":
            self.position += 1
            self.line, self.line_start = self.line + 1, self.position
        elif (space := _SPACE.match(self.text, self.position)) is not None:
            self.position = space.end()
        elif char == "#":
            self._comment()
        elif char == '"':
            self._string()
        elif (number := _NUMBER_LIKE.match(self.text, self.position)) is not None:
            self._number(number[0])
        elif (word := _WORD.match(self.text, self.position)) is not None:
            self._word(word[0])
        else:
            self._symbol()

    def _span(self, length: int) -> Span:
        column = self.position - self.line_start + 1
        return Span(self.file, self.line, column, self.line, column + length)

    def _emit(self, kind: str, value: str, length: int) -> None:
        """Append a token of ``length`` characters from here, and step behind it."""
        column, end = self.position - self.line_start + 1, self.position + length
        self.tokens.append(Token(kind, value, self.position, self.line, column, self.line, column + length, end))
        self.position = end

    def _rest_of_line(self) -> str:
        end = self.text.find("\n", self.position)
        return self.text[self.position : end if end >= 0 else len(self.text)].rstrip("\r")

    def _comment(self) -> None:
        text = self._rest_of_line()
        trailing = bool(self.tokens) and self.tokens[-1].end_line == self.line
        self.comments.append(Comment(text.rstrip(), trailing, self._span(len(text.rstrip()))))
        self.position += len(text)

    def _number(self, text: str) -> None:
        reason, note = self._number_fault(text)
        if reason:
            message = f'"{_short(text)}" is not a number: {reason}'
            self.diagnostics.error("FRL0124", message, self._span(len(text)), note)
        # A wrong number goes on as 0: it stands where a number belongs, and nothing else is wrong with the statement.
        self._emit("NUMBER", "0" if reason else text, len(text))

    def _number_fault(self, text: str) -> tuple[str, str]:
        if self.language.number.fullmatch(text):
            digits = text.replace("_", "")
            return ("it is too large", "write inf where no limit is meant") if _too_large(digits) else ("", "")
        if text.count(".") > 1:
            return "it has more than one decimal point", ""
        if text.startswith("."):
            return "a digit stands before the decimal point", f"write 0{text}"
        if text.endswith("."):
            return "a digit stands behind the decimal point", f"write {text}0"
        if re.fullmatch(r"[\d._]+[eE][+-]?", text):
            return "the exponent is missing", "write 3e-4 for three ten-thousandths"
        if re.fullmatch(r"[\d._eE+-]+", text):
            return "digits are misplaced", "numbers are written 200_000, 0.5 or 3e-4"
        return "letters follow the digits", "names start with a letter; a product needs an operator: 2 * x"

    def _word(self, text: str) -> None:
        kind = self.language.keywords.get(text, "NAME")
        if not text.isascii():
            plain = "".join(_GREEK.get(char, char) for char in text)
            note = f"write {plain}" if plain.isascii() else "names are written with the letters a to z, digits and _"
            self.diagnostics.error("FRL0120", f'unexpected letter in the name "{text}"', self._span(len(text)), note)
        self._emit(kind, text, len(text))

    def _symbol(self) -> None:
        meant = next((s for s in _MEANT if self.text.startswith(s, self.position)), None)
        if meant is not None:
            kind, text = _MEANT[meant]
            self._unexpected(len(meant), f'write "{text}"')
            self._emit(kind, text, len(meant))
        elif self.text.startswith("//", self.position):
            self._unexpected(2, 'a comment starts with "#"')
            self.position += len(self._rest_of_line())
        elif (quoted := _QUOTED_OTHERWISE.match(self.text, self.position)) is not None:
            self._other_quotes(quoted)
        else:
            self._plain_symbol()

    def _plain_symbol(self) -> None:
        for text, kind in self.language.symbols:
            if self.text.startswith(text, self.position):
                return self._emit(kind, text, len(text))
        end = _CODE_AGAIN.search(self.text, self.position + 1).start()
        end = min(end, self.position + len(self._rest_of_line()))
        length = max(end - self.position, 1)
        self._unexpected(length, _NO_MEANING.get(self.text[self.position], ""))
        self._emit(ERROR, "", length)

    def _unexpected(self, length: int, note: str) -> None:
        found = _printable(self.text[self.position : self.position + length])
        what = "character" if length == 1 else "characters"
        self.diagnostics.error("FRL0120", f"unexpected {what} {found}", self._span(length), note)

    def _other_quotes(self, quoted: re.Match[str]) -> None:
        inner, length = quoted[1] if quoted[1] is not None else quoted[2], len(quoted[0])
        message = "strings are written between straight double quotes"
        self.diagnostics.error("FRL0122", message, self._span(length), f'write "{inner}"')
        self._emit("STRING", f'"{inner}"', length)

    def _string(self) -> None:
        found = self.language.string.match(self.text, self.position)
        if found is not None:
            return self._emit("STRING", found[0], len(found[0]))
        text = _STRING_REST.match(self.text, self.position)[0].rstrip()
        # The brackets that end the line were most likely meant to close what is open, not to be quoted.
        text = text[: max(_CLOSERS_AT_END.search(text).start(), 1)]
        note = "a string ends on the line it starts on, with a double quote"
        self.diagnostics.error("FRL0121", "this string is never closed", self._span(len(text)), note)
        self._emit("STRING", '""', len(text))


def _too_large(digits: str) -> bool:
    """Whether a well-formed number overflows: a float to infinity, or an integer that no float holds."""
    return len(digits) > 400 or float(digits) == float("inf")


def _printable(text: str) -> str:
    text = _short(text)
    return f'"{text}"' if text.isprintable() else ascii(text).replace("'", '"')


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
