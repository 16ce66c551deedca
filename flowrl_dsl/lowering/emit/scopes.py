"""Local and free names of a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_LOOPS = (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ClassDef, *_LOOPS)


_WITHOUT_NAMES = frozenset({"ctx", "op", "ops"})
"""Fields of syntax trees, about a third of all, that hold no names."""


def below(node: ast.AST) -> list[ast.AST]:
    """The children of a node in textual order, except those that hold no names."""
    found: list[ast.AST] = []
    for field in node._fields:
        if field in _WITHOUT_NAMES:
            continue
        value = getattr(node, field, None)
        if isinstance(value, list):
            found += [part for part in value if isinstance(part, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree that may hold names, outermost first."""
    found = [tree]
    for node in found:
        yield node
        found += below(node)


def parameters(function: ast.FunctionDef | ast.Lambda) -> list[str]:
    """Names of all parameters of a function."""
    args = function.args
    found = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return found + [arg.arg for arg in (args.vararg, args.kwarg) if arg is not None]


def bindings(tree: ast.AST) -> Iterator[str]:
    """Names bound anywhere in a tree, with repetition, including parameters and names of inner functions."""
    for node in walk(tree):
        match node:
            case ast.Name(name, ast.Store()):
                yield name
            case ast.FunctionDef(name):
                yield name
                yield from parameters(node)
            case ast.Lambda():
                yield from parameters(node)
            case ast.ClassDef(name):
                yield name


def free_names(tree: ast.AST) -> list[str]:
    """Free names of a tree in textual order, with repetition."""
    found: list[str] = []
    _collect_free(tree, frozenset(), found)
    return found


def _collect_free(node: ast.AST, own: frozenset[str], found: list[str]) -> None:
    match node:
        case ast.Name(name, context):
            if isinstance(context, ast.Load) and name not in own:
                found.append(name)
            return
        case ast.FunctionDef() | ast.Lambda():
            _collect_all(_evaluated_outside(node), own, found)
            body = node.body if isinstance(node, ast.FunctionDef) else [node.body]
            _collect_all(body, own.union(parameters(node), stored_names(node)), found)
        case ast.GeneratorExp() | ast.ListComp() | ast.SetComp() | ast.DictComp():
            first, *others = node.generators
            _collect_free(first.iter, own, found)
            elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            inside = [*first.ifs, *others, *elements]
            _collect_all(inside, own.union(stored_names(node)), found)
        case _:  # assignments in a class define fields, which its methods do not see as names
            _collect_all(below(node), own, found)


def _collect_all(nodes: Iterable[ast.AST], own: frozenset[str], found: list[str]) -> None:
    for node in nodes:
        _collect_free(node, own, found)


def _evaluated_outside(function: ast.FunctionDef | ast.Lambda) -> list[ast.AST]:
    """Parts of a function that do not see its parameters: decorators, annotations and defaults."""
    return [*(function.decorator_list if isinstance(function, ast.FunctionDef) else ()), function.args]


def stored_names(scope: ast.AST) -> Iterator[str]:
    """Names that a scope assigns or defines, without those of nested scopes."""
    for child in below(scope):
        match child:
            case ast.Name(name, ast.Store()):
                yield name
            case ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
        if not isinstance(child, _SCOPES):
            yield from stored_names(child)
