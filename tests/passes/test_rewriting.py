"""Passes that change how nodes are computed: what they change, by the text of a spec's graph, and what they leave alone."""

from __future__ import annotations

import re
from functools import cache

import pytest

from flowrl_dsl.driver import build_graphs, resolve_or_raise
from flowrl_dsl.graph.builder import Builder, Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import SCALAR, TREE, Graph, Type
from flowrl_dsl.graph.text import parse_graph, print_graph
from flowrl_dsl.passes import AFTER, PIPELINE, check_order, run_passes
from flowrl_dsl.passes.chunk import chunk_rows
from flowrl_dsl.passes.members import members_in_turn

MANY = ("batch", "particle", "action")


@cache
def graph_of(spec: str, name: str = "step") -> Graph:
    """The graph of a shipped spec before any pass."""
    return build_graphs(resolve_or_raise(spec, None, ())[0], 3, 2, passes=()).graphs[name]


def changes(spec: str, *passes: str, graph: str = "step") -> dict[str, tuple[str, str]]:
    """The lines of the graph's text that the last pass changed: by node, before and after it."""
    before, _ = run_passes(graph_of(spec, graph), passes[:-1])
    after, _ = run_passes(graph_of(spec, graph), passes)
    lines = [dict(re.findall(r"^(?:%|module )([\w.]+)(.*)", print_graph(g), re.M)) for g in (before, after)]
    return {name: (lines[0].get(name, ""), text) for name, text in lines[1].items() if lines[0].get(name) != text}


def ops(graph: Graph, names: set[str]) -> set[str]:
    return {graph.nodes[name].op for name in names if name in graph.nodes}


def test_values_that_alone_read_the_outputs_of_networks_compute_them() -> None:
    changed = changes("sdac_quantile", "cse", "inline")
    before, after = changed["policy.score_matching.q"]
    assert before.split("  #")[0].endswith("QValue(%policy.score_matching.q_outputs) = mean_quantile($0)")
    assert "= mean_quantile(ensemble_outputs(@critic_net, $0," in after
    kept = run_passes(graph_of("sdac_quantile"), ["cse", "inline"])[0].nodes
    assert "policy.score_matching.q_outputs" not in kept and kept["critic.q"].inputs == ("critic.q_outputs",)
    assert changes("sdac", "cse", "inline") == {}


def test_first_layers_are_split_where_many_actions_share_an_observation_and_in_samplers() -> None:
    changed = changes("sdac", "first_layer")
    assert "split=True" in changed["critic_net_by_input"][1] and "split=True" in changed["policy_trunk_by_input"][1]
    before, after = changed["policy.score_matching.q"]
    assert "@critic_net," in before and "@critic_net_by_input," in after
    assert ops(graph_of("sdac"), {*changed}) == {"QValue", "Sample"}


def test_first_layers_stay_joined_where_every_row_has_its_own_inputs() -> None:
    assert changes("sac", "first_layer") == {}
    assert not any("critic.q" in name for name in changes("sdac", "first_layer"))


@pytest.mark.parametrize("spec, sampler", [("qsm", "ddpm"), ("rfm_flow", "runge_kutta"), ("dime", "path")])
def test_observations_are_conditioned_on_before_the_loop(spec: str, sampler: str) -> None:
    changed = changes(spec, "hoist", graph="explore")
    (before, after), *_ = changed.values()
    assert f"{sampler}(denoise_at(" in before and f"{sampler}(denoise_given(" in after
    assert ops(graph_of(spec, "explore"), {*changed}) == {"Sample"}


def test_mish_needs_one_exponential() -> None:
    changed = changes("qsm", "activations")
    assert "activation='quick_mish'" in changed["policy_trunk_quick"][1]
    assert all("activation='mish'" not in after for _, after in changed.values())
    assert changes("td3", "activations") == {}


def test_numbers_are_drawn_quickly() -> None:
    for spec in ("dpmd", "qvpo", "driftpo", "nclql", "dime", "fpmd", "sdac"):
        changed = changes(spec, "noise")
        assert changed and all(text.count("quick=True") == 1 for _, text in changed.values())
        assert not any("quick" in before for before, _ in changed.values())
    assert "policy.score_matching.reverse_samples" in changes("sdac", "noise")
    assert changes("td3", "noise").keys() == {"critic.a_next_added"}


@pytest.mark.parametrize("spec", ["sdac", "dpmd"])
def test_values_of_many_actions_are_computed_in_pieces(spec: str) -> None:
    changed = changes(spec, "hoist", "chunk")
    marked = {name for name, (_, after) in changed.items() if "in pieces of" in after}
    values = {name for name in marked if graph_of(spec).nodes[name].op == "QValue"}
    assert values and ops(graph_of(spec), marked) <= {"QValue", "Grad"}
    assert all({"reverse", "particle"} & {*graph_of(spec).nodes[name].type.axes} for name in values)
    samples = [after for name, (_, after) in changed.items() if name not in marked]
    assert all("denoise_given(" in text and "chunk=4096)" in text for text in samples)


def test_values_of_distributions_are_computed_in_pieces_once_they_compute_their_outputs() -> None:
    assert changes("sdac_quantile", "hoist", "chunk").keys() == {"critic.a_next"}
    (_, after), *_ = [line for name, line in changes("sdac_quantile", "inline", "chunk").items() if name.endswith(".q")]
    assert "in pieces of 4096 = mean_quantile(ensemble_outputs(" in after


def test_members_are_computed_in_turn_where_values_of_many_actions_are_taken_in_pieces() -> None:
    for spec, graph in (("sdac", "step"), ("rfm", "step"), ("td3", "evaluate")):
        for before, after in changes(spec, "chunk", "members", graph=graph).values():
            assert "together" not in before and "together=1024" in after
    assert changes("sdac", "chunk", "members").keys() == {"policy.score_matching.q"}
    assert changes("rfm", "chunk", "members").keys() == {"policy.score_matching.q"}
    assert changes("redq", "chunk", "members") == {}


def test_members_stay_together_in_gradients_by_their_own_parameters() -> None:
    b = Builder("t")
    params, a = b.input("state.p", TREE), b.input("batch.a", Type(MANY))
    value = call("ensemble_values", Arg(0), Arg(1))
    q = b.add("QValue", value, (params, a), Type(("ensemble", "batch", "particle")), "q")
    b.output("g", b.grad(mean_loss(b, q), params, "g"))
    graph = chunk_rows(b.finish())
    assert graph.nodes["g"].chunk is not None and members_in_turn(graph) == graph


def test_a_gradient_by_many_actions_is_computed_in_pieces_with_all_that_leads_to_it() -> None:
    graph, _ = run_passes(graph_of("idem"), ["cse", "chunk"])
    marked = [node.op for node in graph.nodes.values() if node.chunk is not None]
    assert marked == ["Grad"]


@pytest.mark.parametrize("spec", ["sac", "td3", "qsm", "diffusion_bptt"])
def test_what_has_one_action_for_each_state_is_computed_at_once(spec: str) -> None:
    graph, _ = run_passes(graph_of(spec))
    assert all(node.chunk is None for node in graph.nodes.values())


def marked_gradients(graph: Graph) -> list[str]:
    """The parameters by which gradients are computed in pieces."""
    return [node.inputs[1] for node in chunk_rows(graph).nodes.values() if node.op == "Grad" and node.chunk is not None]


def test_a_gradient_by_parameters_is_computed_in_pieces_where_its_loss_is_a_mean_over_states() -> None:
    for spec in ("dpmd", "qvpo", "qsm_dpmd"):
        assert marked_gradients(graph_of(spec)) == ["state.policy"]


def test_pieces_of_gradients_by_parameters_have_half_as_many_rows() -> None:
    def pieces(spec: str) -> set[int]:
        return {node.chunk for node in chunk_rows(graph_of(spec), 100).nodes.values() if node.op == "Grad" and node.chunk}

    assert pieces("dpmd") == {50} and pieces("rfm") == {100}


def loss_of(make) -> Graph:
    """A graph with the gradient by parameters of a loss that ``make`` builds of action values [batch, particle]."""
    b = Builder("t")
    params, s, a = (b.input(f"state.{n}", Type(axes)) for n, axes in (("p", ()), ("s", ("batch",)), ("a", MANY)))
    q = b.elementwise("jnp.multiply", b.elementwise("jnp.multiply", params, s), a, name="q", op="QValue")
    b.output("g", b.grad(make(b, q, params), params, "g"))
    return b.finish()


def mean_loss(b: Builder, q: Value) -> Value:
    return b.add("Loss", call("jnp.mean", Arg(0)), (q,), SCALAR, "loss")


def of_means(function: str):
    return lambda b, q, p: b.elementwise(function, mean_loss(b, q), mean_loss(b, q))


@pytest.mark.parametrize(
    "make, marked",
    [
        (lambda b, q, p: mean_loss(b, q), True),
        (lambda b, q, p: b.elementwise("jnp.multiply", b.constant(0.5), mean_loss(b, q)), True),
        (of_means("jnp.add"), True),
        (of_means("jnp.multiply"), False),
        (of_means("jnp.maximum"), False),
        (lambda b, q, p: b.elementwise("jnp.exp", mean_loss(b, q)), False),
        (lambda b, q, p: mean_loss(b, b.add("Weights", call("jax.nn.softmax", Arg(0), axis=0), (q,), q.type, "w")), False),
        (lambda b, q, p: mean_loss(b, b.reduce("jnp.mean", q, ("batch",))), False),
        (lambda b, q, p: q, False),
    ],
)
def test_a_gradient_that_mixes_states_otherwise_is_computed_at_once(make, marked: bool) -> None:
    assert bool(marked_gradients(loss_of(make))) == marked


def test_dropout_is_drawn_for_all_rows_at_once() -> None:
    sets = ("policy.network=mlp([4], dropout = 0.5)",)
    graph = build_graphs(resolve_or_raise("dpmd", None, sets)[0], 3, 2, passes=()).graphs["step"]
    assert marked_gradients(graph) == []


@pytest.mark.parametrize("spec", ["idem", "dpmd", "rfm_flow"])
def test_marks_and_rewritten_modules_are_part_of_the_text(spec: str) -> None:
    graph, _ = run_passes(graph_of(spec))
    assert parse_graph(print_graph(graph)) == graph


def test_the_report_says_how_many_nodes_are_computed_differently() -> None:
    applied = {a.name: a for a in run_passes(graph_of("qsm"))[1]}
    assert list(applied) == list(PIPELINE)
    assert applied["cse"].changed == 0 and applied["hoist"].changed == 1 and applied["chunk"].changed == 1
    assert applied["activations"].nodes_before == applied["activations"].nodes_after


def test_passes_repeat_nothing() -> None:
    """A graph that has been through a pass comes out of it as it is."""
    for spec in ("qsm", "idem"):
        graph, _ = run_passes(graph_of(spec))
        for change in PIPELINE.values():
            assert change(graph) == graph


@pytest.mark.parametrize(
    ("names", "after", "message"),
    [
        (["a", "b", "c"], {"b": ("c",)}, "pass b must run after c, which follows it"),
        (["a", "b"], {"b": ("d",)}, "one of them is not in the pipeline"),
        (["a", "b"], {"d": ("a",)}, "one of them is not in the pipeline"),
    ],
)
def test_a_pipeline_in_another_order_than_its_passes_need_is_refused(names, after, message):
    with pytest.raises(ValueError, match=message):
        check_order(names, after)


def test_every_pass_stands_behind_those_it_follows():
    check_order(list(PIPELINE))
    for name, earlier in AFTER.items():
        for other in earlier:
            with pytest.raises(ValueError, match=f"pass {name} must run after {other}"):
                swapped = {name: other, other: name}
                check_order([swapped.get(one, one) for one in PIPELINE])
