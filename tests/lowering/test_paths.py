"""The noisy actions before each step of a sampler, whatever it asks its network in between."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from flowrl_dsl.components.inspection import samples_graph, values_graph
from flowrl_dsl.lowering.evaluate import node_by_node
from flowrl_dsl.lowering.paths import sampled_with_paths
from tests import helpers as h

COUNT, STEPS = 60, 3


def _inputs(graph: Any, state: dict[str, Any], **given: Any) -> dict[str, Any]:
    numbers = {f"hyper.{name}": np.float32(1.0) for name in graph.leaves("hyper.")}
    return numbers | {f"state.{name}": value for name, value in state.items()} | given


def _of(name: str) -> Any:
    if name == "dpm_solver_2":
        return h.algorithm(policy=h.policy(h.diffusion(), sampler=h.sampler(name, STEPS)))
    return h.algorithm(policy=h.policy(h.flow(), sampler=h.sampler(name, STEPS)), order=h.seq("critic", "targets"))


@pytest.mark.parametrize("name", ["dpm_solver_2", "heun"])
def test_a_path_has_a_point_for_each_step(name: str) -> None:
    algorithm = _of(name)
    graph = samples_graph(algorithm, h.SIZES, COUNT)
    obs = h.batch(size=2)["s"]
    inputs = _inputs(graph, h.random_state(algorithm), obs=obs, key=jax.random.PRNGKey(3))
    outputs, steps = sampled_with_paths(graph, inputs)
    assert [step.shape for step in steps] == [(2, COUNT, h.SIZES.action)] * STEPS == [outputs["action"].shape] * STEPS
    assert abs(steps[0].std() - 1) < 0.15
    alone = jax.jit(lambda inputs: node_by_node(graph, inputs)["action"], compiler_options=h.QUICK)(inputs)
    np.testing.assert_allclose(outputs["action"], alone, atol=1e-3)


def test_the_chain_of_an_energy_is_seen_too() -> None:
    algorithm = h.nclql()
    graph = samples_graph(algorithm, h.SIZES, COUNT)
    inputs = _inputs(graph, h.random_state(algorithm), obs=h.batch(size=1)["s"], key=jax.random.PRNGKey(0))
    outputs, steps = sampled_with_paths(graph, inputs)
    kind, sampler = algorithm.sections["critic"].kind, algorithm.sections["policy"].sampler
    assert len(steps) == kind.levels * sampler.steps
    assert np.abs(steps[0]).max() <= 1 and np.abs(np.asarray(outputs["action"])).max() <= 1


def test_a_policy_without_steps_has_no_path() -> None:
    algorithm = h.sac()
    graph = samples_graph(algorithm, h.SIZES, COUNT)
    inputs = _inputs(graph, h.random_state(algorithm), obs=h.batch(size=1)["s"], key=jax.random.PRNGKey(0))
    assert sampled_with_paths(graph, inputs)[1] == []


def test_values_are_means_over_the_ensemble() -> None:
    algorithm = h.sac()
    graph, state = values_graph(algorithm, h.SIZES), h.random_state(algorithm)
    value = jax.jit(lambda inputs: node_by_node(graph, inputs)["value"], compiler_options=h.QUICK)
    obs, a = h.batch(size=2)["s"], np.asarray(h.batch(size=6)["a"]).reshape(2, 3, 2)
    found = value(_inputs(graph, state, obs=obs, action=a))
    again = value(_inputs(graph, state, obs=obs[::-1], action=a[::-1, ::-1]))
    assert found.shape == (2, 3) and np.ptp(found) > 0
    np.testing.assert_allclose(found[::-1, ::-1], again, rtol=1e-5)
