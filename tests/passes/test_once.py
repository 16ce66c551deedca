"""What all updates on a rollout compute is computed once, with the rollout."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

from flowrl_dsl.components.stages import held
from flowrl_dsl.driver import build_graphs, build_program
from flowrl_dsl.graph.nodes import Graph
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.passes.once import once_per_rollout
from flowrl_dsl.testing.strategies import replay_of
from flowrl_dsl.testing.texts import check_valid

SIZES = (3, 2)
SPEC = """
algorithm small {{
  regime = on_policy
  order = [policy, value] -> targets
  rollout {{ steps = 6  epochs = 2  minibatches = 2  {rollout} }}
  policy {{ backbone = {backbone}  network = mlp([5])  old = {old}  optimizer = adam(1e-2) }}
  value {{ fit = clipped_error(V(s), V(s) from old_value, returns, 0.2)  network = mlp([5])  old = rollout }}
  improve surrogate {{
    {surrogate}
  }}
}}
"""
GAUSSIAN = {"backbone": "gaussian(squash = false, clip = false)", "rollout": "", "old": "rollout", "surrogate": ""}
DIFFUSION = {
    "backbone": "diffusion(obs = [4], time = fourier(4))  sampler = ddpm(3, floor = 0.2)",
    "surrogate": """let then = mean(step_log_prob(s, a) from old_policy, over = action)
    ratio = exp(mean(step_log_prob(s, a), over = action) - then)""",
}
FLOW = {
    "backbone": "flow(obs = [4], time = fourier(4))  sampler = euler(2)",
    "rollout": "draws = 3",
    "surrogate": """let then = sum(square((velocity(s, a_t, t) from old_policy) - (a - noise)), over = action)
    ratio = exp(then - sum(square(velocity(s, a_t, t) - (a - noise)), over = action))""",
}
POLICIES = {"gaussian": GAUSSIAN, "diffusion": {**GAUSSIAN, **DIFFUSION}, "flow": {**GAUSSIAN, **FLOW}}


def algorithm(**changes: str) -> Any:
    return check_valid(SPEC.format(**{**GAUSSIAN, **changes}))


def moved(graphs: dict[str, Graph], regime_fields: set[str]) -> dict[str, str]:
    """The fields that the pass has added, with their types."""
    rollout = graphs["rollout"]
    names = {name.removeprefix("batch.") for name in rollout.outputs if name.startswith("batch.")} - regime_fields
    return {name: str(rollout.nodes[rollout.outputs[f"batch.{name}"]].type) for name in names}


def added(**changes: str) -> dict[str, str]:
    made: Any = algorithm(**changes)
    return moved(build_graphs(made, *SIZES).graphs, set(made.regime.fields(made)))


@pytest.mark.parametrize(
    ("policy", "field", "type"),
    [
        ("gaussian", "policy.surrogate.log_prob_2", "f32[batch]"),
        ("diffusion", "policy.surrogate.then", "f32[batch, denoise]"),
        ("flow", "policy.surrogate.then", "f32[batch, draw]"),
    ],
)
def test_what_reads_collecting_copies_alone_is_a_field_of_the_rollout(policy: str, field: str, type: str) -> None:
    assert added(**POLICIES[policy]) == {field: type, "value.v_target": "f32[batch]"}


@pytest.mark.parametrize("policy", POLICIES)
def test_the_step_takes_no_network_of_a_collecting_copy(policy: str) -> None:
    step = build_graphs(algorithm(**POLICIES[policy]), *SIZES).graphs["step"]
    reading = {node.op for node in step.nodes.values() if {"state.old_policy", "state.old_value"} & {*node.inputs}}
    assert reading == {"When"}


@cache
def updated(policy: str, passes: tuple[str, ...] | None) -> Any:
    program = build_program(algorithm(**POLICIES[policy]), *SIZES, passes=passes, capacity=6, envs=1)
    return jax.device_get(program.update(program.init(0), replay_of(program), 4, program.hyper))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_updates_on_a_rollout_are_the_same(policy: str) -> None:
    pairs = zip(jax.tree.leaves(updated(policy, None)), jax.tree.leaves(updated(policy, ())), strict=True)
    for x, y in pairs:
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("objective", ["ratio * gain + 0.1 * {}", "ratio * {}"])
def test_what_a_gradient_passes_through_stays(objective: str) -> None:
    """The density is differentiated with respect to the action; the network behind it reads the observation alone."""
    slope = "sum(grad(log_prob(s, a) from old_policy, wrt = a), over = action)"
    fields = added(surrogate=f"ratio = exp(tanh(log_prob(s, a)))  objective = {objective.format(slope)}")
    assert fields == {"value.v_target": "f32[batch]", "policy.surrogate.density_mean_2": "f32[batch, action]"}


def test_a_mean_over_the_minibatch_stays_and_what_it_averages_moves() -> None:
    fields = added(surrogate="ratio = exp(tanh(log_prob(s, a) - mean(log_prob(s, a) from old_policy)))")
    assert fields == {"policy.surrogate.log_prob_2": "f32[batch]", "value.v_target": "f32[batch]"}
    # so does a comparison of transitions, which keeps their axis
    ranked = added(surrogate="ratio = exp(tanh(log_prob(s, a) - softmax(log_prob(s, a) from old_policy, over = batch)))")
    assert ranked == fields


def test_a_copy_that_moves_between_the_updates_is_read_by_each() -> None:
    made = algorithm(old="copy(every = 3)")
    assert held(made) == {"old_value"}
    assert added(old="copy(every = 3)").keys() == {"value.v_target"}


def test_the_rewritten_graphs_are_well_formed_and_final() -> None:
    made = algorithm(**POLICIES["flow"])
    graphs = build_graphs(made, *SIZES, passes=("cse", "dce")).graphs
    step, rollout = once_per_rollout(graphs["step"], graphs["rollout"], held(made))
    verify(step)
    verify(rollout)
    again = once_per_rollout(step, rollout, held(made))
    assert (again[0].nodes, again[1].outputs) == (step.nodes, rollout.outputs)
