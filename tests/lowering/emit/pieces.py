"""Small pieces of Python in place of the kernels of the package."""

from __future__ import annotations

import ast
import copy
from textwrap import dedent

import pytest

from flowrl_dsl.lowering.emit import parts
from flowrl_dsl.lowering.emit.kernels import parsed
from flowrl_dsl.lowering.emit.layout import module


def statements(source: str) -> list[ast.stmt]:
    return ast.parse(dedent(source)).body


def printed(trees: list[ast.stmt]) -> str:
    return module(trees)


def tidy(source: str) -> str:
    """A piece of source as the printer lays it out."""
    return printed(statements(source))


def use_kernels(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the functions of a piece of source be the only kernels there are."""
    definitions = {}
    for statement in statements(source):
        definition = parsed(ast.unparse(statement))
        definitions[definition.name] = definition
    monkeypatch.setattr(parts, "KERNELS", definitions)
    monkeypatch.setattr(parts, "kernel_definition", lambda name: copy.deepcopy(definitions[name]))


def program(kernels: str, source: str, monkeypatch: pytest.MonkeyPatch) -> parts.File:
    """A file of these kernels and statements."""
    use_kernels(kernels, monkeypatch)
    return parts.File(statements(source))


def whole(file: parts.File) -> str:
    """The kernels of a file, and its other statements."""
    return printed([part.tree for part in (*file.kernels.values(), *file.others)])
