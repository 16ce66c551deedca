"""Statements as lines: the same program, within the width, broken at brackets and operators."""

from __future__ import annotations

import ast

import pytest

from flowrl_dsl import registry
from flowrl_dsl.graph.expr import KERNELS
from flowrl_dsl.lowering.emit.kernels import kernel_definition
from flowrl_dsl.lowering.emit.layout import WIDTH
from tests.lowering.emit.pieces import printed, statements

registry.families()


def in_one_line(definition: ast.stmt) -> ast.stmt:
    """The function, its docstring without line breaks."""
    assert isinstance(definition, ast.FunctionDef)
    match definition.body[0]:
        case ast.Expr(ast.Constant(str() as docstring) as constant):
            constant.value = " ".join(docstring.split())
    return definition


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_is_printed_as_the_same_program(name: str) -> None:
    definition = kernel_definition(name)
    text = printed([definition])
    assert ast.dump(in_one_line(ast.parse(text).body[0])) == ast.dump(in_one_line(definition))
    assert max(map(len, text.splitlines())) <= WIDTH


A, B, C = ("a" * 55, "b" * 55, "c" * 55)
BROKEN = {
    "arguments on a line of their own": (f"gradient = f({A}, {B})", f"gradient = f(\n    {A}, {B}\n)"),
    "one argument a line": (f"x = f({A}, {B}, k={C})", f"x = f(\n    {A},\n    {B},\n    k={C},\n)"),
    "operands in parentheses": (f"x = {A} + {B} - {C}", f"x = (\n    {A}\n    + {B}\n    - {C}\n)"),
    "a condition": (f"x = {A} if {B} else {C}", f"x = (\n    {A}\n    if {B}\n    else {C}\n)"),
    "a dictionary": (f"x = {{'a': {A}, 'b': {B}}}", f'x = {{\n    "a": {A},\n    "b": {B},\n}}'),
    "targets": (f"{A}, {B}, {C} = f(x)", f"(\n    {A},\n    {B},\n    {C},\n) = f(x)"),
    "a comprehension": (
        f"x = [{A} for {A} in {B} if {C}]",
        f"x = [\n    {A}\n    for {A} in {B}\n    if {C}\n]",
    ),
    "parameters": (f"def f({A}, {B}, {C}): return 1", f"def f(\n    {A},\n    {B},\n    {C},\n):\n    return 1"),
}


@pytest.mark.parametrize(("source", "lines"), BROKEN.values(), ids=BROKEN)
def test_long_statements_are_broken(source: str, lines: str) -> None:
    assert printed(statements(source)) == f"{lines}\n"


@pytest.mark.parametrize(
    "line",
    [
        "x = a - (b - c)",
        "x = (a + b) * c**2",
        "x = -(a**b) ** (c + 1)",
        "x = a[:, None, i + 1 :]",
        "x = (a and b) or not c",
        "x = (lambda y: y)(z)",
        "x = [*a, *b]",
        'x = {**a, "b": 2e-3, "c": 1_000}',
        "x = f(*a, **b)",
        "x = (a,)",
        "x = (a & b) ^ (c >> 3)",
        "x = a if b else (c if d else e)",
        "x = 'quoted \"twice\"'",
    ],
)
def test_short_statements_stay_on_their_line(line: str) -> None:
    text = printed(statements(line))
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(line)) and text.count("\n") == 1


def test_a_place_in_the_spec_is_printed_where_it_changes() -> None:
    (function,) = statements("def step(x):\n    a = f(x)\n    b = g(a)\n    c = h(b)\n    return c")
    assert isinstance(function, ast.FunctionDef)
    for tree, origin in zip(function.body, ["qsm.flowrl:3:1", "qsm.flowrl:3:1", "qsm.flowrl:7:5", ""], strict=True):
        tree.origin = origin  # type: ignore[attr-defined]
    assert printed([function]).splitlines() == [
        "def step(x):",
        "    a = f(x)  # qsm.flowrl:3:1",
        "    b = g(a)",
        "    c = h(b)  # qsm.flowrl:7:5",
        "    return c",
    ]
