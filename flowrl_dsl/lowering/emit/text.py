"""Python expressions as one line of text, in the style of common formatters: double quotes, ``x**2``, ``x[i + 1 :]``."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

OPERATORS: dict[type, tuple[str, int]] = {
    ast.Or: ("or", 2),
    ast.And: ("and", 3),
    ast.In: ("in", 5),
    ast.NotIn: ("not in", 5),
    ast.Is: ("is", 5),
    ast.IsNot: ("is not", 5),
    ast.Eq: ("==", 5),
    ast.NotEq: ("!=", 5),
    ast.Lt: ("<", 5),
    ast.LtE: ("<=", 5),
    ast.Gt: (">", 5),
    ast.GtE: (">=", 5),
    ast.BitOr: ("|", 6),
    ast.BitXor: ("^", 7),
    ast.BitAnd: ("&", 8),
    ast.LShift: ("<<", 9),
    ast.RShift: (">>", 9),
    ast.Add: ("+", 10),
    ast.Sub: ("-", 10),
    ast.Mult: ("*", 11),
    ast.Div: ("/", 11),
    ast.FloorDiv: ("//", 11),
    ast.Mod: ("%", 11),
    ast.MatMult: ("@", 11),
    ast.Pow: ("**", 13),
}
"""Binary operators and how tightly they bind."""
_BITS = frozenset({"|", "^", "&", "<<", ">>"})
CONDITION, NOT, COMPARE, UNARY, POWER, ATOM = 1, 4, 5, 12, 13, 20
_UNARY: dict[type, str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~", ast.Not: "not "}


def precedence(expr: ast.expr) -> int:
    """The precedence of the outermost operator of an expression."""
    match expr:
        case ast.BinOp(op=op) | ast.BoolOp(op=op):
            return OPERATORS[type(op)][1]
        case ast.Compare():
            return COMPARE
        case ast.UnaryOp(op=ast.Not()):
            return NOT
        case ast.UnaryOp():
            return UNARY
        case ast.IfExp() | ast.Lambda():
            return CONDITION
        case ast.NamedExpr():
            return 0
    return ATOM


def enclosed(expr: ast.expr, least: int) -> str:
    """The expression, parenthesised if its precedence is below ``least``."""
    return text(expr) if precedence(expr) >= least else f"({text(expr)})"


def text(expr: ast.expr) -> str:
    """The expression on one line."""
    printer = _PRINTERS.get(type(expr))
    return ast.unparse(expr) if printer is None else printer(expr)


def literal(expr: ast.Constant) -> str:
    """A constant: numbers in the notation of their source, strings in double quotes."""
    value, source = expr.value, getattr(expr, "source", None)
    if source is not None:
        return source
    if isinstance(value, str) and '"' not in value:
        return json.dumps(value, ensure_ascii=False)
    return "..." if value is ... else repr(value)


@dataclass(frozen=True)
class Operand:
    """An operand in a chain: the preceding operator, the expression, and whether it is parenthesised."""

    sign: str
    expr: ast.expr
    enclosed: bool

    @property
    def text(self) -> str:
        return f"({text(self.expr)})" if self.enclosed else text(self.expr)


def operands(expr: ast.expr) -> list[Operand]:
    """The operands of a chain of operators of equal precedence; the first has an empty sign."""
    match expr:
        case ast.BoolOp(op, values):
            sign, strength = OPERATORS[type(op)]
            return [_operand(sign if position else "", value, strength + 1) for position, value in enumerate(values)]
        case ast.Compare(left, ops, right):
            signs = ["", *(OPERATORS[type(op)][0] for op in ops)]
            return [_operand(sign, value, COMPARE + 1) for sign, value in zip(signs, [left, *right], strict=True)]
        case ast.BinOp(left, op, right):
            sign, strength = OPERATORS[type(op)]
            chained = isinstance(left, ast.BinOp) and precedence(left) == strength and not _unclear(sign, left)
            first = operands(left) if chained else [_operand("", left, strength, beside=sign)]
            return [*first, _operand(sign, right, strength + 1, beside=sign)]
    raise TypeError(f"not a chain of operators: {ast.dump(expr)}")


def _operand(sign: str, expr: ast.expr, least: int, beside: str = "") -> Operand:
    return Operand(sign, expr, precedence(expr) < least or _unclear(beside, expr))


def _unclear(sign: str, expr: ast.expr) -> bool:
    """Whether the precedence of a bitwise operator relative to an operand's operator needs parentheses for clarity."""
    return sign in _BITS and isinstance(expr, ast.BinOp) and OPERATORS[type(expr.op)][0] != sign


def _chain(expr: ast.BinOp | ast.BoolOp | ast.Compare) -> str:
    if isinstance(expr, ast.BinOp) and isinstance(expr.op, ast.Pow):
        return _power(expr)
    return " ".join(f"{part.sign} {part.text}".strip() for part in operands(expr))


def _power(expr: ast.BinOp) -> str:
    """A power; as in common formatters, no spaces around the operator between simple operands."""
    left, right = enclosed(expr.left, POWER + 1), enclosed(expr.right, UNARY)
    simple = all(_is_simple(side) for side in (expr.left, expr.right))
    return f"{left}**{right}" if simple else f"{left} ** {right}"


def _is_simple(expr: ast.expr) -> bool:
    match expr:
        case ast.UnaryOp(operand=operand):
            return _is_simple(operand)
        case ast.Attribute(value=value):
            return _is_simple(value)
        case ast.Constant(value=value):
            return isinstance(value, int | float)
    return isinstance(expr, ast.Name)


def commas(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def tuple_text(expr: ast.Tuple) -> str:
    inside = commas(map(text, expr.elts))
    return f"({inside},)" if len(expr.elts) == 1 else f"({inside})"


def argument(keyword: ast.keyword) -> str:
    return f"**{enclosed(keyword.value, ATOM)}" if keyword.arg is None else f"{keyword.arg}={text(keyword.value)}"


def clauses(generators: Iterable[ast.comprehension]) -> list[str]:
    """The clauses of a comprehension after its element."""
    found = []
    for part in generators:
        target = commas(map(text, part.target.elts)) if isinstance(part.target, ast.Tuple) else text(part.target)
        found.append(f"for {target} in {enclosed(part.iter, 2)}")
        found += [f"if {enclosed(condition, 2)}" for condition in part.ifs]
    return found


def _call(expr: ast.Call) -> str:
    match expr:
        case ast.Call(args=[ast.GeneratorExp() as only], keywords=[]):
            return f"{enclosed(expr.func, ATOM)}{text(only)}"
    return f"{enclosed(expr.func, ATOM)}({commas([*map(text, expr.args), *map(argument, expr.keywords)])})"


def _subscript(expr: ast.Subscript) -> str:
    index = expr.slice
    bare = isinstance(index, ast.Tuple) and len(index.elts) > 1 and not any(isinstance(e, ast.Starred) for e in index.elts)
    inside = commas(map(_index, index.elts)) if bare and isinstance(index, ast.Tuple) else _index(index)
    return f"{enclosed(expr.value, ATOM)}[{inside}]"


def _index(expr: ast.expr) -> str:
    if not isinstance(expr, ast.Slice):
        return commas(map(text, expr.elts)) if isinstance(expr, ast.Tuple) and len(expr.elts) > 1 else text(expr)
    ends = [end for end in (expr.lower, expr.upper) if end is not None]
    simple = all(isinstance(end, ast.Name | ast.Constant) or _is_signed_number(end) for end in ends)
    lower, upper = (text(end) if end is not None else "" for end in (expr.lower, expr.upper))
    colon = ":" if simple else f"{' ' if lower else ''}:{' ' if upper else ''}"
    step = "" if expr.step is None else f":{text(expr.step)}"
    return f"{lower}{colon}{upper}{step}"


def _is_signed_number(expr: ast.expr) -> bool:
    return isinstance(expr, ast.UnaryOp) and isinstance(expr.operand, ast.Constant | ast.Name)


def _condition(expr: ast.IfExp) -> str:
    return f"{enclosed(expr.body, 2)} if {enclosed(expr.test, 2)} else {enclosed(expr.orelse, 1)}"


def lambda_head(expr: ast.Lambda) -> str:
    names = parameters(expr.args)
    return f"lambda {names}: " if names else "lambda: "


def parameters(args: ast.arguments) -> str:
    """The parameters of a function on one line."""
    return commas(parameter_list(args))


def parameter_list(args: ast.arguments) -> list[str]:
    """The parameters of a function, with their defaults."""
    named = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(named) - len(args.defaults)), *args.defaults]
    found = [_parameter(arg, default) for arg, default in zip(named, defaults, strict=True)]
    if args.posonlyargs:
        found.insert(len(args.posonlyargs), "/")
    if args.vararg is not None:
        found.append(f"*{args.vararg.arg}")
    elif args.kwonlyargs:
        found.append("*")
    found += [_parameter(arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return [*found, f"**{args.kwarg.arg}"] if args.kwarg is not None else found


def _parameter(arg: ast.arg, default: ast.expr | None) -> str:
    if arg.annotation is not None:
        name = f"{arg.arg}: {text(arg.annotation)}"
        return name if default is None else f"{name} = {text(default)}"
    return arg.arg if default is None else f"{arg.arg}={text(default)}"


def _entry(key: ast.expr | None, value: ast.expr) -> str:
    return f"**{enclosed(value, 6)}" if key is None else f"{text(key)}: {text(value)}"


def entries(expr: ast.Dict) -> list[str]:
    return [_entry(key, value) for key, value in zip(expr.keys, expr.values, strict=True)]


Comprehension = ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp


def comprehension(expr: Comprehension) -> list[str]:
    """The element of a comprehension and its clauses."""
    element = f"{text(expr.key)}: {text(expr.value)}" if isinstance(expr, ast.DictComp) else text(expr.elt)
    return [element, *clauses(expr.generators)]


_BRACKETS: dict[type, tuple[str, str]] = {
    ast.GeneratorExp: ("(", ")"),
    ast.ListComp: ("[", "]"),
    ast.SetComp: ("{", "}"),
    ast.DictComp: ("{", "}"),
}


def _comprehension(expr: Comprehension) -> str:
    opening, closing = _BRACKETS[type(expr)]
    return opening + " ".join(comprehension(expr)) + closing


_PRINTERS: dict[type, Callable[..., str]] = {
    ast.Constant: literal,
    ast.Name: lambda expr: expr.id,
    ast.Attribute: lambda expr: f"{enclosed(expr.value, ATOM)}.{expr.attr}",
    ast.Subscript: _subscript,
    ast.Call: _call,
    ast.Starred: lambda expr: f"*{enclosed(expr.value, 6)}",
    ast.Tuple: tuple_text,
    ast.List: lambda expr: f"[{commas(map(text, expr.elts))}]",
    ast.Set: lambda expr: "{" + commas(map(text, expr.elts)) + "}",
    ast.Dict: lambda expr: "{" + commas(entries(expr)) + "}",
    ast.BinOp: _chain,
    ast.BoolOp: _chain,
    ast.Compare: _chain,
    ast.UnaryOp: lambda expr: _UNARY[type(expr.op)] + enclosed(expr.operand, precedence(expr)),
    ast.IfExp: _condition,
    ast.Lambda: lambda expr: lambda_head(expr) + enclosed(expr.body, 1),
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
}
