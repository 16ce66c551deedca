"""``EXPR from COPY``: the graph that reads the parameters of another section or copy."""

from __future__ import annotations

from dataclasses import replace

from flowrl_dsl.driver import build_graphs
from flowrl_dsl.graph.nodes import Graph, ancestors
from flowrl_dsl.testing.texts import check_valid

SPEC = """
algorithm example {{
  critic {{ network = mlp([8])  backup = r + discount * (1 - d) * {value} }}
  policy behavior {{ backbone = gaussian  network = mlp([8])  target = ema(0.1)  improve imitation {{}} }}
  policy {{ backbone = tanh_gaussian  network = mlp([8]) }}
  improve reparameterized {{ objective = min(Q(s, a), over = ensemble) - {penalty} }}
}}
"""
MIN = "min(Q_target(s_next, a_next), over = ensemble)"


def step(value: str = MIN, penalty: str = "0 * log_prob(s, a)") -> Graph:
    graph = build_graphs(check_valid(SPEC.format(value=value, penalty=penalty)), 3, 2, passes=()).graphs["step"]
    return replace(graph, nodes={name: replace(node, span=None) for name, node in graph.nodes.items()})


def read(graph: Graph, node: str) -> set[str]:
    """The groups of the state that a node depends on."""
    return {name.removeprefix("state.") for name in ancestors(graph, [node]) if name.startswith("state.")}


def test_a_target_function_is_short_for_its_copy() -> None:
    assert step("min(Q(s_next, a_next) from critic_target, over = ensemble)") == step()


def test_the_whole_expression_reads_the_copy() -> None:
    assert step("(min(Q(s_next, a_next), over = ensemble) from critic_target)") == step()


def test_functions_of_other_sections_keep_their_own() -> None:
    graph = step(penalty="(log_prob(s, a) - mean(Q(s, a), over = ensemble) from behavior)")
    assert {"behavior", "policy", "critic"} <= read(graph, "policy.reparameterized.objective")
    assert "behavior_target" not in read(graph, "policy.reparameterized.objective")


def test_the_innermost_copy_counts() -> None:
    penalty = "(log_prob(s, a) + (log_prob(s, a) from behavior_target) from behavior)"
    assert {"behavior", "behavior_target"} <= read(step(penalty=penalty), "policy.reparameterized.objective")


def test_a_definition_reads_the_copy_that_its_call_names() -> None:
    text = SPEC.replace("algorithm example {{", "algorithm example {{\n  def surprise(x) = -log_prob(s, x)")
    algorithm = check_valid(text.format(value=MIN, penalty="(surprise(a) from behavior_target)"))
    graph = build_graphs(algorithm, 3, 2, passes=()).graphs["step"]
    assert "behavior_target" in read(graph, "policy.reparameterized.objective")
    assert "behavior" not in read(graph, "policy.reparameterized.objective")
