"""Printing a program as one readable, self-contained Python file.

The file holds the source of every kernel the program uses, the networks, and ``init``, ``step`` and ``act`` as
straight-line code with one line for each node of the update graph.  It imports jax, flax and optax and nothing of this
package.
"""

from __future__ import annotations

import dis
import inspect
import keyword
import math
import pprint
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from textwrap import indent
from types import CodeType

from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.graph.expr import (
    KERNELS,
    Arg,
    Build,
    Call,
    Expand,
    Expr,
    Item,
    Literal,
    Partial,
    Record,
    functions_in,
    kernel_source,
    modules_in,
)
from flowrl_dsl.graph.nodes import GRAD, INPUT, STOP, WHEN, Graph, Node
from flowrl_dsl.graph.pieces import in_pieces
from flowrl_dsl.lazy import MODULES
from flowrl_dsl.lowering.schedule import Choose, Compute, Differentiate, InPieces, Step, schedule

_HEADER = '''"""{title}

Printed by flowrl-dsl {version}.  {about}

    state = init(jax.random.PRNGKey(0))
    state, metrics = jax.jit(step, donate_argnums=0)(state, batch, HYPER)

``batch`` is a dictionary of float32 arrays: {batch}.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
'''


def emit_python(title: str, about: str, graphs: Mapping[str, Graph], hyper: Mapping[str, float], version: str) -> str:
    """The program as Python source."""
    batch = ", ".join(
        f"{node.name.removeprefix('batch.')} {_shape(node)}"
        for node in graphs["step"].nodes.values()
        if node.op == INPUT and node.name.startswith("batch.")
    )
    builds = modules_in(_expressions(graphs.values()))
    parts = [_HEADER.format(title=title, about=about, batch=batch, version=version)]
    parts += [kernel_source(name) for name in _kernels(graphs.values(), builds)]
    parts.append("\n".join(f"{name} = {_Printer({}).expr(build.call, ())}" for name, build in builds.items()))
    parts.append(f"HYPER = {pprint.pformat(dict(sorted(hyper.items())), width=100)}")
    parts += [_function(key, graph) for key, graph in graphs.items()]
    return "\n\n".join(part.rstrip() + "\n" for part in parts)


def _shape(node: Node) -> str:
    return "[" + ", ".join(node.type.axes) + "]"


def _expressions(graphs: Iterable[Graph]) -> Iterator[Expr]:
    for graph in graphs:
        yield from (node.expr for node in graph.nodes.values() if node.expr is not None)


def _kernels(graphs: Iterable[Graph], builds: Mapping[str, Build]) -> list[str]:
    """Names of all kernels the program uses, each after those it calls."""
    expressions = [*_expressions(graphs), *(build.call for build in builds.values())]
    used = set().union(*(functions_in(expr) for expr in expressions))
    used |= {in_pieces.__name__ for graph in graphs for node in graph.nodes.values() if node.chunk is not None}
    order: dict[str, None] = {}

    def add(name: str) -> None:
        if name in KERNELS and name not in order:
            for called in sorted(_called_by(KERNELS[name].__code__) - {name}):
                add(called)
            order[name] = None

    for name in sorted(used):
        add(name)
    return list(order)


def _called_by(code: CodeType) -> set[str]:
    """Kernels that a function's code refers to as globals, nested functions and classes included."""
    loads = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    nested = (_called_by(constant) for constant in code.co_consts if inspect.iscode(constant))
    return (loads & KERNELS.keys()).union(*nested)


_SIGNATURES = {
    "init": ("key", '"""A fresh state."""'),
    "step": ("state, batch, hyper", '"""One update: the new state and its metrics."""'),
    "explore": ("state, obs, counter, hyper", '"""Actions for collecting data; ``counter`` selects the random draw."""'),
    "evaluate": ("state, obs, counter, hyper", '"""Actions for evaluation; ``counter`` selects the random draw."""'),
}


def _function(name: str, graph: Graph) -> str:
    arguments, docstring = _SIGNATURES[name]
    variables = _Variables(graph)
    steps = schedule(graph)
    body = _Printer(variables, _inlined(graph, steps)).steps(steps)
    groups: dict[str, dict[str, str]] = {"state": {}, "metric": {}} if name == "step" else {}
    for output, node in graph.outputs.items():
        group, _, key = output.partition(".")
        groups.setdefault(group, {})[key] = variables[node]
    if "field" in groups:
        groups = {"acted": {"action": groups["action"][""], **groups["field"]}}
    results = [values[""] if group == "action" else _dictionary(values) for group, values in groups.items()]
    lines = [docstring, *body, f"return {', '.join(results)}"]
    return f"def {name}({arguments}):\n" + indent("\n".join(lines), "    ")


def _dictionary(values: Mapping[str, str]) -> str:
    inside = "".join(f'    "{key}": {value},\n' for key, value in values.items())
    return "{\n" + inside + "}"


_VAGUE = ("new", "new_moments", "gradient", "loss", "finite", "step")
"""Last parts of names that say too little alone."""


_ARGUMENTS = {name for arguments, _ in _SIGNATURES.values() for name in arguments.split(", ")}
_RESERVED = frozenset({*MODULES, "partial", "float", "HYPER", *_ARGUMENTS, *_SIGNATURES})
"""Names that the printed file uses itself."""


class _Variables(dict):
    """Python names for the nodes of a graph: the last part of the node's name where that is unique, else the whole.

    No name hides another one that the printed function uses: modules, kernels, networks, arguments, inner functions.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        builds = modules_in(node.expr for node in graph.nodes.values() if node.expr is not None)
        arguments = {_argument(self._leaf(node.name)) for node in graph.nodes.values() if node.op == INPUT}
        self._taken = {*_RESERVED, *builds, *arguments}
        for node in graph.nodes.values():
            self[node.name] = self._leaf(node.name) if node.op == INPUT else self._fresh(node)

    @staticmethod
    def _leaf(name: str) -> str:
        group, _, key = name.partition(".")
        return f'{group}["{key}"]' if key else name

    def _fresh(self, node: Node) -> str:
        """A free name for the node's value; its inner function's name is free as well."""
        parts = [re.sub(r"\W", "_", part) for part in node.name.split(".")]
        shortest = max(len(parts) - (2 if parts[-1] in _VAGUE else 1), 0)
        ends = ["_".join(parts[start:]) for start in range(shortest, -1, -1)]
        for candidate in chain(ends, (ends[-1] + "_" * n for n in count(1))):
            names = {candidate, _inner_function(node.op, candidate), f"{candidate}_piece"}
            if not (names & self._taken or any(keyword.iskeyword(name) or name in KERNELS for name in names)):
                break
        self._taken |= names
        return candidate


def _argument(variable: str) -> str:
    """What the argument of an inner function is called that stands for a variable: ``state["policy"]`` is state_policy."""
    name = re.sub(r"\W+", "_", variable).strip("_")
    return f"{name}_" if name in KERNELS else name


def _inner_function(op: str, variable: str) -> str:
    """The function inside the printed one that a gradient or a condition needs."""
    return {GRAD: f"{variable}_loss", WHEN: f"{variable}_new"}.get(op, variable)


def _inlined(graph: Graph, steps: Iterable[Step]) -> set[str]:
    """Unnamed arithmetic that is used once: it is written inside the expression that uses it."""
    uses = Counter(i for node in graph.nodes.values() for i in node.inputs)
    uses.update([*graph.outputs.values()] * 2)
    uses.update(_kept(steps) * 2)
    return {name for name, node in graph.nodes.items() if uses[name] == 1 and (_is_unnamed(node) or _is_constant(node))}


def _kept(steps: Iterable[Step]) -> list[str]:
    """Values that leave their block by name."""
    kept: list[str] = []
    for step in steps:
        if isinstance(step, Differentiate):
            kept += [*step.carried, step.loss, step.wrt, *_kept(step.body)]
        elif isinstance(step, Choose):
            kept += [*step.new, *step.old, step.condition, *_kept(step.body)]
        elif isinstance(step, InPieces):
            kept += [*step.reads, *step.results, *_kept([step.step])]
    return kept


def _is_unnamed(node: Node) -> bool:
    """Whether nobody gave the node a name of its own."""
    if node.op not in ("Arithmetic", "Reduce") or not isinstance(node.expr, Call):
        return False
    own = re.sub(r"_\d+$", "", node.name.rsplit(".", 1)[-1])
    return node.expr.function.rsplit(".", 1)[-1].startswith(own) or own in _PLAIN_NAMES


def _is_constant(node: Node) -> bool:
    return isinstance(node.expr, Literal)


_INFIX = {"jnp.add": "+", "jnp.subtract": "-", "jnp.multiply": "*", "jnp.divide": "/"}
_PLAIN_NAMES = frozenset(PRIMITIVES)


class _Printer:
    """Prints expressions and schedules.

    ``variables`` names the values that are there; ``inlined`` nodes are written where they are used.
    """

    def __init__(self, variables: Mapping[str, str], inlined: Collection[str] = ()):
        self.variables = dict(variables)
        self.inlined = inlined

    def expr(self, expr: Expr, args: tuple[str, ...]) -> str:
        match expr:
            case Arg(index):
                return args[index]
            case Literal(value):
                return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)
            case Record(items):
                return "{" + ", ".join(f'"{key}": {self.expr(value, args)}' for key, value in items) + "}"
            case Call(function, (left, right), ()) if function in _INFIX:
                return f"({self.expr(left, args)} {_INFIX[function]} {self.expr(right, args)})"
            case Call("jnp.negative", (value,), ()):
                return f"-{self.expr(value, args)}"
            case Call(function, positional, named):
                return f"{function}({self._arguments(positional, named, args)})"
            case Partial(function, (), ()):
                return function
            case Partial(function, positional, named):
                return f"partial({function}, {self._arguments(positional, named, args)})"
            case Build(name, _):
                return name
            case Expand(value, pattern):
                index = ", ".join("None" if new else ":" for new in pattern)
                return f"{self.expr(value, args)}[{index}]"
            case Item(value, key):
                return f"{self.expr(value, args)}[{key!r}]"
        raise TypeError(f"not an expression: {expr!r}")

    def _arguments(self, positional: tuple, named: tuple, args: tuple[str, ...]) -> str:
        return ", ".join([*(self.expr(p, args) for p in positional), *(f"{k}={self.expr(v, args)}" for k, v in named)])

    def steps(self, steps: Iterable[Step]) -> list[str]:
        return [line for step in steps for line in self._step(step)]

    def _step(self, step: Step) -> list[str]:
        match step:
            case Compute(node):
                return self._compute(node)
            case Differentiate():
                return self._differentiate(step)
            case Choose():
                return self._choose(step)
            case InPieces():
                return self._in_pieces(step)
        raise TypeError(f"not a step: {step!r}")

    def _compute(self, node: Node) -> list[str]:
        args = tuple(self.variables[i] for i in node.inputs)
        value = f"jax.lax.stop_gradient({args[0]})" if node.op == STOP else self.expr(node.expr, args)
        if node.name in self.inlined:
            self.variables[node.name] = value
            return []
        return [f"{self.variables[node.name]} = {_bare(value)}{_origin(node)}"]

    def _differentiate(self, step: Differentiate) -> list[str]:
        name, wrt = self.variables[step.node.name], self.variables[step.wrt]
        local, function = _argument(wrt), _inner_function(GRAD, name)
        inside = _Printer({**self.variables, step.wrt: local}, self.inlined)
        carried = [self.variables[c] for c in step.carried]
        packed = "(" + "".join(f"{c}, " for c in carried).rstrip(" ") + ")"
        loss = f"jnp.sum({inside.variables[step.loss]})"
        body = [*inside.steps(step.body), f"return {loss}, {packed}"]
        return [
            f"def {function}({local}):",
            *indent("\n".join(body), "    ").split("\n"),
            f"{name}, {packed if carried else '_'} = jax.grad({function}, has_aux=True)({wrt}){_origin(step.node)}",
        ]

    def _choose(self, step: Choose) -> list[str]:
        name = self.variables[step.node.name]
        function = _inner_function(WHEN, name)
        new = "".join(f"{self.variables[n]}, " for n in step.new).rstrip(" ")
        old = "".join(f"{self.variables[o]}, " for o in step.old).rstrip(" ")
        body = [*self.steps(step.body), f"return ({new})"]
        return [
            f"def {function}():",
            *indent("\n".join(body), "    ").split("\n"),
            f"{name} = jax.lax.cond({self.variables[step.condition]}, {function}, lambda: ({old}))",
        ]

    def _in_pieces(self, step: InPieces) -> list[str]:
        reads, results = step.reads, step.results
        local = {name: _argument(self.variables[name]) for name in reads}
        inside = _Printer({**self.variables, **local}, self.inlined)
        function = f"{self.variables[step.node.name]}_piece"
        returned = "".join(f"{inside.variables[name]}, " for name in results).rstrip(" ")
        body = [*inside.steps([step.step]), f"return ({returned})"]
        values = _tuple(self.variables[name] for name in reads)
        arguments = f"{function}, {values}, {step.axes(reads)}, {step.axes(results)}, {step.limit}"
        return [
            f"def {function}({', '.join(local.values())}):",
            *indent("\n".join(body), "    ").split("\n"),
            f"{returned} = in_pieces({arguments}){_origin(step.node)}",
        ]


def _tuple(values: Iterable[str]) -> str:
    return "(" + "".join(f"{value}, " for value in values).rstrip(" ") + ")"


def _bare(value: str) -> str:
    """The text without parentheses that enclose all of it."""
    if not value.startswith("("):
        return value
    depth = 0
    for position, character in enumerate(value):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return value[1:-1] if position == len(value) - 1 else value
    return value


def _origin(node: Node) -> str:
    """Where a node comes from; the spec without its folder, which means nothing where the file is published."""
    span = node.span
    return f"  # {Path(span.file).name}:{span.line}:{span.column}" if span is not None else ""
