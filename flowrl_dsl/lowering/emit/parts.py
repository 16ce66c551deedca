"""The statements of a printed file during simplification: the kernels in use, and the statements that call them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property

from flowrl_dsl.graph.expr import KERNELS
from flowrl_dsl.lowering.emit.kernels import kernel_definition
from flowrl_dsl.lowering.emit.scopes import bindings, free_names, parameters, walk

_UNUSUAL = (
    *(ast.Global, ast.Nonlocal, ast.NamedExpr, ast.Import, ast.ImportFrom, ast.Delete),
    *(ast.Match, ast.Try, ast.Yield, ast.YieldFrom),
)
"""What changes names or the flow of a function in ways that the rewritings do not follow."""


class Part:
    """One statement of the file, with its names and calls, which are recomputed only after a change."""

    def __init__(self, tree: ast.stmt):
        self._tree = tree
        self.is_folded = False

    @property
    def tree(self) -> ast.stmt:
        return self._tree

    def changed(self) -> None:
        """Invalidate the caches; call it after a change of the tree that affects names or calls or permits more folding."""
        for name in ("free", "bound", "calls"):
            self.__dict__.pop(name, None)
        self.is_folded = False

    @cached_property
    def free(self) -> Counter[str]:
        """Free names of the statement in textual order, with their counts."""
        return Counter(free_names(self.tree))

    @cached_property
    def bound(self) -> Counter[str]:
        """Names bound inside the statement, with their counts."""
        if not isinstance(self.tree, ast.FunctionDef):
            return Counter(bindings(self.tree))
        inside = (name for statement in self.tree.body for name in bindings(statement))
        return Counter([*parameters(self.tree), *inside])

    @cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Calls by the name of the callee."""
        found: dict[str, list[ast.Call]] = {}
        for node in walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found.setdefault(node.func.id, []).append(node)
        return found


class Kernel(Part):
    """A kernel of the file.

    ``is_ordinary``: whether the rewrites support it; any other kernel is printed unchanged.
    """

    def __init__(self, tree: ast.FunctionDef):
        super().__init__(tree)
        args = tree.args
        starred = args.posonlyargs or args.kwonlyargs or args.kwarg
        self.is_ordinary = not starred and not any(isinstance(node, _UNUSUAL) for node in ast.walk(tree))

    @property
    def tree(self) -> ast.FunctionDef:
        assert isinstance(self._tree, ast.FunctionDef)
        return self._tree

    @property
    def names(self) -> list[str]:
        """Names of its parameters, except a starred one."""
        return [arg.arg for arg in self.tree.args.args]

    @property
    def defaults(self) -> dict[str, ast.expr]:
        values = self.tree.args.defaults
        return dict(zip(self.names[len(self.names) - len(values) :], values, strict=True))

    def given(self, call: ast.Call) -> dict[str, ast.expr]:
        """The arguments of a call by parameter, except starred parameters."""
        positional = dict(zip(self.names, call.args, strict=False))
        return self.defaults | positional | {k.arg: k.value for k in call.keywords if k.arg is not None}


class File:
    """Kernels by name, each after the kernels it calls, and the other statements in order."""

    def __init__(self, statements: Iterable[ast.stmt]):
        self.others = [Part(statement) for statement in statements]
        self.kernels: dict[str, Kernel] = {}
        self.gather()

    def gather(self) -> None:
        """Collect the kernels that the statements use, directly or through others."""
        found: dict[str, Kernel] = {}

        def add(name: str, callers: frozenset[str]) -> None:
            if name in found or name in callers or name not in KERNELS:
                return
            kernel = self.kernels.get(name) or Kernel(kernel_definition(name))
            for called in kernel.free:
                add(called, callers | {name})
            found[name] = kernel

        for part in self.others:
            for name in part.free:
                add(name, frozenset())
        self.kernels = found

    def calls(self, kernel: str) -> list[tuple[Part, ast.Call]] | None:
        """All calls of a kernel and the parts that contain them.

        None if it is also used other than by a call, is called with unpacked arguments, or is shadowed by a local name.
        """
        found: list[tuple[Part, ast.Call]] = []
        for part in self._parts():
            if not part.free[kernel]:
                continue
            calls = part.calls.get(kernel, [])
            if kernel in part.bound or len(calls) != part.free[kernel] or any(map(_unpacks, calls)):
                return None
            found += [(part, call) for call in calls]
        return found

    def _parts(self) -> Iterator[Part]:
        yield from self.kernels.values()
        yield from self.others


def _unpacks(call: ast.Call) -> bool:
    return any(isinstance(arg, ast.Starred) for arg in call.args) or any(k.arg is None for k in call.keywords)
