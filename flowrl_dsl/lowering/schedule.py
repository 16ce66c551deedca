"""The execution order of a graph: straight-line steps, with nested blocks for gradients and conditions.

A gradient's region (the nodes between its variable and its loss) becomes the body of a function that jax differentiates;
values of the region needed outside it are returned with the gradient, so no forward pass is repeated.  The nodes
needed only by the new values of a ``When`` become the body of its branch.  A node marked to be computed in chunks of rows
becomes the body of a loop over them.  The evaluator runs this schedule and the emitter prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowrl_dsl.graph.nodes import GRAD, INPUT, WHEN, Graph, Node, ancestors, region


@dataclass
class Compute:
    """Evaluate one node."""

    node: Node


@dataclass
class Differentiate:
    """Define a function of ``wrt`` with this body, differentiate its summed loss; ``carried`` values are also returned."""

    node: Node
    body: list[Step]
    carried: list[str] = field(default_factory=list)

    @property
    def loss(self) -> str:
        return self.node.inputs[0]

    @property
    def wrt(self) -> str:
        return self.node.inputs[1]


@dataclass
class Choose:
    """Run the body and take the new values if the condition holds, otherwise take the old values."""

    node: Node
    body: list[Step]

    @property
    def condition(self) -> str:
        return self.node.inputs[0]

    @property
    def new(self) -> tuple[str, ...]:
        return new_values(self.node)

    @property
    def old(self) -> tuple[str, ...]:
        return self.node.inputs[1 + len(self.node.inputs) // 2 :]


@dataclass
class InPieces:
    """Run a step on chunks of states: ``reads`` are split along their axis ``batch`` and ``results`` concatenated.

    Results without that axis are means over states.
    """

    step: Compute | Differentiate
    graph: Graph

    @property
    def node(self) -> Node:
        return self.step.node

    @property
    def limit(self) -> int:
        """Rows of one chunk."""
        assert self.node.chunk is not None
        return self.node.chunk

    @property
    def reads(self) -> list[str]:
        """Outside values that depend on the state."""
        if isinstance(self.step, Compute):
            found = dict.fromkeys(self.node.inputs)
        else:
            inside = region(self.graph, self.node)
            read = (i for name in inside for i in self.graph.nodes[name].inputs if i not in {*inside})
            found = dict.fromkeys([self.step.wrt, *read])
        return [name for name in found if "batch" in self.graph.nodes[name].type.axes]

    @property
    def results(self) -> list[str]:
        carried = self.step.carried if isinstance(self.step, Differentiate) else []
        return [self.node.name, *carried]

    def axes(self, names: Iterable[str]) -> tuple[int | None, ...]:
        """The position of the state axis in each of these values."""
        found = (self.graph.nodes[name].type.axes for name in names)
        return tuple(axes.index("batch") if "batch" in axes else None for axes in found)


Step = Compute | Differentiate | Choose | InPieces


def new_values(node: Node) -> tuple[str, ...]:
    """The inputs of a When that are needed only if its condition holds."""
    return node.inputs[1 : 1 + len(node.inputs) // 2]


def schedule(graph: Graph) -> list[Step]:
    """The steps that compute every output of the graph from its inputs."""
    inputs = {name for name, node in graph.nodes.items() if node.op == INPUT}
    return _Block(graph, inputs, list(graph.outputs.values())).steps


class _Block:
    """Schedules the targets of one block, given the values already available."""

    def __init__(self, graph: Graph, available: set[str], targets: Iterable[str]):
        self.graph = graph
        self.done = set(available)
        self.busy: set[str] = set()
        self.steps: list[Step] = []
        self.gradients: dict[str, tuple[Differentiate, _Block]] = {}
        targets = list(targets)
        self.unconditional = self._unconditional(targets)
        self.owner = self._owners()
        for target in targets:
            self.visit(target)

    def _unconditional(self, targets: list[str]) -> set[str]:
        """The nodes needed for any conditions of the Whens."""
        seen: set[str] = set()
        stack = list(targets)
        while stack:
            name = stack.pop()
            if name in seen or name in self.done:
                continue
            seen.add(name)
            node = self.graph.nodes[name]
            skipped = new_values(node) if node.op == WHEN else ()
            stack.extend(i for position, i in enumerate(node.inputs) if not 1 <= position <= len(skipped))
        return seen

    def _owners(self) -> dict[str, str]:
        """The gradient whose function computes a node: the outermost one, and the first of several."""
        grads = [node for name, node in self.graph.nodes.items() if name in self.unconditional and node.op == GRAD]
        regions = {grad.name: region(self.graph, grad) for grad in grads}
        inner = {name for grad, names in regions.items() for name in names if name in regions and name != grad}
        owner: dict[str, str] = {}
        for grad, names in regions.items():
            if grad not in inner:
                for name in names:
                    owner.setdefault(name, grad)
        return owner

    def visit(self, name: str) -> None:
        """Make sure that the block computes the node."""
        if name in self.done:
            return
        grad = self.owner.get(name)
        if grad is not None and grad not in self.busy:
            self.visit(grad)
            function, inside = self.gradients[grad]
            inside.visit(name)
            function.carried.append(name)
            self.done.add(name)
            return
        self.busy.add(name)
        node = self.graph.nodes[name]
        if node.op == GRAD:
            self._differentiate(node)
        elif node.op == WHEN:
            self._choose(node)
        else:
            for i in node.inputs:
                self.visit(i)
            self.steps.append(self._apart(Compute(node)))
        self.busy.discard(name)
        self.done.add(name)

    def _differentiate(self, node: Node) -> None:
        loss, wrt = node.inputs
        inside = region(self.graph, node)
        self.visit(wrt)
        for name in self._outside(inside, wrt):
            self.visit(name)
        block = _Block(self.graph, self.done - set(inside), [loss])
        function = Differentiate(node, block.steps)
        self.gradients[node.name] = function, block
        self.steps.append(self._apart(function))

    def _apart(self, step: Compute | Differentiate) -> Step:
        return step if step.node.chunk is None else InPieces(step, self.graph)

    def _outside(self, inside: list[str], *known: str) -> list[str]:
        """The outside values read by the nodes of a region, in order."""
        members = set(inside).union(known)
        found: dict[str, None] = {}
        for name in inside:
            for i in self.graph.nodes[name].inputs:
                if i not in members:
                    found.setdefault(i)
        return list(found)

    def _choose(self, node: Node) -> None:
        chosen = Choose(node, [])
        for name in (chosen.condition, *chosen.old):
            self.visit(name)
        conditional = set(self.graph.nodes) - self.done - self.unconditional
        reached = ancestors(self.graph, chosen.new, through=conditional)
        for name in self._outside([n for n in self.graph.nodes if n in reached]):
            self.visit(name)
        for name in chosen.new:
            if name not in reached:
                self.visit(name)
        chosen.body = _Block(self.graph, self.done, chosen.new).steps
        self.steps.append(chosen)
