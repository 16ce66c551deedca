"""The kernels of a printed program: their source as syntax trees, in the order in which they are used."""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from flowrl_dsl.graph.expr import KERNELS
from flowrl_dsl.lowering.emit.scopes import free_names


def kernel_definition(name: str) -> ast.FunctionDef:
    """A fresh syntax tree of a kernel: without decorators, and of its docstring the first sentence."""
    return copy.deepcopy(_definition(KERNELS[name]))


@cache
def _definition(kernel: Callable) -> ast.FunctionDef:
    definition = parsed(textwrap.dedent(inspect.getsource(kernel)))
    definition.decorator_list = []
    docstring = ast.get_docstring(definition)
    if docstring is not None:
        definition.body[0] = ast.Expr(ast.Constant(summary(docstring)))
    return definition


def parsed(source: str) -> ast.FunctionDef:
    """The function of a piece of source, whose numbers remember how they are written."""
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    for node in ast.walk(definition):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            node.source = ast.get_source_segment(source, node)  # type: ignore[attr-defined]
    return definition


def summary(docstring: str, width: int = 108) -> str:
    """The first paragraph of a docstring, or as many of its sentences as fit on one line."""
    paragraph = " ".join(docstring.split("\n\n", 1)[0].split())
    if len(paragraph) <= width:
        return paragraph
    sentences = paragraph.split(".  ") if ".  " in paragraph else paragraph.split(". ")
    kept = sentences[0]
    return kept if kept.endswith(".") else kept + "."


def with_kernels(
    statements: Iterable[ast.AST], known: Mapping[str, ast.FunctionDef] | None = None
) -> dict[str, ast.FunctionDef]:
    """The kernels that statements use, directly or through others, each after those it calls."""
    found: dict[str, ast.FunctionDef] = {}

    def add(name: str, below: Sequence[str]) -> None:
        if name in found or name in below or name not in KERNELS:
            return
        definition = kernel_definition(name) if known is None else known[name]
        for inner in free_names(definition):
            add(inner, [*below, name])
        found[name] = definition

    for statement in statements:
        for name in free_names(statement):
            add(name, [])
    return found
