"""The order of a step: which versions each stage reads, checked by values; and the random keys of its draws."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest

from flowrl_dsl.algorithm import Condition, Single, When
from flowrl_dsl.formula import Formula
from flowrl_dsl.graph.nodes import GRAD, WHEN, ancestors
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.passes import run_passes
from tests import reference
from tests.helpers import (
    ALGORITHMS,
    BATCH,
    A,
    S,
    algorithm,
    batch,
    both,
    component,
    critic,
    dpmd,
    ema,
    every,
    ew,
    fixed,
    graphs_of,
    improve,
    kept,
    net,
    noisy,
    policy,
    program_of,
    qsm,
    random_state,
    red,
    same,
    seq,
    var,
)

DATA = batch(7)
ROWS = reference.f64(DATA)
OBJECTIVE = ew("add", red("mean", net("Q", S, A), "ensemble"), ew("mul", 2.0, red("min", net("Q_target", S, A), "ensemble")))

ORDERS = {
    "critic -> targets -> policy": seq("critic", "targets", "policy"),
    "critic -> policy -> targets": seq("critic", "policy", "targets"),
    "[critic, policy] -> targets": seq(both("critic", "policy"), "targets"),
    "[critic, policy, targets]": both("critic", "policy", "targets"),
    "targets -> [policy -> critic]": seq("targets", both(seq("policy", "critic"))),
    "critic -> every(2, policy -> targets)": seq("critic", every(2, seq("policy", "targets"))),
    "[critic, every(2, policy)] -> targets": seq(both("critic", every(2, "policy")), "targets"),
}


def tiny(order):
    return algorithm(
        improve("reparameterized", objective=Formula(OBJECTIVE)),
        order=order,
        parameters=(),
        policy=policy(component("backbone", "deterministic"), target=ema("policy.target", 0.25)),
        critic=critic(),
    )


@cache
def stepped(order, update):
    """The state before and after an update with this counter, and its metrics."""
    alg = tiny(ORDERS[order])
    before = random_state(alg, 3) | {"step": np.int32(update)}
    program = cached(order)
    after, metrics, _ = program.step(jax.tree.map(np.copy, before), DATA, program.hyper)
    return before, kept(after), {name: float(value) for name, value in metrics.items()}


@cache
def cached(order):
    return program_of(tiny(ORDERS[order]))


def act(params, s):
    return np.tanh(reference.mlp(params, [s], ["s"], "mish"))


def critic_loss(q, q_target, pi):
    total = 0.0
    for i in range(BATCH):
        future = reference.q_values(q_target, ROWS["s_next"][i], act(pi, ROWS["s_next"][i])).min()
        y = ROWS["r"][i] + 0.9 * (1 - ROWS["d"][i]) * future
        total += np.mean((reference.q_values(q, ROWS["s"][i], ROWS["a"][i]) - y) ** 2) / BATCH
    return total


def policy_loss(q, q_target, pi):
    total = 0.0
    for s in ROWS["s"]:
        a = act(pi, s)
        total -= (reference.q_values(q, s, a).mean() + 2 * reference.q_values(q_target, s, a).min()) / BATCH
    return total


def mix(old, new, rate):
    return jax.tree.map(lambda x, y: (1 - rate) * x + rate * y, reference.f64(old), reference.f64(new))


def close(left, right):
    """Float32 carries its rounding through one step of 1e-2: far finer than any change of version."""
    for x, y in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


#                                          the critic reads        the policy reads        the targets follow
#                                          target     policy       critic     target       critic     policy
READS = {
    "critic -> targets -> policy":           ("old",     "old",       "new",     "new",       "new",     "old"),
    "critic -> policy -> targets":           ("old",     "old",       "new",     "old",       "new",     "new"),
    "[critic, policy] -> targets":           ("old",     "old",       "old",     "old",       "new",     "new"),
    "[critic, policy, targets]":             ("old",     "old",       "old",     "old",       "old",     "old"),
    "targets -> [policy -> critic]":         ("new",     "new",       "old",     "new",       "old",     "old"),
    "critic -> every(2, policy -> targets)": ("old",     "old",       "new",     "old",       "new",     "new"),
    "[critic, every(2, policy)] -> targets": ("old",     "old",       "old",     "old",       "new",     "new"),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_each_stage_reads_the_versions_its_order_says(order):
    before, after, metrics = stepped(order, 1)
    version = {"old": reference.f64({k: before[k] for k in ("critic", "critic_target", "policy")})}
    version["new"] = reference.f64({k: after[k] for k in ("critic", "critic_target", "policy")})
    target, pi, q, q_target, followed_q, followed_pi = READS[order]
    expected = critic_loss(version["old"]["critic"], version[target]["critic_target"], version[pi]["policy"])
    assert metrics["critic_loss"] == pytest.approx(expected, rel=1e-4)
    expected = policy_loss(version[q]["critic"], version[q_target]["critic_target"], version["old"]["policy"])
    assert metrics["policy_loss"] == pytest.approx(expected, rel=1e-4)
    others = [
        policy_loss(version[x]["critic"], version[y]["critic_target"], version["old"]["policy"])
        for x in version for y in version if (x, y) != (q, q_target)
    ]  # fmt: skip
    assert min(abs(np.array(others) - expected)) > 1e-3 * abs(expected), "the versions are too alike to tell"
    close(after["critic_target"], mix(before["critic_target"], version[followed_q]["critic"], 0.1))
    close(after["policy_target"], mix(before["policy_target"], version[followed_pi]["policy"], 0.25))
    assert int(after["step"]) == 2 and int(after["bad_update"]) == -1
    assert same(after["key"], before["key"])


def test_a_skipped_sequence_leaves_all_it_writes_untouched_and_reports_nothing():
    before, after, metrics = stepped("critic -> every(2, policy -> targets)", 0)
    for group in ("policy", "policy_opt", "policy_target", "critic_target"):
        assert same(before[group], after[group]), group
    assert not same(before["critic"], after["critic"])
    for name in ("policy_loss", "policy_gradient_norm"):
        assert metrics[name] == metrics[f"ran.{name}"] == 0
    assert metrics["critic_loss"] > 0 and "ran.critic_loss" not in metrics and int(after["bad_update"]) == -1


def test_a_skipped_stage_does_not_hold_up_the_others():
    before, after, metrics = stepped("[critic, every(2, policy)] -> targets", 0)
    assert same(before["policy"], after["policy"]) and same(before["policy_opt"], after["policy_opt"])
    assert metrics["policy_loss"] == metrics["ran.policy_loss"] == 0
    close(after["critic_target"], mix(before["critic_target"], after["critic"], 0.1))
    close(after["policy_target"], mix(before["policy_target"], before["policy"], 0.25))


def _first_version(graph, name):
    """The state a version of some parameters goes back to, through the optimizer steps before it."""
    while not name.startswith("state."):
        name = graph.nodes[name].inputs[0]
    return name


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_gradient_reaches_its_own_parameters_and_no_others(name):
    """An optimizer step changes the group its gradient belongs to; every other group's output is untouched by it."""
    graph = graphs_of(ALGORITHMS[name]())[0]["step"]
    steps = [node for node in graph.nodes.values() if node.op == "GradientStep"]
    assert len(steps) == 2 + bool(ALGORITHMS[name]().learned()) + ("encoder" in ALGORITHMS[name]().sections)
    newest: dict[str, tuple[str, str]] = {}
    for node in steps:
        group = _first_version(graph, node.inputs[0]).removeprefix("state.")
        gradient = graph.nodes[node.inputs[1]]
        assert gradient.op == GRAD and gradient.inputs[1] == node.inputs[0]
        assert (node.inputs[0], node.inputs[2]) == newest.get(group, (f"state.{group}", f"state.{group}_opt"))
        newest[group] = tuple(item.name for item in graph.nodes.values() if item.inputs == (node.name,))
        followers = {
            f"state.{group}",
            f"state.{group}_opt",
            f"state.{group}_target",
            f"state.old_{group}",
            f"state.{group}_fixed",
        }
        for output, value in graph.outputs.items():
            if output.startswith("state.") and output not in followers:
                assert node.name not in _carried(graph, value), (output, node.name)


def _carried(graph, root):
    """The nodes that a state group's parameters are made of: not through gradients, one branch value for one group."""
    seen, stack = set(), [root]
    while stack:
        name = stack.pop()
        node = graph.nodes[name]
        if name in seen or node.op in (GRAD, "Finite"):
            continue
        seen.add(name)
        chosen = graph.nodes[node.inputs[0]] if node.op == "Item" else node
        if chosen.op == WHEN:
            half = len(chosen.inputs) // 2
            stack += [chosen.inputs[1 + node.expr.key], chosen.inputs[1 + half + node.expr.key]]
        else:
            stack += node.inputs
    return seen


def test_a_stage_alone_leaves_everything_else_bit_identical():
    alg = tiny(Single("critic"))
    program = program_of(alg)
    before = random_state(alg, 3)
    after = kept(program.step(jax.tree.map(np.copy, before), DATA, program.hyper)[0])
    changed = {group for group in before if not same(before[group], after[group])}
    assert changed == {"critic", "critic_opt", "step"}


def test_the_first_bad_update_is_remembered():
    program = cached("critic -> policy -> targets")
    alg = tiny(ORDERS["critic -> policy -> targets"])
    state = random_state(alg, 3) | {"step": np.int32(5)}
    bad = {**DATA, "r": DATA["r"].at[0].set(np.nan)}
    for data, expected in ((DATA, -1), (bad, 6), (DATA, 6)):
        state, _, _ = program.step(state, data, program.hyper)
        assert int(state["bad_update"]) == expected
    found = program.diagnose_batch(random_state(alg, 3), bad, program.hyper)
    assert found is not None and found.node.startswith("critic."), found


def test_a_fault_in_a_skipped_stage_is_not_counted_but_one_in_a_due_stage_is():
    """A target critic that is not a number spoils the policy's loss; transitions that end keep it out of the backup."""
    order = "critic -> every(2, policy -> targets)"
    alg = tiny(ORDERS[order])
    alg = alg.model_copy(update={"sections": {**alg.sections, "critic": critic(backup=Formula(var("r", "batch")))}})
    program = program_of(alg)
    for update, expected in ((0, -1), (1, 1)):
        state = random_state(alg, 3) | {"step": np.int32(update)}
        state["critic_target"] = jax.tree.map(lambda x: x * np.float32("nan"), state["critic_target"])
        assert int(program.step(state, DATA, program.hyper)[0]["bad_update"]) == expected


# random keys


def draws(alg, graph="step", seed=0):
    """The values of all draws that depend on keys and on the batch's shape alone, by name."""
    g = run_passes(graphs_of(alg, passes=False)[0][graph])[0]
    state = random_state(alg, seed)
    _, hyper = graphs_of(alg, passes=False)
    inputs = Program.step_inputs(state, DATA, hyper)
    noise = {name: name for name, node in g.nodes.items() if node.op == "Noise" and "spread" not in name}
    noise |= {name: name for name, node in g.nodes.items() if node.op == "Key"}
    needed = ancestors(g, noise)
    only = type(g)("draws", {name: node for name, node in g.nodes.items() if name in needed}, noise)
    return {name: np.asarray(value) for name, value in interpret(only, inputs).items()}


def test_adding_a_block_or_reordering_changes_no_other_draw():
    base = draws(qsm())
    other = qsm().model_copy(
        update={
            "improvements": (improve("weighted_regression", label="weighted_regression"), *qsm().improvements),
            "order": seq(both("policy", "critic"), "targets"),
        }
    )
    more = draws(other)
    assert set(base) < set(more)
    for name, value in base.items():
        np.testing.assert_array_equal(value, more[name], err_msg=name)


@pytest.mark.parametrize("name", ["dpmd", "qvpo", "hybrid", "td3"])
def test_no_two_draws_are_equal(name):
    found = draws(ALGORITHMS[name]())
    keys = [tuple(value) for node, value in found.items() if node.endswith("key")]
    assert len(set(keys)) == len(keys) >= 2
    noise = [value.ravel()[:8] for node, value in found.items() if not node.endswith("key")]
    for i in range(len(noise)):
        for j in range(i):
            assert not np.isin(noise[i], noise[j]).any()


def test_draws_change_with_the_update_and_with_the_seed():
    alg = dpmd()
    first = draws(alg)
    graph = run_passes(graphs_of(alg, passes=False)[0]["step"])[0]
    assert graph.nodes["step_key"].inputs == ("state.key", "state.step")
    for name, value in draws(alg, seed=1).items():
        assert (value != first[name]).all(), name


def test_the_same_draw_in_two_stages_of_the_same_name_is_kept_apart():
    """Two blocks of one mechanism draw their own times and noise."""
    blocks = (improve("score_matching"), improve("score_matching", label="score_matching_2"))
    found = draws(algorithm(*blocks, parameters=(fixed("temperature", 0.5),)))
    first, second = found["policy.score_matching.noise"], found["policy.score_matching_2.noise"]
    assert (first != second).all()


def test_exploring_and_updating_use_different_keys():
    alg = qsm()
    graphs, _ = graphs_of(alg)
    step, explore = graphs["step"], graphs["explore"]
    assert step.nodes["step_key"].expr != explore.nodes["act_key"].expr
    assert explore.nodes["act_key"].inputs == ("state.key", "counter")


def test_the_noise_of_the_next_action_is_bounded_as_in_td3():
    """Target policy smoothing: a' = clip(pi'(s') + clip(0.2 z, -0.5, 0.5), -1, 1), by the target policy."""
    alg = algorithm(
        improve("reparameterized"),
        order=Single("critic"),
        parameters=(),
        policy=policy(component("backbone", "deterministic"), target=ema("policy.target")),
        critic=critic(next_action=noisy("critic.next_action", 2.0, 0.5, "policy_target"), reduction="sum"),
    )
    program = program_of(alg)
    state = random_state(alg, 3)
    noise = draws(alg)
    z = next(value for name, value in noise.items() if name == "critic.a_next_added").astype(np.float64)
    state = random_state(alg, 0)
    p = reference.f64({k: state[k] for k in ("critic", "critic_target", "policy_target")})
    total = 0.0
    for i in range(BATCH):
        a = np.clip(act(p["policy_target"], ROWS["s_next"][i]) + np.clip(2.0 * z[i], -0.5, 0.5), -1, 1)
        future = reference.q_values(p["critic_target"], ROWS["s_next"][i], a).min()
        y = ROWS["r"][i] + 0.9 * (1 - ROWS["d"][i]) * future
        total += np.sum((reference.q_values(p["critic"], ROWS["s"][i], ROWS["a"][i]) - y) ** 2) / BATCH
    _, metrics, _ = program.step(state, DATA, program.hyper)
    assert float(metrics["critic_loss"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(every=2, after=3), [3, 5, 7]),
        (Condition(after=5), [5, 6, 7]),
        (Condition(until=2), [0, 1]),
        (Condition(every=3, after=1, until=6), [2, 5]),
    ],
)
def test_a_stage_runs_in_the_updates_of_its_condition(condition, expected):
    """Update k runs it where (k + 1) mod every = 0, k >= after and k < until."""
    alg = algorithm(order=seq("critic", When(condition, Single("policy")), "targets"))
    program, moved = program_of(alg), []
    state, data = program.init(1), batch(2)
    for update in range(8):
        before = kept(state["policy"])
        state, metrics, _ = program.step(state, data, program.hyper)
        ran = not same(before, kept(state["policy"]))
        assert metrics["ran.policy_loss"] == ran and (metrics["policy_loss"] != 0) == ran
        moved += [update] * ran
    assert moved == expected
