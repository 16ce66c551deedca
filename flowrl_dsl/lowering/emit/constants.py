"""Constant propagation: replaces a kernel's parameter by a constant if all calls in the file pass the same one."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping

from flowrl_dsl.lowering.emit.parts import File, Kernel
from flowrl_dsl.lowering.emit.scopes import parameters, stored_names


def put_in_constants(file: File) -> bool:
    """Substitute constants for parameters; returns whether the file changed."""
    changed = False
    for name, kernel in file.kernels.items():
        calls = file.calls(name)
        if not calls or not kernel.is_ordinary:
            continue
        for parameter in kernel.names:
            if kernel.bound[parameter] > 1:
                continue
            changed |= _decide_comparisons(kernel, parameter, _possible(file, name, parameter))
            constant = _common_constant(kernel, parameter, [call for _, call in calls])
            if constant is None:
                continue
            for _, call in calls:  # a constant contains no names: the callers' caches stay valid
                _drop_argument(kernel, parameter, call)
            _drop_parameter(kernel, parameter)
            Replace({parameter: constant}).visit(kernel.tree)
            kernel.changed()
            changed = True
    return changed


def _common_constant(kernel: Kernel, parameter: str, calls: Iterable[ast.Call]) -> ast.Constant | None:
    """The argument common to all calls: the same None, boolean or string, or the same number if it is the default."""
    first, *others = [kernel.given(call)[parameter] for call in calls]
    if not isinstance(first, ast.Constant) or any(ast.dump(value) != ast.dump(first) for value in others):
        return None
    decides = first.value is None or isinstance(first.value, bool | str)
    return first if decides or first is kernel.defaults.get(parameter) else None


def _possible(file: File, name: str, parameter: str, below: frozenset[str] = frozenset()) -> set[object] | None:
    """All constants passed for a parameter, directly or through the caller's parameters; None if some are unknown."""
    calls = file.calls(name)
    if calls is None or name in below:
        return None
    found: set[object] = set()
    for caller, call in calls:
        value = file.kernels[name].given(call)[parameter]
        if isinstance(value, ast.Constant):
            found.add(value.value)
            continue
        if not (isinstance(caller, Kernel) and isinstance(value, ast.Name) and _is_parameter(caller, value.id)):
            return None
        handed_on = _possible(file, caller.tree.name, value.id, below | {name})
        if handed_on is None:
            return None
        found |= handed_on
    return found


def _is_parameter(kernel: Kernel, name: str) -> bool:
    """Whether a name always refers to a parameter of a kernel."""
    return kernel.is_ordinary and name in kernel.names and kernel.bound[name] == 1


def _decide_comparisons(kernel: Kernel, parameter: str, possible: set[object] | None) -> bool:
    """Fold comparisons of a parameter with strings it never equals; returns whether there were any."""
    if possible is None:
        return False
    never = _Never(parameter, possible)
    never.visit(kernel.tree)
    if never.found:
        kernel.changed()
    return never.found


class _Never(ast.NodeTransformer):
    def __init__(self, parameter: str, possible: set[object]):
        self.parameter = parameter
        self.possible = possible
        self.found = False

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        match node:
            case ast.Compare(ast.Name(self.parameter), [ast.Eq()], [ast.Constant(str() as value)]) if (
                value not in self.possible
            ):
                self.found = True
                return ast.Constant(False)
        self.generic_visit(node)
        return node


def _drop_argument(kernel: Kernel, parameter: str, call: ast.Call) -> None:
    position = kernel.names.index(parameter)
    if position < len(call.args):
        del call.args[position]
    call.keywords = [keyword for keyword in call.keywords if keyword.arg != parameter]


def _drop_parameter(kernel: Kernel, parameter: str) -> None:
    args = kernel.tree.args
    position = kernel.names.index(parameter)
    from_end = len(args.args) - position
    if from_end <= len(args.defaults):
        del args.defaults[len(args.defaults) - from_end]
    del args.args[position]


Loop = ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp


class Replace(ast.NodeTransformer):
    """Substitutes expressions for names, and a sequence of expressions for a starred name.

    Names bound by lambdas and comprehensions are left alone.
    """

    def __init__(self, values: Mapping[str, ast.expr], starred: Mapping[str, list[ast.expr]] | None = None):
        self.values = values
        self.starred = starred or {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.values.get(node.id) if isinstance(node.ctx, ast.Load) else None
        return node if value is None else copy.deepcopy(value)

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self.visit(node.args)
        node.body = self._hiding(parameters(node)).visit(node.body)
        return node

    def _visit_loop(self, node: Loop) -> Loop:
        first, *others = node.generators
        first.iter = self.visit(first.iter)
        inside = self._hiding(stored_names(node))
        first.ifs = [inside.visit(condition) for condition in first.ifs]
        for other in others:
            inside.generic_visit(other)
        if isinstance(node, ast.DictComp):
            node.key, node.value = inside.visit(node.key), inside.visit(node.value)
        else:
            node.elt = inside.visit(node.elt)
        return node

    visit_GeneratorExp = visit_ListComp = visit_SetComp = visit_DictComp = _visit_loop

    def _hiding(self, names: Iterable[str]) -> Replace:
        """The same substitution in a scope that shadows these names."""
        hidden = {*names}
        values = {name: value for name, value in self.values.items() if name not in hidden}
        return Replace(values, {name: value for name, value in self.starred.items() if name not in hidden})

    def visit_Call(self, node: ast.Call) -> ast.expr:
        args: list[ast.expr] = []
        for arg in node.args:
            name = arg.value.id if isinstance(arg, ast.Starred) and isinstance(arg.value, ast.Name) else ""
            args += self.starred.get(name, [arg])
        node.args = args
        self.generic_visit(node)
        return node
