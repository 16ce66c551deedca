"""``subset(q, n)``: n different members, all equally likely, the same ones for all rows and new ones in each update."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.context import random_members
from flowrl_dsl.formula import Constant, Formula, Operation
from flowrl_dsl.graph.nodes import Graph, ancestors
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.lowering.program import Program
from tests import reference
from tests.helpers import (
    A_NEXT,
    QUICK,
    S_NEXT,
    A,
    S,
    algorithm,
    backup,
    batch,
    component,
    critic,
    ew,
    graphs_of,
    improve,
    mlp,
    net,
    noisy,
    policy,
    random_state,
    red,
)
from tests.spec.helpers import codes, resolve_text, spec

MEMBERS, ROWS, DRAWS = 5, 3, 3000
Q = np.array([[100 * e + row for row in range(ROWS)] for e in range(MEMBERS)], "f")
SIZES = range(1, MEMBERS + 1)


@pytest.fixture(scope="module")
def draws():
    """The members drawn for many keys, for each number of members: [DRAWS, n, ROWS]."""

    def all_sizes(keys):
        return {n: jax.vmap(partial(random_members, q=jnp.asarray(Q), n=n))(keys) for n in SIZES}

    return jax.tree.map(np.array, jax.jit(all_sizes)(jax.random.split(jax.random.PRNGKey(0), DRAWS)))


def near(count, chance, draws=DRAWS):
    """Whether something of this chance happens so often: within five standard deviations."""
    return abs(count - draws * chance) <= 5 * np.sqrt(draws * chance * (1 - chance))


@pytest.mark.parametrize("n", SIZES)
def test_so_many_different_members_are_drawn_the_same_ones_for_all_rows(draws, n):
    assert draws[n].shape == (DRAWS, n, ROWS)
    members = draws[n][:, :, 0] // 100
    assert set(members.ravel()) == set(range(MEMBERS))
    assert all(len(set(drawn)) == n for drawn in members)
    np.testing.assert_array_equal(draws[n], 100 * members[:, :, None] + np.arange(ROWS))


@pytest.mark.parametrize("n", SIZES)
def test_every_member_is_equally_likely_at_every_place(draws, n):
    members = draws[n][:, :, 0] // 100
    for e in range(MEMBERS):
        assert near(np.sum(np.any(members == e, axis=1)), n / MEMBERS)
        assert all(near(np.sum(members[:, place] == e), 1 / MEMBERS) for place in range(n))


@pytest.mark.parametrize("n", [2, 3])
def test_every_set_of_members_is_equally_likely(draws, n):
    sets = [frozenset(drawn) for drawn in draws[n][:, :, 0] // 100]
    possible = [frozenset(members) for members in combinations(range(MEMBERS), n)]
    assert all(near(sets.count(members), 1 / len(possible)) for members in possible)


def test_members_stay_whole_whatever_their_axes_and_only_the_drawn_ones_learn():
    q = np.random.default_rng(1).normal(size=(MEMBERS, 4, 3)).astype("f")
    key = jax.random.PRNGKey(5)

    def drawn_and_slope(q):
        return random_members(key, q, 2), jax.grad(lambda x: jnp.sum(random_members(key, x, 2)))(q)

    drawn, slope = jax.jit(drawn_and_slope, compiler_options=QUICK)(q)
    places = [next(e for e in range(MEMBERS) if np.array_equal(q[e], member)) for member in np.asarray(drawn)]
    assert len(set(places)) == 2
    for e in range(MEMBERS):
        np.testing.assert_array_equal(slope[e], np.full((4, 3), float(e in places), "f"))


# in a compiled step


def subset(q, n):
    return Operation("subset", (q, Constant(float(n))), q.axes)


FUTURE, NOW = net("Q_target", S_NEXT, A_NEXT), net("Q", S, A)


def redq(future=None, objective=None):
    """Five members; y is the least of a random two of them."""
    return algorithm(
        improve("reparameterized", objective=Formula(red("mean", NOW, "ensemble") if objective is None else objective)),
        parameters=(),
        policy=policy(component("backbone", "deterministic"), network=mlp(6)),
        critic=critic(
            ensemble=MEMBERS,
            next_action=noisy("critic.next_action", 0.2, 0.5),
            backup=backup(red("min", subset(FUTURE, 2), "ensemble") if future is None else future),
        ),
    )


def drawn_in(graph):
    return [node for node in graph.nodes.values() if node.op == "Subset"]


def test_targets_of_a_subset_are_the_least_of_the_drawn_members_new_ones_in_each_update():
    alg, data = redq(), batch(3)
    state = random_state(alg)
    graphs, hyper = graphs_of(alg)
    (node,) = drawn_in(graphs["step"])
    wanted = {"y": "critic.y", "drawn": node.name, "a_next": "critic.a_next"}
    needed = ancestors(graphs["step"], wanted.values())
    nodes = {name: n for name, n in graphs["step"].nodes.items() if name in needed or n.op == "Input"}
    inputs = Program.step_inputs(state, data, hyper)
    run = jax.jit(lambda update: interpret(Graph("targets", nodes, wanted), {**inputs, "state.step": update}))
    params, seen = reference.f64(state["critic_target"]), []
    for update in range(8):
        found = jax.tree.map(np.array, run(np.int32(update)))
        q = [
            reference.q_values(params, s.astype(np.float64), a.astype(np.float64))
            for s, a in zip(np.array(data["s_next"]), found["a_next"], strict=True)
        ]
        members = [
            min(range(MEMBERS), key=lambda e, place=place: abs(q[0][e] - found["drawn"][place, 0])) for place in (0, 1)
        ]
        for row in range(len(q)):
            np.testing.assert_allclose(found["drawn"][:, row], q[row][members], rtol=1e-4, atol=1e-5)
            least = min(q[row][member] for member in members)
            y = data["r"][row] + 0.9 * (1 - data["d"][row]) * least
            assert found["y"][row] == pytest.approx(float(y), rel=1e-4, abs=1e-5)
        assert members[0] != members[1]
        seen.append(frozenset(members))
    assert len(set(seen)) >= 3  # of ten possible pairs; fewer than three in eight updates has a chance of 1e-4


def test_the_same_call_within_a_formula_is_one_draw_and_any_other_call_another():
    pair, three = subset(FUTURE, 2), subset(FUTURE, 3)
    spread = ew("sub", red("max", pair, "ensemble"), red("min", subset(FUTURE, 2), "ensemble"))
    other = red("mean", three, "ensemble")
    graphs, _ = graphs_of(redq(ew("add", spread, other), red("min", subset(NOW, 2), "ensemble")), passes=True)
    found = drawn_in(graphs["step"])
    by_scope = sorted(node.name.split(".")[0] for node in found)
    assert by_scope == ["critic", "critic", "policy"]
    keys = [i for node in found for i in node.inputs if i.endswith(".key") or ".key_" in i]
    assert len(set(keys)) == len(keys) == 3


# as it is written

TYPED = {
    "min(subset(Q(s, a), 2), over = ensemble)": [],
    "mean(subset(Q(s, a), 5), over = ensemble)": [],
    "mean(subset(Q(s, a), 2.0), over = ensemble)": [],
    "min(subset(subset(Q(s, a), 4), 2), over = ensemble)": [],
    "mean(subset(Q(s, a), 2) - subset(Q_target(s, a), 2), over = ensemble)": [],
    "mean(softmax(subset(Q(s, a), 2), over = ensemble), over = ensemble)": [],
    "mean(Q(s, a), over = ensemble) - mean(subset(Q(s, a), 2), over = ensemble)": [],
    "mean(subset(Q(s, a), 6), over = ensemble)": ["FRL0214"],
    "mean(subset(Q(s, a), 0), over = ensemble)": ["FRL0214"],
    "mean(subset(Q(s, a), -1), over = ensemble)": ["FRL0214"],
    "mean(subset(subset(Q(s, a), 2), 3), over = ensemble)": ["FRL0214"],
    "mean(subset(Q(s, a), 1.5), over = ensemble)": ["FRL0213"],
    "mean(subset(Q(s, a), 1 + 1), over = ensemble)": ["FRL0213"],
    "mean(subset(mean(Q(s, a), over = ensemble), 1))": ["FRL0246"],
    "mean(subset(Q(s, a), 2) - Q(s, a), over = ensemble)": ["FRL0257"],
    "mean(where(Q(s, a) > 0, subset(Q(s, a), 2), 1), over = ensemble)": ["FRL0257"],
    "mean(subset(Q(s, a), 2) - subset(Q(s, a), 3), over = ensemble)": ["FRL0257"],
    "mean(subset(Q(s, a), 2) - 2 * exp(subset(Q(s, a), 3)), over = ensemble)": ["FRL0257"],
    "mean(subset(Q(s, a)), over = ensemble)": ["FRL0243"],
    "mean(subset(Q(s, a), 2, over = ensemble))": ["FRL0253"],
    "subset(Q(s, a), 1)": ["FRL0248"],
    "member(Q(s, a), 5)": [],
    "member(subset(Q(s, a), 2), 2) - member(Q(s, a), 1)": [],
    "member(Q(s, a), 6)": ["FRL0214"],
    "member(subset(Q(s, a), 2), 3)": ["FRL0214"],
    "member(Q(s, a), 0)": ["FRL0214"],
    "member(Q(s, a), 1.5)": ["FRL0213"],
    "member(mean(Q(s, a), over = ensemble), 1)": ["FRL0246"],
}


@pytest.mark.parametrize("formula", TYPED)
def test_a_subset_is_checked_before_it_is_compiled(formula, tmp_path):
    text = spec(
        "policy { backbone = tanh_gaussian }",
        f"critic {{ ensemble = {MEMBERS} }}",
        f"improve reparameterized {{ objective = {formula} }}",
    )
    assert codes(resolve_text(tmp_path, text)) == TYPED[formula]
