from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.common import add_noise
from flowrl_dsl.components.mechanisms.weighted_regression import spread
from flowrl_dsl.registry import Drawn
from tests import reference
from tests.helpers import (
    Seen,
    algorithm,
    batch,
    best_of,
    component,
    graphs_of,
    improve,
    noisy,
    policy,
    random_state,
    sample,
)

OBS = np.asarray(batch(2)["s"])


def act(explore, evaluate, mode, counter=0, backbone="tanh_gaussian", seed=0):
    alg = algorithm(
        improve("reparameterized"), act=(explore, evaluate), policy=policy(component("backbone", backbone)), parameters=()
    )
    graphs, hyper = graphs_of(alg)
    state = random_state(alg, seed)
    inputs = {f"state.{k}": v for k, v in state.items()} | {f"hyper.{k}": np.float32(v) for k, v in hyper.items()}
    return Seen(graphs[mode], inputs | {"obs": OBS, "counter": np.int32(counter)}), state


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(-5, 5), st.floats(0, 2), st.one_of(st.none(), st.floats(0.01, 1)))
def test_noise_is_scaled_then_bounded_then_added_within_the_box(a, noise, scale, clip):
    step = scale * noise if clip is None else min(max(scale * noise, -clip), clip)
    expected = min(max(a + step, -1.0), 1.0)
    assert float(add_noise(np.float32(a), np.float32(noise), scale, clip)) == pytest.approx(expected, abs=1e-5)
    assert float(spread(np.float32(a), np.float32(noise), scale)) == pytest.approx(a + scale * noise, abs=1e-5)


@pytest.mark.parametrize("by", ["min", "mean"])
def test_best_of_takes_the_highest_value_among_its_candidates(by):
    seen, state = act(sample(), best_of(5, by), "evaluate")
    candidates = np.asarray(seen["action_candidates"], np.float64)
    assert candidates.shape == (8, 5, 2)
    critic = reference.f64(state["critic"])
    for i in range(8):
        q = [reference.q_values(critic, OBS[i], candidates[i, n]) for n in range(5)]
        score = [x.min() if by == "min" else x.mean() for x in q]
        np.testing.assert_array_equal(seen.outputs["action"][i], candidates[i, int(np.argmax(score))])


def test_the_mean_is_tanh_of_the_mean():
    seen, state = act(sample(), Drawn(value=component("action", "mean")), "evaluate")
    params = reference.f64(state["policy"])
    expected = [np.tanh(reference.mlp(params, [s], ["s"], "mish")[:2]) for s in OBS.astype(np.float64)]
    np.testing.assert_allclose(seen.outputs["action"], expected, rtol=1e-3, atol=1e-5)


def test_a_sample_depends_on_the_counter_and_nothing_else():
    first, again, other = (act(sample(), sample(), "explore", counter)[0].outputs["action"] for counter in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).all()
    assert len(np.unique(first)) == np.size(first)


def test_exploration_noise_has_the_given_size():
    seen, _ = act(noisy("act.explore", 0.1), sample(), "explore", backbone="deterministic")
    a, noise = np.asarray(seen["action_sample"]), np.asarray(seen["action_added"])
    np.testing.assert_allclose(seen.outputs["action"], np.clip(a + 0.1 * noise, -1, 1), atol=1e-6)
    assert len(np.unique(noise)) == noise.size
