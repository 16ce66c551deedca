"""The functions of a program as syntax trees: one statement for each named node of the update graph."""

from __future__ import annotations

import ast
import inspect
import math
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.graph.expr import KERNELS, Arg, Build, Call, Dictionary, Expand, Expr, Item, Literal, Partial, call
from flowrl_dsl.graph.nodes import ROLES, STOP, WHEN, Graph, Node
from flowrl_dsl.graph.pieces import in_pieces
from flowrl_dsl.graph.plain import WITHOUT_GRADIENT
from flowrl_dsl.lowering.emit.names import Names, Variables
from flowrl_dsl.lowering.schedule import Choose, Compute, Differentiate, InPieces, Step, new_values, schedule

Statements = list[ast.stmt]


def module_statement(build: Build) -> ast.stmt:
    """The statement that constructs a network."""
    return _statement(f"{build.name} = {_Printer({}).expr(build.call, ())}")


def function_statement(name: str, graph: Graph, taken: Collection[str]) -> ast.stmt:
    """A graph as one function with the arguments of its role; ``taken`` holds the other names of the file."""
    role = ROLES[graph.role]
    names = Names([*taken, *role.inputs])
    steps = schedule(graph)
    uses = _Uses(graph, steps)
    variables = Variables(graph, names, uses.inlined)
    printer = _Printer(variables.values, variables, uses)
    body = [ast.Expr(ast.Constant(role.doc)), *printer.steps(steps)]
    return _function(name, ", ".join(role.inputs), [*body, *_results(graph, printer.variables, names)])


_RESULTS = {"state": "new_state", "metric": "metrics"}
"""What groups of outputs are called that are returned beside others."""


def _results(graph: Graph, variables: Mapping[str, str], names: Names) -> Statements:
    """The return statement: outputs by group; a program's state is always returned with its metrics, even without any."""
    groups: dict[str, dict[str, str]] = {"state": {}, "metric": {}} if ROLES[graph.role].updates else {}
    for output, node in graph.outputs.items():
        group, _, key = output.partition(".")
        groups.setdefault(group, {})[key] = variables[node]
    if "field" in groups:
        groups = {"acted": {"action": groups["action"][""], **groups["field"]}}
    if len(groups) == 1:
        ((group, values),) = groups.items()
        return [_statement(f"return {values[''] if group == 'action' else _dictionary(values)}")]
    found = {group: names.free(_RESULTS.get(group, group)) for group in groups}
    returned = [_statement(f"{found[group]} = {_dictionary(values)}") for group, values in groups.items()]
    return [*returned, _statement(f"return {', '.join(found.values())}")]


def _dictionary(values: Mapping[str, str]) -> str:
    """A dictionary display; unchanged entries come first, as ``**state``."""
    kept = [key for key, value in values.items() if value == f'state["{key}"]']
    entries = [f'"{key}": {value}' for key, value in values.items() if key not in kept]
    return "{" + ", ".join(["**state"] * bool(kept) + entries) + "}"


def _statement(source: str, origin: str = "") -> ast.stmt:
    statement = ast.parse(source).body[0]
    statement.origin = origin  # type: ignore[attr-defined]
    return statement


class _Uses:
    """Which values of a graph are inlined at their use, and which tuples are unpacked at their definition."""

    def __init__(self, graph: Graph, steps: Iterable[Step]):
        single = graph.outputs.values() if len(graph.outputs) == 1 else ()
        readers = {i for node in graph.nodes.values() for i in node.inputs}
        uses = Counter(i for node in graph.nodes.values() for i in node.inputs)
        uses.update([*graph.outputs.values()] * 2)
        self._kept = {*graph.outputs.values(), *_kept(steps)}
        uses.update(_kept(steps) * 2)
        constants = {name for name, node in graph.nodes.items() if node.op == "Init" and not node.inputs}
        self.inlined = {name for name, node in graph.nodes.items() if uses[name] == 1 and _is_unnamed(node)}
        self.inlined |= {name for name in (*constants, *single) if name not in readers}
        self.inlined |= {node.inputs[0] for node in graph.nodes.values() if self._is_only_stopped(graph, node, uses)}
        self.unpacked = self._unpacked(graph, self._kept)
        self.items = {item for items in self.unpacked.values() for item in items if item is not None}

    @staticmethod
    def _is_only_stopped(graph: Graph, node: Node, uses: Mapping[str, int]) -> bool:
        """Whether the node stops the gradient of a value with no other use."""
        return node.op == STOP and uses[node.inputs[0]] == 1 and graph.nodes[node.inputs[0]].op in ("Arithmetic", "Reduce")

    @staticmethod
    def _unpacked(graph: Graph, kept: Collection[str]) -> dict[str, list[str | None]]:
        """For each tuple read only by position, its reader at each position."""
        readers: dict[str, list[Node]] = {}
        for node in graph.nodes.values():
            for i in node.inputs:
                readers.setdefault(i, []).append(node)
        found = {}
        for name, nodes in readers.items():
            items = {node.expr.key: node.name for node in nodes if isinstance(node.expr, Item)}
            whole = len(items) < len(nodes) or not all(isinstance(key, int) for key in items)
            size = _length(graph.nodes[name])
            if name not in kept and items and not whole and size is not None:
                found[name] = [items.get(position) for position in range(size)]
        return found


def _length(node: Node) -> int | None:
    """The length of a node's tuple: the number of values of a choice; parameters and state for an optimizer step."""
    return len(new_values(node)) if node.op == WHEN else 2 if node.op == "GradientStep" else None


def _kept(steps: Iterable[Step]) -> list[str]:
    """Named values that are used outside their block."""
    kept: list[str] = []
    for step in steps:
        if isinstance(step, Differentiate):
            kept += [*step.carried, step.wrt, *_kept(step.body)]
        elif isinstance(step, Choose):
            kept += [*step.new, *step.old, step.condition, *_kept(step.body)]
        elif isinstance(step, InPieces):
            kept += [*step.reads, *step.results, *_kept([step.step])]
    return kept


_PLAIN_NAMES = frozenset(PRIMITIVES)


def _is_unnamed(node: Node) -> bool:
    """Whether the node has only a generated name."""
    if node.op == "Key" or isinstance(node.expr, Literal):
        return True
    if node.op not in ("Arithmetic", "Reduce") or not isinstance(node.expr, Call):
        return False
    own = re.sub(r"_\d+$", "", node.name.rsplit(".", 1)[-1])
    return node.expr.function.rsplit(".", 1)[-1].startswith(own) or own in _PLAIN_NAMES


_LONGEST = 100
"""Columns of a value without a name; a longer one is given a name and a line."""

_INFIX = {"jnp.add": "+", "jnp.subtract": "-", "jnp.multiply": "*", "jnp.divide": "/"}


class _Printer:
    """Prints expressions and schedules.

    ``variables`` names the available values; ``around`` holds the arguments of the enclosing inner functions.  Code that is
    not ``differentiated`` does not need kernels that exist only for their gradient.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        names: Variables | None = None,
        uses: _Uses | None = None,
        around: tuple[str, ...] = (),
        differentiated: bool = False,
    ):
        self.variables = dict(variables)
        self._around = around
        self._differentiated = differentiated
        self._names = names
        self._uses = uses

    @property
    def names(self) -> Variables:
        assert self._names is not None, "expressions of networks have no steps"
        return self._names

    @property
    def uses(self) -> _Uses:
        assert self._uses is not None, "expressions of networks have no steps"
        return self._uses

    def inside(self, arguments: Mapping[str, str], differentiated: bool = False) -> _Printer:
        """A printer for the body of an inner function, where arguments replace some values."""
        around = (*self._around, *arguments.values())
        return _Printer(
            {**self.variables, **arguments}, self._names, self._uses, around, self._differentiated or differentiated
        )

    # expressions

    def expr(self, expr: Expr, args: tuple[str, ...]) -> str:
        match expr:
            case Arg(index):
                return args[index]
            case Literal(value):
                return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)
            case Dictionary(items):
                return "{" + ", ".join(f'"{key}": {self.expr(value, args)}' for key, value in items) + "}"
            case Call(function, (left, right), ()) if function in _INFIX:
                return f"({self.expr(left, args)} {_INFIX[function]} {self.expr(right, args)})"
            case Call("jnp.negative", (value,), ()):
                return f"(-{self.expr(value, args)})"
            case Call():
                function = expr.function if self._differentiated else WITHOUT_GRADIENT.get(expr.function, expr.function)
                return f"{function}({self._arguments(expr, args)})"
            case Partial(function, (), ()):
                return function
            case Partial():
                return f"partial({expr.function}, {self._arguments(expr, args)})"
            case Build(name, _):
                return name
            case Expand(value, pattern):
                axes = ", ".join("None" if new else ":" for new in pattern)
                return f"{self.expr(value, args)}[{axes}]"
            case Item(value, key):
                return f"{self.expr(value, args)}[{key!r}]"
        raise TypeError(f"not an expression: {expr!r}")

    def _arguments(self, expr: Call | Partial, args: tuple[str, ...]) -> str:
        positional, named = without_defaults(expr)
        return ", ".join([*(self.expr(p, args) for p in positional), *(f"{k}={self.expr(v, args)}" for k, v in named)])

    # steps

    def steps(self, steps: Iterable[Step]) -> Statements:
        return [statement for step in steps for statement in self._step(step)]

    def _step(self, step: Step) -> Statements:
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

    def _compute(self, node: Node) -> Statements:
        if node.name in self.uses.items:
            return []
        args = tuple(self.variables[i] for i in node.inputs)
        value = self._value(node, args)
        if node.name in self.uses.inlined:
            if len(value) <= _LONGEST:
                self.variables[node.name] = value
                return []
            self.variables[node.name] = self.names.value(node)
        stopped = node.op == STOP and node.inputs[0] in self.uses.inlined
        origin = _origin(self.names.graph.nodes[node.inputs[0]] if stopped else node)
        return [_statement(f"{self._target(node.name)} = {value}", origin)]

    def _value(self, node: Node, args: tuple[str, ...]) -> str:
        if node.op == STOP:
            return f"jax.lax.stop_gradient({args[0]})"
        if is_named_draw(node):
            return f'draw_key({args[0]}, "{node.name.removesuffix(".key")}")'
        assert node.expr is not None
        return self.expr(node.expr, args)

    def _target(self, name: str) -> str:
        """The variable of a value, or the variables of its items if only those are read."""
        items = self.uses.unpacked.get(name)
        if items is None:
            return self.variables[name]
        return _listed("_" if item is None else self.variables[item] for item in items)

    def _differentiate(self, step: Differentiate) -> Statements:
        """``loss, gradient = jax.value_and_grad(function)(wrt)``, with further outputs as auxiliary values."""
        function, wrt = self.names.functions[step.node.name], self.variables[step.wrt]
        local = self.names.argument(step.wrt, self._around)
        inside = self.inside({step.wrt: local}, differentiated=True)
        body = inside.steps(step.body)
        loss = inside.variables[step.loss]
        scalar = not self._type_axes(step)
        valued = scalar and step.loss in step.carried
        rest = _packed(inside.variables[name] for name in step.carried if not (valued and name == step.loss))
        returned = loss if scalar else f"jnp.sum({loss})"
        body.append(_statement(f"return {returned}, {rest}" if rest else f"return {returned}"))
        gradient = self.variables[step.node.name]
        aux = ", has_aux=True" if rest else ""
        if valued:
            found = f"({loss}, {rest}), {gradient}" if rest else f"{loss}, {gradient}"
        else:
            found = f"{gradient}, {rest}" if rest else gradient
        differentiated = f"jax.{'value_and_grad' if valued else 'grad'}({function}{aux})({wrt})"
        return [_function(function, local, body), _statement(f"{found} = {differentiated}", _origin(step.node))]

    def _type_axes(self, step: Differentiate) -> tuple[str, ...]:
        return self.names.graph.nodes[step.loss].type.axes

    def _choose(self, step: Choose) -> Statements:
        function = self.names.functions[step.node.name]
        inside = self.inside({})
        body = inside.steps(step.body)
        body.append(_statement(f"return {_tuple(inside.variables[n] for n in step.new)}"))
        old = _tuple(self.variables[o] for o in step.old)
        condition = self.variables[step.condition]
        chosen = f"{self._target(step.node.name)} = jax.lax.cond({condition}, {function}, lambda: {old})"
        return [_function(function, "", body), _statement(chosen)]

    def _in_pieces(self, step: InPieces) -> Statements:
        reads, results = step.reads, step.results
        local = {name: self.names.argument(name, self._around) for name in reads}
        inside = self.inside(local)
        function = self.names.pieces[step.node.name]
        body = inside.steps([step.step])
        body.append(_statement(f"return {_tuple(inside.variables[name] for name in results)}"))
        values = _tuple(self.variables[name] for name in reads)
        arguments = f"{function}, {values}, {step.axes(reads)}, {step.axes(results)}, {step.limit}"
        found = _listed(inside.variables[name] for name in results)
        return [
            _function(function, ", ".join(local.values()), body),
            _statement(f"{found} = {in_pieces.__name__}({arguments})", _origin(step.node)),
        ]


def _function(name: str, arguments: str, body: Statements) -> ast.stmt:
    function = _statement(f"def {name}({arguments}): pass")
    assert isinstance(function, ast.FunctionDef)
    function.body = body
    return function


def _tuple(values: Iterable[str]) -> str:
    return "(" + "".join(f"{value}, " for value in values).rstrip(" ") + ")"


def _listed(values: Iterable[str]) -> str:
    """The targets of a tuple assignment."""
    return _tuple(values)


def _packed(values: Iterable[str]) -> str:
    """An empty text, one value, or a tuple of several values."""
    several = list(values)
    return several[0] if len(several) == 1 else _tuple(several) if several else ""


def without_defaults(expr: Call | Partial) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...]]:
    """The arguments of a kernel call that differ from the kernel's defaults."""
    kernel = KERNELS.get(expr.function)
    if kernel is None:
        return expr.args, expr.kwargs
    parameters = inspect.signature(kernel).parameters
    positional, named = list(expr.args), []
    for key, value in expr.kwargs:
        if key not in parameters or value != Literal(parameters[key].default):
            named.append((key, value))
    order = list(parameters.values())
    while positional and len(positional) <= len(order) and positional[-1] == Literal(order[len(positional) - 1].default):
        positional.pop()
    return tuple(positional), tuple(named)


def is_named_draw(node: Node) -> bool:
    """Whether a key equals the one that ``draw_key`` in the printed file derives from the node's name."""
    expected = call("jax.random.fold_in", Arg(0), zlib.crc32(node.name.encode()) & 0x7FFFFFFF)
    return node.op == "Key" and node.name.endswith(".key") and node.expr == expected


def _origin(node: Node) -> str:
    """The origin of a node in the spec; the folder is omitted, since it is meaningless in a published file."""
    span = node.span
    return f"{Path(span.file).name}:{span.line}:{span.column}" if span is not None else ""
