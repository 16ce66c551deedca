"""Expressions on one line, with the parentheses that they need and no others."""

from __future__ import annotations

from flowrl_dsl.syntax import tree

# How tightly an expression holds together; an operand that holds less tightly than its place asks for is put in
# parentheses.
ARROW, FROM, COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = range(8)
_OPERATORS = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "^": POWER}


def tightness(node: tree.Expr) -> int:
    match node:
        case tree.Arrow():
            return ARROW
        case tree.From():
            return FROM
        case tree.Binary(operator=operator):
            return _OPERATORS.get(operator, COMPARISON)
        case tree.Unary():
            return UNARY
        case _:
            return ATOM


def operand_places(operator: str) -> tuple[int, int]:
    """The tightness that the left and the right operand need to stand without parentheses."""
    own = _OPERATORS.get(operator, COMPARISON)
    if own == POWER:
        return ATOM, UNARY
    if own == COMPARISON:
        return SUM, SUM
    return own, own + 1


def flat(node: tree.Expr, place: int = ARROW) -> str:
    text = _bare(node)
    return f"({text})" if tightness(node) < place else text


def _bare(node: tree.Expr) -> str:
    match node:
        case tree.Number():
            return _number(node)
        case tree.String(value=value):
            return quoted(value)
        case tree.Boolean(value=value):
            return "true" if value else "false"
        case tree.Name(id=name):
            return name
        case tree.List(items=items):
            return f"[{', '.join(map(flat, items))}]"
        case tree.Call(function=function, arguments=arguments):
            return f"{function.id}({', '.join(label(a) + flat(a.value) for a in arguments)})"
        case tree.Unary(operand=operand):
            return f"-{flat(operand, UNARY)}"
        case tree.Arrow(items=items):
            return " -> ".join(flat(item, FROM) for item in items)
        case tree.From(value=value, source=source):
            return f"{flat(value, COMPARISON)} from {source.id}"
        case tree.Binary(operator=operator, left=left, right=right):
            a, b = operand_places(operator)
            gap = "" if operator == "^" else " "
            return f"{flat(left, a)}{gap}{operator}{gap}{flat(right, b)}"
    raise TypeError(f"not an expression: {node!r}")


def label(argument: tree.Argument) -> str:
    return f"{argument.name.id} = " if argument.name is not None else ""


def _number(node: tree.Number) -> str:
    """As it was written, when that is known and still says the same."""
    digits = node.text.replace("_", "")
    try:
        same = bool(digits) and (int(digits) if isinstance(node.value, int) else float(digits)) == node.value
    except ValueError:
        same = False
    return node.text if same else plain_number(node.value)


def plain_number(value: int | float) -> str:
    """The shortest form of a number that reads back to it, exponents without zeros: ``3e-5``."""
    if isinstance(value, int):
        return str(value)
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def quoted(text: str) -> str:
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(char, escape)
    return f'"{text}"'


def range_text(bounds: tree.Range) -> str:
    low = "-inf" if bounds.low is None else plain_number(bounds.low)
    high = "inf" if bounds.high is None else plain_number(bounds.high)
    return f"{'(' if bounds.low_open else '['}{low}, {high}{')' if bounds.high_open else ']'}"
