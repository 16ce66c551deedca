"""Constant folding: removes branches that are never taken and unused values from a kernel."""

from __future__ import annotations

import ast

from flowrl_dsl.lowering.emit.constants import Replace
from flowrl_dsl.lowering.emit.parts import Kernel
from flowrl_dsl.lowering.emit.scopes import parameters, stored_names


def fold(kernel: Kernel) -> bool:
    """Remove branches decided by constants and unused values from a kernel; returns whether it changed."""
    if kernel.is_folded or not kernel.is_ordinary:
        return False
    before = ast.dump(kernel.tree)
    Fold().visit(kernel.tree)
    folded = ast.dump(kernel.tree)
    if folded != before:
        kernel.changed()
    Replace(_other_names(kernel)).visit(kernel.tree)
    _DropUnread(kernel.tree).visit(kernel.tree)
    after = ast.dump(kernel.tree)
    if after != folded:
        kernel.changed()
    kernel.is_folded = after == before
    return not kernel.is_folded


class _Statements(ast.NodeTransformer):
    """Removes statements without effect; an empty block becomes ``pass``."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While | ast.With):
            # x = x in a class defines a field
            kept = [
                statement for statement in node.body if isinstance(node, ast.ClassDef) or not _changes_nothing(statement)
            ]
            node.body = kept or [ast.Pass()]
        return node


class Fold(_Statements):
    """Evaluates conditions on constants."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Compare(ast.Constant(left), [ast.Is() | ast.IsNot() as op], [ast.Constant(None | bool() as right)]):
                return ast.Constant((left is right) == isinstance(op, ast.Is))
            case ast.Compare(ast.Constant(str() as left), [ast.Eq() | ast.NotEq() as op], [ast.Constant(str() as right)]):
                return ast.Constant((left == right) == isinstance(op, ast.Eq))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.UnaryOp(ast.Not(), ast.Constant(value)):
                return ast.Constant(not value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Drop constants that do not determine the result; operands after one that does are unreachable."""
        self.generic_visit(node)
        decisive = isinstance(node.op, ast.Or)
        *first, last = node.values
        kept: list[ast.expr] = []
        for value in first:
            if not isinstance(value, ast.Constant):
                kept.append(value)
            elif bool(value.value) is decisive:
                last = value
                break
        return ast.BoolOp(node.op, [*kept, last]) if kept else last

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        """Flatten a tuple unpacked inside another tuple."""
        self.generic_visit(node)
        elements: list[ast.expr] = []
        for element in node.elts:
            match element:
                case ast.Starred(ast.Tuple(nested)):
                    elements += nested
                case _:
                    elements.append(element)
        node.elts = elements
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Subscript(ast.Tuple(elements), ast.Constant(int() as index)) if index < len(elements):
                return node if any(isinstance(element, ast.Starred) for element in elements) else elements[index]
        return node

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Evaluate sums of constants: one step count is often another plus one."""
        self.generic_visit(node)
        match node:
            case ast.BinOp(ast.Constant(int() as left), ast.Add(), ast.Constant(int() as right)):
                return ast.Constant(left + right)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Remove statements after a return."""
        self.generic_visit(node)
        ends = [position for position, statement in enumerate(node.body) if isinstance(statement, ast.Return)]
        node.body = node.body[: ends[0] + 1] if ends else node.body
        return node


def _changes_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass():
            return True
        case ast.Assign([ast.Name(name)], ast.Name(same)):
            return name == same
    return False


def _other_names(kernel: Kernel) -> dict[str, ast.expr]:
    """Aliases in a kernel, assigned once: names for a constant, for another of its names, or for a library function."""
    bound, own = kernel.bound, {*parameters(kernel.tree), *stored_names(kernel.tree)}
    values: dict[str, ast.expr] = {}
    for statement in kernel.tree.body:
        match statement:
            case ast.Assign([ast.Name(name)], value) if bound[name] == 1:
                match value:
                    case ast.Constant(None | bool()):
                        values[name] = value
                    case ast.Name(other) if bound[other] == 1 and other in own:
                        values[name] = value
                    case ast.Attribute(ast.Name(other)) if not bound[other]:
                        values[name] = value
    return values


class _DropUnread(_Statements):
    """Removes unused variables and inner functions from a kernel, except variables assigned from a call."""

    def __init__(self, kernel: ast.FunctionDef):
        self.kernel = kernel
        self.read = {node.id for node in ast.walk(kernel) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        targets = (node.target for node in ast.walk(kernel) if isinstance(node, ast.AugAssign))
        self.read |= {target.id for target in targets if isinstance(target, ast.Name)}

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Keep the assignments and definitions in a class: they are its fields and methods."""
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                self.generic_visit(statement)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef | None:
        self.generic_visit(node)
        unread = node.name not in self.read and not node.decorator_list and node is not self.kernel
        return None if unread else node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        match node:
            case ast.Assign([ast.Name(name)], value) if name not in self.read:
                return node if any(isinstance(part, ast.Call) for part in ast.walk(value)) else None
        return node
