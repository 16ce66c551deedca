from __future__ import annotations

import numpy as np
import pytest

from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.passes import PIPELINE, run_passes
from flowrl_dsl.passes.dce import dead_nodes
from tests.helpers import ALGORITHMS, graphs_of

VECTOR = Type(("batch",))


def graph():
    b = Builder("t")
    x, unused = b.input("state.x", VECTOR), b.input("state.y", VECTOR)
    used = b.elementwise("jnp.tanh", x, name="used")
    b.elementwise("jnp.sin", b.elementwise("jnp.multiply", used, unused, name="dead"), name="deader")
    b.output("o", used)
    return b.finish()


def test_what_no_output_needs_is_dropped_and_inputs_stay():
    assert list(dead_nodes(graph()).nodes) == ["state.x", "state.y", "used"]


def test_values_are_kept():
    inputs = {"state.x": np.array([0.1], "f"), "state.y": np.array([2.0], "f")}
    assert interpret(dead_nodes(graph()), inputs) == interpret(graph(), inputs)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_pipeline_reports_what_it_did_and_keeps_outputs(name):
    for before in graphs_of(ALGORITHMS[name](), passes=False)[0].values():
        after, applied = run_passes(before, check_each=True)
        assert [a.name for a in applied] == list(PIPELINE)
        assert applied[0].nodes_before == len(before.nodes) and applied[-1].nodes_after == len(after.nodes)
        assert set(after.outputs) == set(before.outputs)
        assert after.leaves("state.") == before.leaves("state.") and after.leaves("hyper.") == before.leaves("hyper.")
        assert run_passes(after)[0] == after


def test_passes_run_in_the_order_of_the_pipeline_and_unknown_ones_are_refused():
    _, applied = run_passes(graph(), ["dce", "cse"])
    assert [a.name for a in applied] == ["cse", "dce"]
    with pytest.raises(ValueError):
        run_passes(graph(), ["magic"])
