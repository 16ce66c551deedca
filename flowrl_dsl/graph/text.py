"""The text form of a graph: one line per node; it can be parsed.

    graph step: step
    module critic_net = mlp(inputs=(('s', 3), ('a', 1)), sizes=(64,), outputs=1, activation='relu', layer_norm=False)
    %state.critic: tree = Input
    %q: f32[ensemble, batch] = QValue(%state.critic, %batch.s, %batch.a) = ensemble_values(@critic_net, $0, {"s": $1})
    output state.critic = %critic.new

The header gives the graph's name and role.  ``$i`` is the node's input number i, ``@name`` a module, built once, ``&f(x)`` a
function with some arguments given, ``x[:, ^]`` a value with an inserted axis; ``in pieces of n`` is the number of rows
computed at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from flowrl_dsl.graph.expr import Arg, Build, Call, Dictionary, Expand, Expr, Item, Literal, Partial, modules_in
from flowrl_dsl.graph.nodes import Graph, Node, Type


def print_graph(graph: Graph) -> str:
    """The graph as text; ``parse_graph`` of it equals the graph (spans apart)."""
    lines = [f"graph {graph.name}" + (f": {graph.role}" if graph.role else "")]
    modules = modules_in(node.expr for node in graph.nodes.values() if node.expr is not None)
    lines += [f"module {name} = {_print(build.call)}" for name, build in modules.items()]
    lines += [_print_node(node) for node in graph.nodes.values()]
    lines += [f"output {output} = %{name}" for output, name in graph.outputs.items()]
    return "\n".join(lines) + "\n"


def _print_node(node: Node) -> str:
    inputs = f"({', '.join('%' + i for i in node.inputs)})" if node.inputs else ""
    expr = f" = {_print(node.expr)}" if node.expr is not None else ""
    origin = f"  # {node.span}" if node.span is not None else ""
    pieces = f" in pieces of {node.chunk}" if node.chunk is not None else ""
    return f"%{node.name}: {node.type} = {node.op}{inputs}{pieces}{expr}{origin}"


def _print(expr: Expr) -> str:
    match expr:
        case Arg(index):
            return f"${index}"
        case Literal(value):
            return repr(value)
        case Dictionary(items):
            return "{" + ", ".join(f'"{key}": {_print(value)}' for key, value in items) + "}"
        case Call(function, args, kwargs):
            return f"{function}({_arguments(args, kwargs)})"
        case Partial(function, args, kwargs):
            return f"&{function}({_arguments(args, kwargs)})"
        case Build(name, _):
            return f"@{name}"
        case Expand(value, pattern):
            return f"{_print(value)}[{', '.join('^' if new else ':' for new in pattern)}]"
        case Item(value, key):
            return f"{_print(value)}[{key!r}]"
    raise TypeError(f"not an expression: {expr!r}")


def _arguments(args: tuple[Expr, ...], kwargs: tuple[tuple[str, Expr], ...]) -> str:
    return ", ".join([*map(_print, args), *(f"{key}={_print(value)}" for key, value in kwargs)])


_NODE = re.compile(
    r"%(?P<name>[\w.]+): (?P<type>\w+(?:\[[\w, ]*\])?) = "
    r"(?P<op>\w+)(?:\((?P<inputs>[%\w., ]*)\))?(?: in pieces of (?P<chunk>\d+))?(?: = (?P<expr>.*))?"
)
_ORIGIN = re.compile(r"  # [^\"']*$")
_TOKEN = re.compile(
    r"\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|-?\d[\w.+-]*|-?(?:inf|nan)\b"
    r"|[A-Za-z_][\w.]*|[$&@=(){}\[\]:,^])"
)


def parse_graph(text: str) -> Graph:
    """The graph a text describes.  Raises ``ValueError`` with the line for invalid text."""
    header, *lines = text.strip("\n").split("\n")
    if not header.startswith("graph "):
        raise ValueError(f"expected 'graph NAME', found {header!r}")
    nodes: dict[str, Node] = {}
    outputs: dict[str, str] = {}
    modules: dict[str, Build] = {}
    for line in lines:
        line = _ORIGIN.sub("", line)
        if line.startswith("module "):
            name, _, call = line.removeprefix("module ").partition(" = ")
            modules[name] = _module(name, _Parser(call, modules).parse())
        elif line.startswith("output "):
            output, _, name = line.removeprefix("output ").partition(" = %")
            outputs[output] = name
        else:
            node = _parse_node(line, modules)
            nodes[node.name] = node
    name, _, role = header.removeprefix("graph ").partition(": ")
    return Graph(name, nodes, outputs, role)


def _module(name: str, call: Expr) -> Build:
    if not isinstance(call, Call):
        raise ValueError(f"module {name} is not built by a call")
    return Build(name, call)


def _parse_node(line: str, modules: Mapping[str, Build]) -> Node:
    match = _NODE.fullmatch(line)
    if match is None:
        raise ValueError(f"not a node: {line!r}")
    inputs = tuple(i.strip().removeprefix("%") for i in (match["inputs"] or "").split(",") if i.strip())
    expr = None if match["expr"] is None else _Parser(match["expr"], modules).parse()
    chunk = None if match["chunk"] is None else int(match["chunk"])
    return Node(match["name"], match["op"], inputs, expr, _parse_type(match["type"]), chunk=chunk)


def _parse_type(text: str) -> Type:
    dtype, _, axes = text.partition("[")
    return Type(tuple(axis.strip() for axis in axes.rstrip("]").split(",") if axis.strip()), dtype)


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str, modules: Mapping[str, Build]):
        self.text = text
        self.modules = modules
        self.tokens = _tokens(text)
        self.at = 0

    def parse(self) -> Expr:
        expr = self.expr()
        if self.at != len(self.tokens):
            raise ValueError(f"unexpected {self.tokens[self.at]!r} in {self.text!r}")
        return expr

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise ValueError(f"expected {expected or 'more'}, found {token or 'the end'!r} in {self.text!r}")
        self.at += 1
        return token

    def expr(self) -> Expr:
        expr = self.primary()
        while self.peek() == "[":
            expr = self.index(expr)
        return expr

    def primary(self) -> Expr:
        token = self.peek()
        if token == "$":
            self.take()
            return Arg(int(self.take()))
        if token == "&":
            self.take()
            return Partial(self.take(), *self.arguments())
        if token == "@":
            self.take()
            return self.module(self.take())
        if token == "{":
            return self.dictionary()
        if re.match(r"[A-Za-z_]", token) and token not in ("True", "False", "None", "nan", "inf"):
            return Call(self.take(), *self.arguments())
        return Literal(self.literal())

    def module(self, name: str) -> Build:
        if name not in self.modules:
            raise ValueError(f"module {name} is used before it is given")
        return self.modules[name]

    def dictionary(self) -> Dictionary:
        self.take("{")
        items = []
        while self.peek() != "}":
            key = ast.literal_eval(self.take())
            self.take(":")
            items.append((key, self.expr()))
            self.separator("}")
        self.take("}")
        return Dictionary(tuple(items))

    def separator(self, close: str) -> None:
        if self.peek() != close:
            self.take(",")

    def arguments(self) -> tuple[tuple[Expr, ...], tuple[tuple[str, Expr], ...]]:
        self.take("(")
        args, kwargs = [], []
        while self.peek() != ")":
            if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] == "=":
                key = self.take()
                self.take("=")
                kwargs.append((key, self.expr()))
            else:
                args.append(self.expr())
            self.separator(")")
        self.take(")")
        return tuple(args), tuple(kwargs)

    def index(self, value: Expr) -> Expr:
        self.take("[")
        if self.peek() not in (":", "^"):
            key = self.literal()
            if not isinstance(key, int | str):
                raise ValueError(f"{key!r} is neither a place nor a name, in {self.text!r}")
            self.take("]")
            return Item(value, key)
        pattern = []
        while self.peek() != "]":
            pattern.append(self.take() == "^")
            self.separator("]")
        self.take("]")
        return Expand(value, tuple(pattern))

    def literal(self) -> object:
        if self.peek() != "(":
            token = self.take()
            return float(token) if token.lstrip("-") in ("nan", "inf") else ast.literal_eval(token)
        self.take("(")
        items = []
        while self.peek() != ")":
            items.append(self.literal())
            self.separator(")")
        self.take(")")
        return tuple(items)


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {text[at]!r} in {text!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens
