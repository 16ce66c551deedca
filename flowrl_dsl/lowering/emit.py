"""Printing a program as one readable, self-contained Python file.

The file holds the source of every kernel the program uses, the networks, and ``init``, ``step`` and ``act`` as
straight-line code with one line for each node of the update graph.  It imports jax, flax and optax and nothing of this
package.
"""

from __future__ import annotations

import dis
import inspect
import keyword
import pprint
import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent
from types import CodeType

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
    children,
)
from flowrl_dsl.graph.nodes import INPUT, STOP, Graph, Node
from flowrl_dsl.lowering.schedule import Choose, Compute, Differentiate, Step, schedule

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
    builds = _builds(graphs.values())
    parts = [_HEADER.format(title=title, about=about, batch=batch, version=version)]
    parts += [inspect.getsource(KERNELS[name]).replace("@kernel\n", "", 1) for name in _kernels(graphs.values(), builds)]
    parts.append("\n".join(f"{name} = {_Printer({}).expr(build.call, ())}" for name, build in builds.items()))
    parts.append(f"HYPER = {pprint.pformat(dict(sorted(hyper.items())), width=100)}")
    parts += [_function(key, graph) for key, graph in graphs.items()]
    return "\n\n".join(part.rstrip() + "\n" for part in parts)


def _shape(node: Node) -> str:
    return "[" + ", ".join(node.type.axes) + "]"


def _expressions(graphs: Iterable[Graph]) -> Iterator[Expr]:
    for graph in graphs:
        yield from (node.expr for node in graph.nodes.values() if node.expr is not None)


def _walk(expr: Expr) -> Iterator[Expr]:
    """All parts of an expression, innermost first."""
    for child in children(expr):
        yield from _walk(child)
    yield expr


def _builds(graphs: Iterable[Graph]) -> dict[str, Build]:
    """The networks of the program by name, each after those it is made of."""
    found: dict[str, Build] = {}
    for expr in _expressions(graphs):
        found |= {part.name: part for part in _walk(expr) if isinstance(part, Build)}
    return found


def _kernels(graphs: Iterable[Graph], builds: Mapping[str, Build]) -> list[str]:
    """Names of all kernels the program uses, each after those it calls."""
    expressions = [*_expressions(graphs), *(build.call for build in builds.values())]
    used = {part.function for expr in expressions for part in _walk(expr) if isinstance(part, Call | Partial)}
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
    body = _Printer(variables).steps(schedule(graph))
    groups = {"state": {}, "metric": {}} if name in ("init", "step") else {"action": {}}
    for output, node in graph.outputs.items():
        group, _, key = output.partition(".")
        groups[group][key] = variables[node]
    if name == "init":
        del groups["metric"]
    results = [_dictionary(values) if group != "action" else values[""] for group, values in groups.items()]
    lines = [docstring, *body, f"return {', '.join(results)}"]
    return f"def {name}({arguments}):\n" + indent("\n".join(lines), "    ")


def _dictionary(values: Mapping[str, str]) -> str:
    inside = "".join(f'    "{key}": {value},\n' for key, value in values.items())
    return "{\n" + inside + "}"


class _Variables(dict):
    """Python names for the nodes of a graph: the last part of the node's name where that is unique, else the whole."""

    def __init__(self, graph: Graph):
        super().__init__()
        for node in graph.nodes.values():
            self[node.name] = self._leaf(node.name) if node.op == INPUT else self._fresh(node.name)

    @staticmethod
    def _leaf(name: str) -> str:
        group, _, key = name.partition(".")
        return f'{group}["{key}"]' if key else name

    def _fresh(self, name: str) -> str:
        parts = [re.sub(r"\W", "_", part) for part in name.split(".")]
        taken = {"state", "batch", "hyper", "key", "obs", "counter", "step", "init", "explore", "evaluate", *self.values()}
        for start in range(len(parts) - 1, -1, -1):
            candidate = "_".join(parts[start:])
            if candidate not in taken and not keyword.iskeyword(candidate) and candidate not in KERNELS:
                return candidate
        return "_".join(parts) + "_"


class _Printer:
    """Prints expressions and schedules; ``variables`` names the values that are there."""

    def __init__(self, variables: Mapping[str, str]):
        self.variables = variables

    def expr(self, expr: Expr, args: tuple[str, ...]) -> str:
        match expr:
            case Arg(index):
                return args[index]
            case Literal(value):
                return 'float("nan")' if value != value else repr(value)
            case Record(items):
                return "{" + ", ".join(f'"{key}": {self.expr(value, args)}' for key, value in items) + "}"
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
                return [self._compute(node)]
            case Differentiate():
                return self._differentiate(step)
            case Choose():
                return self._choose(step)
        raise TypeError(f"not a step: {step!r}")

    def _compute(self, node: Node) -> str:
        args = tuple(self.variables[i] for i in node.inputs)
        value = f"jax.lax.stop_gradient({args[0]})" if node.op == STOP else self.expr(node.expr, args)
        return f"{self.variables[node.name]} = {value}{_origin(node)}"

    def _differentiate(self, step: Differentiate) -> list[str]:
        name, wrt = self.variables[step.node.name], self.variables[step.wrt]
        local = re.sub(r"\W+", "_", wrt).strip("_")
        inside = _Printer({**self.variables, step.wrt: local})
        carried = [self.variables[c] for c in step.carried]
        packed = "(" + "".join(f"{c}, " for c in carried).rstrip(" ") + ")"
        loss = f"jnp.sum({inside.variables[step.loss]})"
        body = [*inside.steps(step.body), f"return {loss}, {packed}"]
        return [
            f"def {name}_loss({local}):",
            *indent("\n".join(body), "    ").split("\n"),
            f"{name}, {packed if carried else '_'} = jax.grad({name}_loss, has_aux=True)({wrt}){_origin(step.node)}",
        ]

    def _choose(self, step: Choose) -> list[str]:
        name = self.variables[step.node.name]
        new = "".join(f"{self.variables[n]}, " for n in step.new).rstrip(" ")
        old = "".join(f"{self.variables[o]}, " for o in step.old).rstrip(" ")
        body = [*self.steps(step.body), f"return ({new})"]
        return [
            f"def {name}_new():",
            *indent("\n".join(body), "    ").split("\n"),
            f"{name} = jax.lax.cond({self.variables[step.condition]}, {name}_new, lambda: ({old}))",
        ]


def _origin(node: Node) -> str:
    return f"  # {node.span}" if node.span is not None else ""
