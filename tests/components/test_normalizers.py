from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.components.normalizers.running import moments_init, moments_update, normalize
from tests import reference
from tests.helpers import batch, fresh, kept, program


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.floats(-100, 100), st.floats(0.01, 50), st.integers(0, 99))
def test_moments_are_those_of_all_batches_together(batches, mean, std, seed):
    data = (mean + std * np.random.default_rng(seed).normal(size=(batches, 8, 3))).astype("f")
    moments = moments_init(3)
    for rows in data:
        moments = moments_update(moments, jnp.asarray(rows))
    everything = data.reshape(-1, 3).astype(np.float64)
    assert float(moments["count"]) == len(everything)
    np.testing.assert_allclose(moments["mean"], everything.mean(0), rtol=1e-4, atol=1e-3 * std)
    np.testing.assert_allclose(moments["squares"] / moments["count"], everything.var(0), rtol=1e-3, atol=1e-4)
    got = normalize(jnp.asarray(data[0]), moments, 10.0, 1e-8)
    np.testing.assert_allclose(got, (data[0] - everything.mean(0)) / everything.std(0), rtol=1e-2, atol=1e-2)


def test_before_anything_is_seen_it_only_clips():
    s = jnp.array([[0.5, -3.0, 50.0]])
    np.testing.assert_allclose(normalize(s, moments_init(3), 10.0, 1e-8), [[0.5, -3.0, 10.0]], rtol=1e-6)


def test_a_component_that_never_changes_stays_a_number():
    moments = moments_update(moments_init(2), jnp.full((8, 2), 0.1))
    assert np.abs(normalize(jnp.full((8, 2), 0.1), moments, 10.0, 1e-8)).max() < 1.0
    assert np.abs(normalize(jnp.full((1, 2), 5.0), moments, 10.0, 1e-8)).max() == 10.0


def test_networks_see_normalised_observations_in_the_step_and_while_acting():
    """td3 with a normaliser: moments follow the batch; the action for s is that of a policy given the normalised s."""
    p = program("td3")
    state, _, _ = p.step(fresh("td3"), batch(), p.hyper)
    s = np.asarray(batch()["s"], np.float64)
    moments = kept(state["normalizer"])
    np.testing.assert_allclose(moments["mean"], s.mean(0), rtol=1e-4, atol=1e-6)
    obs = np.asarray(batch(5)["s"], np.float64)
    a = p.act(state, obs.astype("f"), 0, "evaluate", p.hyper)["action"]
    params = reference.f64(kept(state["policy"]))
    rows = np.clip((obs - s.mean(0)) / s.std(0), -10, 10)
    expected = [np.tanh(reference.mlp(params, [row], ["s"], "mish")) for row in rows]
    np.testing.assert_allclose(a, expected, rtol=1e-3, atol=1e-4)
