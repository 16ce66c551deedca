"""Arithmetic of number literals."""

from __future__ import annotations

import math

from flowrl_dsl.syntax import tree

Number = int | float

LARGEST = 2**31 - 1
"""Whole numbers of a compiled program, lengths of axes among them, have 32 bits."""


class NotANumber(Exception):
    """The arithmetic has no finite result; the message contains the reason."""


def fold(expr: tree.Expr) -> Number | None:
    """The value of an expression of literals only; None if it contains anything else.

    Raises :class:`NotANumber` for ``1 / 0`` and for results too large to hold.
    """
    match expr:
        case tree.Number(value):
            return _finite(value)
        case tree.Unary(operand):
            number = fold(operand)
            return None if number is None else -number
        case tree.Binary(operator, left, right):
            one, two = fold(left), fold(right)
            return None if one is None or two is None else _combine(operator, one, two)
    return None


def whole(value: Number) -> Number:
    """An integer for a float without fraction, so that 1e6 is a count."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def count(expr: tree.Expr) -> int | None:
    """The count that an expression without variables stands for, from 1 to :data:`LARGEST`; None for anything else."""
    try:
        value = fold(expr)
    except NotANumber:
        return None
    number = None if value is None else whole(value)
    return number if isinstance(number, int) and 1 <= number <= LARGEST else None


def _combine(operator: str, one: Number, two: Number) -> Number | None:
    try:
        match operator:
            case "+":
                return _finite(one + two)
            case "-":
                return _finite(one - two)
            case "*":
                return _finite(one * two)
            case "/":
                return _finite(one / two)
            case "^":
                return _power(float(one), float(two))
    except ZeroDivisionError:
        raise NotANumber("it divides by zero") from None
    except OverflowError:
        raise NotANumber("the result is too large") from None
    return None


def _power(base: float, exponent: float) -> Number:
    result = base**exponent
    if isinstance(result, complex):
        raise NotANumber("a negative number has no real power with a fraction")
    return whole(_finite(result))


def _finite(value: Number) -> Number:
    """The value itself, when a float can hold it; whole numbers beyond that are not settings of anything."""
    try:
        if math.isfinite(float(value)):
            return value
    except OverflowError:
        pass
    raise NotANumber("the result is too large")
