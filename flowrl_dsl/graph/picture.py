"""What a picture of a graph shows: its values by stage, without what a reader of the algorithm need not see.

Left out are random keys, constants, numbers that are inputs, the states of optimizers, metrics, and the check for values
that are not finite.  A formula is one box, named after its result.  Inputs are shown in every stage that reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from flowrl_dsl.axes import show
from flowrl_dsl.graph.nodes import GRAD, INPUT, STOP, WHEN, Graph, Node

HIDDEN = ("Key", "Constant", "Finite", "Every")
FORMULA = ("Arithmetic", "Reduce", "Broadcast", "Select")
KINDS = {
    "QValue": "network",
    "Predict": "network",
    "Sample": "network",
    "LogProb": "network",
    "Embed": "network",
    "Loss": "loss",
    "Grad": "loss",
    "TDTarget": "loss",
    "GradientStep": "step",
    "EMA": "step",
    WHEN: "step",
    "Moments": "step",
    "Noise": "noise",
    "Diffuse": "noise",
    "NoiseSchedule": "noise",
}
"""Kinds of boxes, by operation; all others are a ``value``, inputs an ``input``."""
_BEFORE = "before the stages"


@dataclass(frozen=True)
class Box:
    """``title`` is the operation, ``detail`` the name and the axes of its value; ``writes`` the groups that become it."""

    name: str
    stage: str
    kind: str
    title: str
    detail: str
    writes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """From a box to one that reads it; ``stopped`` if no gradient passes."""

    source: str
    target: str
    stopped: bool = False


@dataclass
class Picture:
    """Boxes by name, in the order of the graph, and the arrows between them."""

    title: str
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[Arrow] = field(default_factory=list)

    @property
    def stages(self) -> list[str]:
        """The stages in the order of the graph."""
        return list(dict.fromkeys(box.stage for box in self.boxes.values()))


def picture(graph: Graph, title: str) -> Picture:
    """The picture of an update graph."""
    shown = _Shown(graph)
    found = Picture(title)
    inputs: dict[str, list[Box]] = {}
    arrows: dict[Arrow, None] = {}
    for name in shown.order:
        stage = shown.stage(name)
        for source, stopped in shown.read(name):
            if graph.nodes[source].op == INPUT:
                box = _input(graph.nodes[source], stage)
                inputs.setdefault(stage, []).append(box)
                source = box.name
            arrows[Arrow(source, name, stopped)] = None
    stages = dict.fromkeys(map(shown.stage, shown.order))
    for stage in stages:
        found.boxes |= {box.name: box for box in inputs.get(stage, [])}
        found.boxes |= {name: shown.box(name) for name in shown.order if shown.stage(name) == stage}
    found.arrows = list(arrows)
    return found


def _input(node: Node, stage: str) -> Box:
    group, _, name = node.name.partition(".")
    return Box(f"{stage}/{node.name}", stage, "input", name, "parameters" if group == "state" else show(node.type.axes))


class _Shown:
    """Which nodes of a graph are boxes, and what each of them reads."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.writes = self._written()
        reached = self._reached()
        self._merged = self._formulas(reached)
        self.order = [name for name in graph.nodes if name in reached and name not in self._merged and not self._input(name)]

    def _input(self, name: str) -> bool:
        return self.graph.nodes[name].op == INPUT

    def _hidden(self, name: str) -> bool:
        node = self.graph.nodes[name]
        if node.op != INPUT:
            return node.op in HIDDEN
        group, _, rest = name.partition(".")
        return not (group == "batch" or (group == "state" and self._parameters(rest)))

    def _parameters(self, group: str) -> bool:
        """Whether a group of the state holds parameters or their copies."""
        return group not in ("key", "step", "bad_update") and not group.endswith("_opt")

    def _through(self, name: str) -> tuple[str, bool]:
        """The node behind parts and stops, and whether a stop was among them."""
        stopped = False
        while (node := self.graph.nodes[name]).op in ("Item", STOP):
            stopped = stopped or node.op == STOP
            name = node.inputs[0]
        return name, stopped

    def _written(self) -> dict[str, list[str]]:
        """The groups of parameters that each node's value becomes, in the order of the outputs."""
        found: dict[str, list[str]] = {}
        for output, name in self.graph.outputs.items():
            kind, _, group = output.partition(".")
            source = self._through(name)[0]
            if kind == "state" and self._parameters(group) and not self._input(source):
                found.setdefault(source, []).append(group)
        return found

    def _inputs(self, node: Node) -> tuple[str, ...]:
        """What a node reads, apart from what its operation says by itself: the parameters that a step changes."""
        if node.op == GRAD:
            loss, wrt = node.inputs
            return (loss,) if self._input(wrt) else node.inputs
        if node.op == "GradientStep":
            return node.inputs[1:2]
        return tuple(self._chosen(node)) if node.op == WHEN else node.inputs

    def _chosen(self, node: Node) -> Iterator[str]:
        """The new values of a When that become parameters."""
        for output, name in self.graph.outputs.items():
            kind, _, group = output.partition(".")
            part = self.graph.nodes[name]
            if kind == "state" and self._parameters(group) and part.op == "Item" and part.inputs == (node.name,):
                yield node.inputs[1 + int(getattr(part.expr, "key", 0))]

    def _direct(self, name: str) -> list[tuple[str, bool]]:
        found = [self._through(i) for i in self._inputs(self.graph.nodes[name])]
        return [(source, stopped) for source, stopped in dict.fromkeys(found) if not self._hidden(source)]

    def _reached(self) -> set[str]:
        seen: set[str] = set()
        stack = list(self.writes)
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack += [source for source, _ in self._direct(name)]
        return seen

    def _formulas(self, reached: set[str]) -> dict[str, str]:
        """The parts of formulas, each with the only node that reads it, which is of the same formula and stage."""
        readers: dict[str, list[tuple[str, bool]]] = {}
        for name in reached:
            for source, stopped in self._direct(name):
                readers.setdefault(source, []).append((name, stopped))
        found = {}
        for name in reached - set(self.writes):
            (reader, stopped), *others = readers[name]
            of_formula = self.graph.nodes[name].op in FORMULA and self.graph.nodes[reader].op in FORMULA
            if of_formula and not others and not stopped and self.stage(name) == self.stage(reader):
                found[name] = reader
        return found

    def read(self, name: str) -> list[tuple[str, bool]]:
        """The boxes and inputs that a box reads, those of the parts of its formula included."""
        found: dict[tuple[str, bool], None] = {}
        for source, stopped in self._direct(name):
            found |= dict.fromkeys(self.read(source) if source in self._merged else [(source, stopped)])
        return list(found)

    def stage(self, name: str) -> str:
        """The first part of the name; of a condition over whole stages, that of the values it chooses among."""
        node = self.graph.nodes[name]
        stage, dot, _ = name.partition(".")
        if node.op == WHEN and not dot:
            return next((self.stage(self._through(i)[0]) for i in self._inputs(node)), _BEFORE)
        return stage if dot and node.op != INPUT else _BEFORE

    def box(self, name: str) -> Box:
        """The box of a node."""
        node, writes = self.graph.nodes[name], tuple(self.writes.get(name, ()))
        axes = "" if node.type.dtype == "tree" else show(node.type.axes)
        label = name.rpartition(".")[2].replace("_", " ")
        title = "Formula" if node.op in FORMULA else label.capitalize() if "." not in name and node.op == WHEN else node.op
        detail = f"new {', '.join(writes)}" if writes else f"{label} {axes}".strip()
        return Box(name, self.stage(name), KINDS.get(node.op, "value"), title, detail, writes)
