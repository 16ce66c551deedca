"""What the updates on a rollout all compute is computed once, with the rollout.

before   step:     then = mean(log N(...; old_policy), action)        in each of the epochs, for each minibatch
after    rollout:  batch.then = mean(log N(...; old_policy), action)  for all rows
         step:     then <- batch.then

A value moves if it has one entry for each transition, each computed from that transition alone, if it takes a network of
parameters that no update on the rollout changes, and if no gradient passes through it.  The values moved are the last such
ones of a computation, so that a rollout stores few numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from flowrl_dsl.graph.nodes import GRAD, INPUT, STOP, Graph, Node, ancestors, region
from flowrl_dsl.passes.cse import common_subexpressions
from flowrl_dsl.passes.dce import dead_nodes

NETWORKS = frozenset({"Predict", "LogProb", "QValue"})
"""Operations that are worth storing."""
BY_ROW = NETWORKS | {"Arithmetic", "Reduce", "Diffuse", "NoiseSchedule", "Constant", "Item", STOP}
"""Operations whose entry for a transition depends on that transition alone, if they keep the axis of the batch."""
BATCH, STATE, NUMBER = "batch.", "state.", "hyper."


def once_per_rollout(step: Graph, rollout: Graph, held: Collection[str]) -> tuple[Graph, Graph]:
    """The two graphs with what all updates on a rollout compute in the second; it becomes a field of their batches.

    ``held`` are the groups of the state that no update on a rollout changes before the last has read them.
    """
    moved = list(_last(step, _movable(step, held)))
    if not moved:
        return step, rollout
    rollout = _with(rollout, step, moved)
    fields = {name: replace(step.nodes[name], name=BATCH + name, op=INPUT, inputs=(), expr=None) for name in moved}
    nodes = {node.name: node for node in fields.values()}
    renamed = {name: field.name for name, field in fields.items()}
    for node in step.nodes.values():
        if node.name not in fields:
            nodes[node.name] = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
    outputs = {output: renamed.get(name, name) for output, name in step.outputs.items()}
    return dead_nodes(replace(step, nodes=nodes, outputs=outputs)), rollout


def _movable(step: Graph, held: Collection[str]) -> set[str]:
    """The nodes that may be computed with the rollout."""
    differentiated = {name for node in step.nodes.values() if node.op == GRAD for name in region(step, node)}
    constant = {STATE + group for group in held}
    found: set[str] = set()
    for node in step.nodes.values():
        if node.op == INPUT:
            fits = node.name in constant or node.name.startswith((BATCH, NUMBER))
        else:
            fits = node.op in BY_ROW and found.issuperset(node.inputs) and _keeps_rows(step, node)
        if fits and node.name not in differentiated:
            found.add(node.name)
    return found


def _keeps_rows(step: Graph, node: Node) -> bool:
    """Whether the value has the axis of the batch if an input has it."""
    return "batch" in node.type.axes or not any("batch" in step.nodes[name].type.axes for name in node.inputs)


def _last(step: Graph, movable: set[str]) -> Iterator[str]:
    """The movable values of networks, for each transition, that something else reads."""
    read_elsewhere = {name for node in step.nodes.values() if node.name not in movable for name in node.inputs}
    for name, node in step.nodes.items():
        if name in movable & (read_elsewhere | set(step.outputs.values())) and "batch" in node.type.axes:
            behind = [step.nodes[other] for other in ancestors(step, [name])]
            networks = any(other.op in NETWORKS for other in behind)
            if networks and any(other.name.startswith(STATE) for other in behind):
                yield name


def _with(rollout: Graph, step: Graph, moved: list[str]) -> Graph:
    """The graph ``rollout`` with these values of the step, which read the fields as they are in the batches."""
    needed = ancestors(step, moved)
    inputs: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    nodes = dict(rollout.nodes)
    for name in (name for name in step.nodes if name in needed):
        node = step.nodes[name]
        if node.op == INPUT:
            renamed[name] = rollout.outputs.get(name, name)
            inputs |= {} if renamed[name] in nodes else {name: node}
        else:
            renamed[name] = f"once.{name}"
            own = tuple(renamed[given] for given in node.inputs)
            nodes[renamed[name]] = replace(node, name=renamed[name], inputs=own)
    outputs = {**rollout.outputs, **{BATCH + name: renamed[name] for name in moved}}
    return common_subexpressions(replace(rollout, nodes={**inputs, **nodes}, outputs=outputs))
