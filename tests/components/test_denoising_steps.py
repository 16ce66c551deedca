"""Densities of denoising steps, and noisy versions of actions that stay the same for all updates on a rollout."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.samplers.ddpm import ddpm_chain, ddpm_log_prob
from flowrl_dsl.driver import build_program
from flowrl_dsl.testing.invariants import Trial
from flowrl_dsl.testing.strategies import replay_of
from flowrl_dsl.testing.texts import check_valid

TIMES = jnp.linspace(0.95, 0.02, 5)
"""The ends of four steps."""
MEAN, VARIANCE = 0.3, 0.04


def alpha(t):
    return jnp.cos(0.5 * jnp.pi * t)


def eps_of_a_gaussian(a_t, t):
    """The noise that is expected at a_t where the actions are N(0.3, 0.04): -sigma times the score of N(alpha m, ...)."""
    t = jnp.asarray(t)[..., None] if jnp.ndim(t) else t
    sigma = jnp.sqrt(1 - alpha(t) ** 2)
    return sigma * (a_t - alpha(t) * MEAN) / (alpha(t) ** 2 * VARIANCE + sigma**2)


def by_loop(chain: np.ndarray, a: np.ndarray, floor: float, clip: float | None, posterior: bool) -> np.ndarray:
    """One step and one component at a time, in float64."""
    found, times = np.zeros(chain.shape), np.asarray(TIMES, np.float64)
    for row, k, i in np.ndindex(*chain.shape):
        t, u = times[k], times[k + 1]
        abar_t, abar_u = np.cos(0.5 * np.pi * t) ** 2, np.cos(0.5 * np.pi * u) ** 2
        beta = 1 - abar_t / abar_u
        x = float(chain[row, k, i])
        eps = np.sqrt(1 - abar_t) * (x - np.sqrt(abar_t) * MEAN) / (abar_t * VARIANCE + 1 - abar_t)
        clean = (x - np.sqrt(1 - abar_t) * eps) / np.sqrt(abar_t)
        clean = clean if clip is None else min(max(clean, -clip), clip)
        mean = (np.sqrt(abar_u) * beta * clean + np.sqrt(1 - beta) * (1 - abar_u) * x) / (1 - abar_t)
        variance = beta * (1 - abar_u) / (1 - abar_t) if posterior else beta
        std = max(np.sqrt(variance), floor)
        y = float(chain[row, k + 1, i] if k + 1 < chain.shape[1] else a[row, i])
        found[row, k, i] = -0.5 * ((y - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    return found


def drawn(count: int, floor: float = 0.1, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    start = jax.random.normal(jax.random.PRNGKey(1), (count, 2))
    a, chain, _ = jax.jit(lambda x, key: ddpm_chain(eps_of_a_gaussian, alpha, x, key, TIMES, floor, **options))(
        start, jax.random.PRNGKey(2)
    )
    np.testing.assert_array_equal(chain[:, 0], start)
    return np.asarray(a), np.asarray(chain)


@pytest.mark.parametrize("options", [{}, {"clip": 0.5}, {"posterior": True}, {"clip": 1.0, "posterior": True}])
@pytest.mark.parametrize("floor", [0.05, 0.4])
def test_the_density_of_every_step_against_a_loop(options: dict[str, Any], floor: float) -> None:
    a, chain = drawn(6, floor, **options)
    found = ddpm_log_prob(eps_of_a_gaussian, alpha, chain, a, TIMES, floor, **options)
    expected = by_loop(chain, a, floor, options.get("clip"), options.get("posterior", False))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_chains_of_a_gaussian_have_its_marginal_in_closed_form() -> None:
    """Each step is linear in the noisy action, so that the mean and the variance of the action follow step by step."""
    mean, variance = 0.0, 1.0
    for t, u in pairwise(TIMES):
        abar_t, abar_u = float(alpha(t)) ** 2, float(alpha(u)) ** 2
        beta, share = 1 - abar_t / abar_u, VARIANCE * abar_t / (abar_t * VARIANCE + 1 - abar_t)
        # the expected clean action is share x / sqrt(abar_t) + (1 - share) m
        slope = (np.sqrt(abar_u) * beta * share / np.sqrt(abar_t) + np.sqrt(1 - beta) * (1 - abar_u)) / (1 - abar_t)
        mean = slope * mean + np.sqrt(abar_u) * beta * (1 - share) * MEAN / (1 - abar_t)
        variance = slope**2 * variance + max(beta, 0.1**2)
    a, _ = drawn(40_000)
    np.testing.assert_allclose(a.mean(axis=0), mean, atol=4 * np.sqrt(variance / 40_000))
    np.testing.assert_allclose(a.var(axis=0), variance, rtol=4 * np.sqrt(2 / 40_000))


def test_the_ratio_of_two_chains_is_one_in_expectation() -> None:
    """E_p[q(chain) / p(chain)] = 1 for every other field with the same steps."""
    a, chain = drawn(40_000, 0.3)

    def other(a_t, t):
        return eps_of_a_gaussian(a_t, t) + 0.05 * jnp.sin(3 * a_t)

    then, now = (ddpm_log_prob(field, alpha, chain, a, TIMES, 0.3) for field in (eps_of_a_gaussian, other))
    ratio = np.exp(np.sum(np.asarray(now - then, np.float64), axis=(-2, -1)))
    assert ratio.std() > 0.05
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / np.sqrt(len(ratio)))


SPEC = """
algorithm small {{
  regime = on_policy
  order = [policy, value] -> targets
  rollout {{ steps = 8  epochs = 2  minibatches = 2  {rollout} }}
  policy {{ backbone = {backbone}  network = mlp([8])  old = rollout  optimizer = sgd(1e-3) }}
  value {{ fit = square(V(s) - returns)  network = mlp([5])  old = rollout }}
  improve surrogate {{ {surrogate} }}
}}
"""
DENOISED = """let then = mean(step_log_prob(s, a) from old_policy, over = action)
  ratio = exp(mean(step_log_prob(s, a), over = action) - then)  objective = ratio * gain * 0.5 ^ steps_left"""
EXPLAINED = """let then = mean(square((eps(s, a_t, t) from old_policy) - noise), over = action)
  ratio = exp(then - mean(square(eps(s, a_t, t) - noise), over = action))"""
KINDS = {
    "diffusion": ("diffusion(obs = [4], time = fourier(4))  sampler = ddpm(3, floor = 0.2)", "", DENOISED),
    "noisy flow": (
        "flow(obs = [4], time = fourier(4))  sampler = noisy_euler(3, network = mlp([4]))",
        "",
        DENOISED.replace("ratio * gain", "0.1 * mean(step_entropy(s), over = [denoise, action]) + ratio * gain"),
    ),
    "flow": ("flow(obs = [4], time = fourier(4), t_min = 0.2, t_max = 0.7)  sampler = euler(2)", "draws = 5", EXPLAINED),
}


@cache
def algorithm(kind: str) -> Any:
    backbone, rollout, surrogate = KINDS[kind]
    return check_valid(SPEC.format(backbone=backbone, rollout=rollout, surrogate=surrogate))


@cache
def program(kind: str) -> Any:
    return build_program(algorithm(kind), 3, 2, capacity=8, envs=1)


def test_acting_keeps_the_steps_of_each_action() -> None:
    made, obs = program("diffusion"), np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    state = made.init(0)
    acted = made.act(state, obs, 3, "explore", made.hyper)
    assert set(acted) == {"action", "a_drawn", "chain"} and acted["chain"].shape == (8, 3, 2)
    np.testing.assert_array_equal(acted["action"], np.clip(acted["a_drawn"], -1, 1))
    alone = made.act(state, np.broadcast_to(obs[:1], obs.shape), 3, "explore", made.hyper)
    np.testing.assert_allclose(alone["chain"][0], acted["chain"][0], rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(alone["chain"][1:]) - np.asarray(acted["chain"][1:])).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_every_ratio_is_one_before_the_first_step(kind: str) -> None:
    made = program(kind)
    _, metrics = made.update(made.init(0), replay_of(made), 1, made.hyper)
    assert abs(float(metrics["kl"])) < 1e-6


def test_learned_noise_is_trained_beside_the_flow_and_left_out_of_zero_noise() -> None:
    """Without it a program acts as one with `euler` and the same parameters; an update moves its network too."""
    backbone, rollout, surrogate = KINDS["noisy flow"]
    text = SPEC.format(backbone=backbone, rollout=rollout, surrogate=surrogate)
    plain = backbone.replace("noisy_euler(3, network = mlp([4]))", "euler(3)")
    other = SPEC.format(backbone=plain, rollout="draws = 5", surrogate=EXPLAINED)
    made = program("noisy flow")
    state, obs = made.init(0), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    flow = {name: value for name, value in state["policy"].items() if name != "noise"}
    acting = [(text, state), (other, state | {"policy": flow})]
    found = [zero_noise(spec, of, obs) for spec, of in acting]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)
    before = jax.tree.map(np.asarray, state["policy"]["noise"]["net"])
    after, _ = made.update(state, replay_of(made), 1, made.hyper)
    moved = jax.tree.map(lambda x, y: float(np.abs(x - np.asarray(y)).max()), before, after["policy"]["noise"]["net"])
    assert max(jax.tree.leaves(moved)) > 0


def zero_noise(spec: str, state: Any, obs: np.ndarray) -> np.ndarray:
    """The actions of a state that zero noise becomes."""
    text = spec.rstrip().removesuffix("}") + "act { explore = sample  evaluate = zero_noise } }"
    made = build_program(check_valid(text), 3, 2, capacity=8, envs=1)
    return np.asarray(made.act(state, obs, 0, "evaluate", made.hyper)["action"])


def noisy(state: Any, data: Any) -> dict[str, np.ndarray]:
    made = program("flow")
    found = jax.jit(made._prepared)(state, data, made.on_device(made.hyper))[0]
    return {name: np.asarray(found[name]) for name in ("noise", "t")}


def test_noisy_versions_stay_for_all_updates_on_a_rollout_and_are_new_for_the_next() -> None:
    made = program("flow")
    state, data, found = made.init(0), replay_of(made), []
    for _ in range(5):
        found.append(noisy(state, data))
        state, _ = made.update(state, data, 1, made.hyper)
    for later in found[1:4]:
        assert all(np.array_equal(later[name], found[0][name]) for name in later)
    assert not any(np.any(found[4][name] == found[0][name]) for name in found[0])
    assert found[0]["noise"].shape == (8, 5, 2) and found[0]["t"].shape == (8, 5)
    assert found[0]["t"].min() >= 0.2 and found[0]["t"].max() <= 0.7 and len(np.unique(found[0]["t"])) == 40


def test_the_ratio_of_errors_against_a_loop() -> None:
    """exp(old error - new error), the errors of each noisy version of each action, one at a time."""
    trial = Trial(algorithm("flow"))
    values, batch = trial.interpreted, trial.batch
    velocity = values[next(name for name in values if name.endswith("velocity_2"))]
    ratio = np.zeros(batch["t"].shape)
    for row, n in np.ndindex(*ratio.shape):
        t, error = float(batch["t"][row, n]), 0.0
        for i in range(2):
            a_t = (1 - t) * batch["noise"][row, n, i] + t * batch["a"][row, i]
            error += (a_t - t * velocity[row, n, i] - batch["noise"][row, n, i]) ** 2 / 2
        ratio[row, n] = np.exp(batch["policy.surrogate.then"][row, n] - error)
    found = next(value for name, value in values.items() if name.rpartition(".")[2] == "ratio")
    np.testing.assert_allclose(found, ratio, rtol=1e-4)
    assert np.ptp(ratio) > 1e-3
