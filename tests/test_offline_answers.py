"""One state with a known behaviour and a known Q: the equations of values, and an algorithm that must solve them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl import driver
from flowrl_dsl.components.denoising import guided_noise, time_grid
from flowrl_dsl.components.noise_schedules.linear import linear_alpha
from flowrl_dsl.components.samplers.dpm_solver_2 import dpm_solver_2
from flowrl_dsl.components.samplers.dpm_solver_pp_2m import dpm_solver_pp_2m
from flowrl_dsl.datasets import load
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.table import Table
from flowrl_dsl.testing.offline_answers import (
    Problem,
    best_of,
    energy,
    expectile,
    exponential,
    gaussian,
    learn,
    sparse,
    state_values,
)
from tests.datasets.files import write_hdf5

PROBLEM = Problem("ring", "uneven", 0.3)


def test_the_median_of_expectiles_is_the_mean_and_they_approach_the_best_value() -> None:
    mean = float(PROBLEM.share @ PROBLEM.q)
    assert expectile(PROBLEM, 0.5) == pytest.approx(mean, abs=1e-9)
    found = [expectile(PROBLEM, tau) for tau in (0.1, 0.5, 0.7, 0.9, 1 - 1e-9)]
    assert found == sorted(found) and found[-1] == pytest.approx(PROBLEM.q.max(), abs=0.01)


def guided_exactly(problem: Problem, beta: float, sampler: Any, steps: int) -> np.ndarray:
    """Actions of a sampler with the exact noise prediction of the data, guided by the exact energies (qgpo)."""
    cells, q = (jnp.asarray(x, jnp.float32) for x in (problem.behaviour.cells, problem.q))
    share = jnp.log(jnp.maximum(jnp.asarray(problem.share, jnp.float32), 1e-38))
    alpha = partial(linear_alpha, beta_min=0.1, beta_max=20.0)

    def posterior(a_t: jax.Array, t: jax.Array) -> jax.Array:
        far = jnp.square(a_t[:, None] - alpha(t) * cells).sum(-1)
        return share - far / (2 * (1 - alpha(t) ** 2))

    def eps(a_t: jax.Array, t: jax.Array) -> jax.Array:
        clean = jax.nn.softmax(posterior(a_t, t), axis=-1) @ cells
        return (a_t - alpha(t) * clean) / jnp.sqrt(1 - alpha(t) ** 2)

    def values(a_t: jax.Array, t: jax.Array) -> jax.Array:
        log_p = posterior(a_t, t)
        return jax.nn.logsumexp(log_p + beta * q, axis=-1) - jax.nn.logsumexp(log_p, axis=-1)

    noise = guided_noise(eps, values, 1.0, alpha)
    draw = jax.jit(lambda prior: sampler(noise, alpha, prior, time_grid(1.0, 1e-3, steps), 1.0))
    return np.asarray(draw(jax.random.normal(jax.random.PRNGKey(0), (300, 2))))


def test_the_solver_of_qgpo_reaches_the_tilted_density_with_exact_energies() -> None:
    """And ten double steps of dpm_solver_2, the last of which are the largest in log-SNR, stop before it."""
    tilted = PROBLEM.weighted(np.exp(5 * PROBLEM.q))
    target, data = (float(share @ PROBLEM.q) for share in (tilted.probability, PROBLEM.share))
    assert data < target - 1
    found = PROBLEM.q_at(guided_exactly(PROBLEM, 5.0, dpm_solver_pp_2m, 15)).mean()
    assert abs(found - target) < 0.2
    assert PROBLEM.q_at(guided_exactly(PROBLEM, 5.0, dpm_solver_2, 10)).mean() < target - 0.4


@pytest.mark.parametrize("alpha", [0.05, 0.3, 5.0])
def test_values_are_the_minima_of_the_losses_that_specs_fit(alpha: float) -> None:
    """On a fine grid of V: the losses of sql and eql, with the expectation over all cells."""
    v = np.linspace(PROBLEM.q.min(), PROBLEM.q.max(), 2001)
    z = PROBLEM.q[:, None] - v
    losses = {
        sparse: np.square(np.maximum(1 + z / (2 * alpha), 0)) + v / alpha,
        exponential: np.exp(np.minimum(z / alpha, 300)) + v / alpha,
    }
    for solve, loss in losses.items():
        assert solve(PROBLEM, alpha) == pytest.approx(v[(PROBLEM.share @ loss).argmin()], abs=3e-3)


def test_weights_move_the_density_to_better_actions() -> None:
    tilted = PROBLEM.weighted(np.exp(PROBLEM.q / 0.2))
    assert tilted.probability.sum() == pytest.approx(1)
    assert tilted.probability @ PROBLEM.q > PROBLEM.share @ PROBLEM.q
    np.testing.assert_allclose(PROBLEM.weighted(np.ones_like(PROBLEM.q)).probability, PROBLEM.share)


def test_energies_of_noisy_actions_at_both_ends_and_by_bayes() -> None:
    """Without noise beta Q, of noise alone log E[exp(beta Q)]; in between E[exp(energy)] is E[exp(beta Q)] at any alpha."""
    cells, beta = PROBLEM.behaviour.cells[::997], 1.5
    np.testing.assert_allclose(energy(PROBLEM, beta, cells, 1 - 1e-9), beta * PROBLEM.q[::997], atol=1e-3)
    total = np.log(PROBLEM.share @ np.exp(beta * PROBLEM.q))
    np.testing.assert_allclose(energy(PROBLEM, beta, cells, 1e-9), total, atol=1e-6)
    data, noise = PROBLEM.behaviour.draw(500, seed=0), np.random.default_rng(1).normal(size=(500, 2))
    between = np.exp(energy(PROBLEM, beta, 0.8 * data + 0.6 * noise, 0.8))
    assert between.mean() == pytest.approx(np.exp(total), abs=4 * between.std() / 500**0.5)
    assert between.std() > 0.1 * between.mean()


def test_the_best_of_many_has_the_value_of_an_order_statistic() -> None:
    """P(max of n <= q) = P(Q <= q)^n."""
    order = np.argsort(PROBLEM.q)
    below = np.cumsum(PROBLEM.share[order]) ** 8
    expected = float(np.diff(below, prepend=0.0) @ PROBLEM.q[order])
    assert PROBLEM.q_at(best_of(PROBLEM, 8, 4000, seed=0)).mean() == pytest.approx(expected, abs=0.02)


def test_a_gaussian_has_the_moments_of_the_density() -> None:
    drawn = gaussian(PROBLEM.behaviour, 20_000, seed=0)
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.02)


SMALL = ("value.network=mlp([16])", "value.optimizer=adam(1e-2)", "policy.network=mlp([16])", "policy.optimizer=adam(1e-2)")


def test_iql_finds_the_expectile_and_the_mean_of_the_weighted_actions() -> None:
    learned = learn("iql", PROBLEM, sets=(*SMALL, "train.batch=256"), updates=400, draws=4)
    v = expectile(PROBLEM, 0.7)
    assert learned.value == pytest.approx(v, abs=0.1)
    target = PROBLEM.weighted(np.minimum(np.exp(3 * (PROBLEM.q - v)), 100))
    np.testing.assert_allclose(learned.actions[0], target.probability @ target.cells, atol=0.1)


# a chain of two states

GAMMA = 0.8
CHAIN = f"""
algorithm chain {{
  regime = offline
  value {{ network = mlp([16])  optimizer = adam(1e-2)  fit = square(mean(Q_target(s, a), over = ensemble) - V(s)) }}
  critic {{
    network   = mlp([16])
    optimizer = adam(1e-2)
    discount  = {GAMMA}
    target    = ema(0.1)
    backup    = td(r, d, discount, V(s_next))
  }}
  policy {{ backbone = gaussian  network = mlp([4]) }}
  improve imitation {{}}
  train {{ batch = 32 }}
}}
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The program, for a data set of 40 rows."""
    spec = tmp_path_factory.mktemp("chain") / "chain.flowrl"
    spec.write_text(CHAIN)
    algorithm, _ = driver.resolve_or_raise(str(spec), None, ())
    return driver.build_program(algorithm, 1, 1, capacity=40, data=True)


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "cut"])
def test_ends_do_not_bootstrap_and_time_outs_do(chain: Any, tmp_path: Path, ends: bool) -> None:
    """0 -> 1 with reward 1, then 1 -> 0 with reward 2, the last step of an episode.

    Ended: V(1) = 2 and V(0) = 1 + gamma 2.  Cut: V(0) = 1 + gamma V(1) and V(1) = 2 + gamma V(0), that of an endless run.
    """
    states, steps = np.tile([0.0, 1.0], 20)[:, None], np.zeros(40, bool)
    last = states[:, 0] > 0
    columns = {"observations": states, "next_observations": 1 - states, "rewards": 1 + states[:, 0]}
    columns |= {"actions": np.random.default_rng(0).uniform(-1, 1, (40, 1))}
    columns |= {"terminals": last if ends else steps, "timeouts": steps if ends else last}
    found = values_of(chain, Table.of(load(write_hdf5(tmp_path / "chain.hdf5", columns))))
    endless = (1 + GAMMA * 2) / (1 - GAMMA**2)
    expected = [1 + GAMMA * 2, 2.0] if ends else [endless, 2 + GAMMA * endless]
    np.testing.assert_allclose(found, expected, rtol=0.03)


def values_of(program: Any, table: Table) -> np.ndarray:
    """V of the two states after training on a table."""
    state, storage = program.init(0), Replay.of(program, table).view()
    state, _ = program.update(state, storage, 1500, program.hyper)
    batch = {name: np.asarray(array) for name, array in program.draw_batch(state, storage).items()}
    batch["s"] = batch["s_next"] = np.arange(32, dtype=np.float32)[:, None] % 2
    values = state_values(program, state, batch)
    assert values is not None
    return values[:2]
