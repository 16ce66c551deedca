"""Lexical mistakes: for each terminal of ``grammar/mistakes.lark`` the diagnostic, and the token read in its place.

The terminals find a mistake; the functions here get its token, and nothing but the token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from flowrl_dsl.diagnostics import Proposal
from flowrl_dsl.syntax.tokens import ERROR, Token


@dataclass(frozen=True, slots=True)
class Slip:
    """What is reported of the first ``width`` characters of a token, and the token that the parser reads instead."""

    code: str
    message: str
    note: str
    width: int
    instead: Token | None


_MISPLACED = "digits are misplaced", "numbers are written 200_000, 0.5 or 3e-4"
_LETTERS = "letters follow the digits", "names start with a letter; a product needs an operator: 2 * x"
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


def too_large(number: Token) -> Slip | None:
    """A well-formed number that overflows: a float to infinity, or an integer that no float holds."""
    digits = number.replace("_", "")
    if len(digits) <= 400 and float(digits) != float("inf"):
        return None
    return _not_a_number(number, "it is too large", "write inf where no limit is meant")


def _bad_number(token: Token) -> Slip:
    if token.count(".") > 1:
        return _not_a_number(token, "it has more than one decimal point", "")
    if token.startswith("."):
        return _not_a_number(token, "a digit stands before the decimal point", _write(token, f"0{token}"))
    if token.endswith("."):
        return _not_a_number(token, "a digit stands behind the decimal point", _write(token, f"{token}0"))
    if re.fullmatch(r"[\d._]+[eE][+-]?", token):
        return _not_a_number(token, "the exponent is missing", "write 3e-4 for three ten-thousandths")
    return _not_a_number(token, *(_MISPLACED if re.fullmatch(r"[\d._eE+-]+", token) else _LETTERS))


def _not_a_number(token: Token, reason: str, note: str) -> Slip:
    """A wrong number goes on as 0: it stands where a number belongs, and nothing else is wrong with the statement."""
    message = f'"{_short(token)}" is not a number: {reason}'
    return Slip("FRL0124", message, note, len(token), token.replaced("NUMBER", "0"))


def _bad_string(token: Token) -> Slip:
    note = "a string ends on the line it starts on, with a double quote"
    empty = token.replaced("STRING", '""')
    return Slip("FRL0121", "this string is never closed", note, len(token), empty)


def _other_quotes(token: Token) -> Slip:
    quoted = f'"{token[1:-1]}"'
    message = "strings are written between straight double quotes"
    return Slip("FRL0122", message, _write(token, quoted), len(token), token.replaced("STRING", quoted))


def _foreign_name(token: Token) -> Slip:
    plain = "".join(_GREEK.get(char, char) for char in token)
    note = _write(token, plain) if plain.isascii() else "names are written with the letters a to z, digits and _"
    message = f'unexpected letter in the name "{token}"'
    return Slip("FRL0120", message, note, len(token), token.replaced("NAME", str(token)))


def _slashes(token: Token) -> Slip:
    note = Proposal('a comment starts with "#"', "//", "#")
    return Slip("FRL0120", _unexpected("//"), note, len("//"), None)


def _strange(token: Token) -> Slip:
    note = _NO_MEANING.get(token[0], "")
    note = Proposal(note, token, "") if token == ";" else note
    return Slip("FRL0120", _unexpected(token), note, len(token), token.replaced(ERROR, ""))


SLIPS: dict[str, Callable[[Token], Slip]] = {
    "BAD_NUMBER": _bad_number,
    "BAD_STRING": _bad_string,
    "OTHER_QUOTES": _other_quotes,
    "FOREIGN_NAME": _foreign_name,
    "SLASHES": _slashes,
    "STRANGE": _strange,
}
"""What becomes of the token of a mistake, by the name of its terminal; see :func:`meant` for the MEANT_ ones."""


def meant(token: Token, kind: str, written: str) -> Slip:
    """Another spelling of the terminal ``kind``, which the language writes ``written``."""
    instead = token.replaced(kind, written)
    note = Proposal(f'write "{written}"', token, written)
    return Slip("FRL0120", _unexpected(token), note, len(token), instead)


def _write(token: Token, instead: str) -> Proposal:
    return Proposal(f"write {instead}", token, instead)


def _unexpected(text: str) -> str:
    what = "character" if len(text) == 1 else "characters"
    shown = _short(text)
    return f"unexpected {what} " + (f'"{shown}"' if shown.isprintable() else ascii(shown).replace("'", '"'))


def _short(text: str) -> str:
    return str(text) if len(text) <= 24 else f"{text[:20]}..."
