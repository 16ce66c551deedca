"""Which names of a syntax tree are its own and which come from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)


def parameters(function: ast.FunctionDef | ast.Lambda) -> list[str]:
    """Names of all parameters of a function."""
    args = function.args
    found = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return found + [arg.arg for arg in (args.vararg, args.kwarg) if arg is not None]


def bound_names(tree: ast.AST) -> set[str]:
    """All names that a tree gives a value anywhere, parameters and names of inner functions included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found |= _binds(node)
    return found


def _binds(node: ast.AST) -> set[str]:
    match node:
        case ast.Name(name, ast.Store()):
            return {name}
        case ast.FunctionDef(name):
            return {name, *parameters(node)}
        case ast.Lambda():
            return {*parameters(node)}
        case ast.ClassDef(name):
            return {name}
    return set()


def stored_names(body: ast.AST) -> Iterator[str]:
    """Names that the statements below a node assign or define in its own scope, as often as they do."""
    for child in ast.iter_child_nodes(body):
        match child:
            case ast.Name(name, ast.Store()):
                yield name
            case ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
        if not isinstance(child, _SCOPES):
            yield from stored_names(child)


def free_names(tree: ast.AST) -> list[str]:
    """Names that a tree reads from outside, in the order of its text and as often as it reads them."""
    found: list[str] = []
    _collect_free(tree, frozenset(), found)
    return found


def _collect_free(node: ast.AST, own: frozenset[str], found: list[str]) -> None:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in own:
            found.append(node.id)
        return
    if isinstance(node, _SCOPES):
        own = own.union(stored_names(node))
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            own = own.union(parameters(node))
    for child in ast.iter_child_nodes(node):
        _collect_free(child, own, found)
