"""The source of kernels as syntax trees."""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from functools import cache

from flowrl_dsl.graph.expr import KERNELS, Function


def kernel_definition(name: str) -> ast.FunctionDef:
    """A new syntax tree of a kernel, without decorators and with its docstring reduced to a summary."""
    return copy.deepcopy(_definition(KERNELS[name]))


@cache
def _definition(kernel: Function) -> ast.FunctionDef:
    definition = parsed(textwrap.dedent(inspect.getsource(kernel)))
    definition.decorator_list = []
    docstring = ast.get_docstring(definition)
    if docstring is not None:
        definition.body[0] = ast.Expr(ast.Constant(summary(docstring)))
    return definition


def parsed(source: str) -> ast.FunctionDef:
    """The function in a piece of source; number literals keep their original notation."""
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
