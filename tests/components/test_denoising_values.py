"""Single denoising steps, values after each of them, and chains of actions: closed forms, and losses against loops."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.samplers.ddpm import ddpm, ddpm_chain, ddpm_draw, ddpm_step
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.spec.helpers import CRITIC, codes, resolve_text, spec

ROWS, COUNT, LEVELS, ETA, RHO = 6, 3, 4, 0.3, 0.5
NET = f"backbone = diffusion(discrete_vp({LEVELS}), raw, [])  network = mlp([5], activation = tanh)"
STEPS = f"draws = {COUNT} from policy  fit = square(V_t(s, a_t, t) - ahead(eps(s, a_t, t) from policy))"
SPEC = f"""
algorithm small {{
  regime = offline
  order = [critic, policy, behavior, steps] -> targets
  def next() = where(last, Q_target(s, a_less), V_t(s, a_less, t_less) from steps_target)
  def ahead(e) = lower_mean(next(), {RHO}) - {ETA} * step_kl(e, eps(s, a_t, t) from behavior, kl_weight)
  policy behavior {{ {NET}  improve imitation {{}} }}
  policy {{ {NET}  sampler = ddpm({LEVELS}) }}
  critic {{
    network = mlp([8], activation = tanh)  next_actions = {COUNT} from policy
    let kl = path_kl(chain_eps, eps(s_next, chain, chain_t) from behavior, kl_weight)
    backup = lower_mean(Q_target(s_next, a_nexts) - {ETA} * kl, {RHO})
  }}
  noisy_value steps {{ network = mlp([4], activation = tanh)  time = raw  ensemble = 2  target = ema(0.005)  {STEPS} }}
  improve denoising_step {{ draws = {COUNT}  objective = ahead(eps(s, a_t, t)) }}
  train {{ batch = {ROWS} }}
}}
"""
TIMES = np.arange(LEVELS, -1, -1) / LEVELS


def abar() -> dict[float, float]:
    """alpha^2 of every level: prod (1 - beta_j), beta_j = 1 - exp(-0.1/K - 9.9 (2j - 1) / (2 K^2))."""
    k = np.arange(1, LEVELS + 1)
    log = np.concatenate([[0.0], np.cumsum(-0.1 / LEVELS - 9.9 * (2 * k - 1) / (2 * LEVELS**2))])
    return {j / LEVELS: float(np.exp(log[j])) for j in range(LEVELS + 1)}


@cache
def seen() -> Trial:
    return trial(SPEC)


def of(name: str) -> np.ndarray:
    return np.asarray(seen().interpreted[name], np.float64)


def field(owner: str, s: np.ndarray) -> Any:
    """The noise that a policy predicts at one noisy action, in float64."""
    params = reference.f64(seen().state[owner])["trunk"]
    return lambda x, t: reference.mlp(params, [x, np.array([t]), s], ["a", "t", "s"], "tanh")


def pessimistic(x: np.ndarray) -> float:
    """The lower bound of values [member, draw], their mean over draws first."""
    means = x.mean(axis=1)
    return float(means.mean() - RHO * means.std())


def price(e: np.ndarray, e_b: np.ndarray, t: float, u: float) -> float:
    rates = abar()
    beta = 1 - rates[t] / rates[u]
    return ETA * beta / (2 * (1 - beta) * (1 - rates[t])) * float(np.sum((e - e_b) ** 2))


def ahead(scope: str, k: int) -> tuple[float, float, np.ndarray]:
    """What follows the step of row k: its value less its price; where it started, a_t at t.  One draw at a time."""
    rates, s = abar(), np.asarray(seen().batch["s"][k], np.float64)
    t, u = float(of(f"{scope}.t")[k]), float(of(f"{scope}.t_less")[k])
    a_t = np.sqrt(rates[t]) * np.asarray(seen().batch["a"][k]) + np.sqrt(1 - rates[t]) * of(f"{scope}.noise")[k]
    e, e_b = field("policy", s)(a_t, t), field("behavior", s)(a_t, t)
    clean = np.clip((a_t - np.sqrt(1 - rates[t]) * e) / np.sqrt(rates[t]), -1, 1)
    beta = 1 - rates[t] / rates[u]
    mean = (np.sqrt(rates[u]) * beta * clean + np.sqrt(1 - beta) * (1 - rates[u]) * a_t) / (1 - rates[t])
    found = []
    for n in range(COUNT):
        x = mean if u == 0 else mean + np.sqrt(beta) * of(f"{scope}.step_noise")[k, n]
        if u == 0:
            found.append(reference.q_values(reference.f64(seen().state["critic_target"]), s, x))
            continue
        params = reference.f64(seen().state["steps_target"]["trunk"])
        row = [s, x, np.array([u])]
        found.append([reference.mlp(reference.member(params, i), row, ["s", "a", "level"], "tanh")[0] for i in range(2)])
    return pessimistic(np.array(found).T) - price(e, e_b, t, u), t, a_t


def test_the_fit_of_values_after_steps_against_a_loop() -> None:
    params, total = reference.f64(seen().state["steps"]["trunk"]), 0.0
    assert 0 < of("steps.last").sum() < ROWS
    for k in range(ROWS):
        s = np.asarray(seen().batch["s"][k], np.float64)
        y, t, a_t = ahead("steps", k)
        row = [s, a_t, np.array([t])]
        v = [reference.mlp(reference.member(params, i), row, ["s", "a", "level"], "tanh")[0] for i in range(2)]
        total += np.mean((np.array(v) - y) ** 2) / ROWS
    assert float(seen().stepped[1]["steps_loss"]) == pytest.approx(total, rel=2e-3)


def test_the_objective_of_a_step_against_a_loop() -> None:
    a_less, last = of("policy.denoising_step.a_less"), of("policy.denoising_step.last") > 0
    assert a_less.shape == (ROWS, COUNT, 2) and 0 < last.sum() < ROWS
    assert np.ptp(a_less[last], axis=1).max() == 0 and np.ptp(a_less[~last], axis=1).min() > 0
    total = np.mean([ahead("policy.denoising_step", k)[0] for k in range(ROWS)])
    assert float(seen().stepped[1]["policy_loss"]) == pytest.approx(-total, rel=2e-3)


def test_the_divergence_of_paths_against_a_loop() -> None:
    chain, eps, a = of("critic.a_nexts_chain"), of("critic.a_nexts_eps"), of("critic.a_nexts")
    assert chain.shape == eps.shape == (ROWS, COUNT, LEVELS, 2)
    y = np.zeros(ROWS)
    for k in range(ROWS):
        s = np.asarray(seen().batch["s_next"][k], np.float64)
        values = []
        for n in range(COUNT):
            paid = 0.0
            for i in range(LEVELS):
                x, t, u = chain[k, n, i], TIMES[i], TIMES[i + 1]
                e = field("policy", s)(x, t)
                np.testing.assert_allclose(eps[k, n, i], e, rtol=1e-3, atol=1e-4)
                paid += price(e, field("behavior", s)(x, t), t, u)
            values.append(reference.q_values(reference.f64(seen().state["critic_target"]), s, a[k, n]) - paid)
        y[k] = pessimistic(np.array(values).T)
    np.testing.assert_allclose(of("critic.y"), y, rtol=2e-3, atol=1e-4)


def eps_of_a_gaussian(a_t, t):
    return 0.5 * a_t + 0.1 * jnp.sin(t)


def alpha(t):
    return jnp.cos(0.5 * jnp.pi * t)


@pytest.mark.parametrize("options", [{}, {"clip": 0.5}, {"posterior": True, "clip": 1.0}])
def test_chains_end_where_the_sampler_does(options: dict[str, Any]) -> None:
    key, times = jax.random.PRNGKey(1), jnp.linspace(0.95, 0.0, 5)
    start = jax.random.normal(jax.random.PRNGKey(0), (5, 2))
    a, chain, eps = ddpm_chain(eps_of_a_gaussian, alpha, start, key, times, **options)
    np.testing.assert_allclose(a, ddpm(eps_of_a_gaussian, alpha, start, key, times, **options), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(chain[:, 0], start)
    np.testing.assert_allclose(eps, eps_of_a_gaussian(chain, times[:-1, None]), rtol=1e-5, atol=1e-6)


def test_the_price_of_a_step_is_the_divergence_of_two_gaussians() -> None:
    """KL of N(m, beta) from N(m_b, beta) = |m - m_b|^2 / (2 beta), m and m_b the means of two predicted noises."""
    a_t, e, e_b = (jnp.asarray(x, jnp.float32) for x in ([0.3, -0.8], [0.5, 0.1], [-0.2, 0.4]))
    for t, u in pairwise(TIMES):
        rates = abar()
        (m, beta), (m_b, _) = (ddpm_step(a_t, x, rates[t], rates[u]) for x in (e, e_b))
        exact = float(jnp.sum((m - m_b) ** 2)) / (2 * beta)
        assert price(np.asarray(e), np.asarray(e_b), t, u) == pytest.approx(ETA * exact, rel=1e-4)


def test_a_step_has_the_moments_of_its_gaussian() -> None:
    noise = jax.random.normal(jax.random.PRNGKey(0), (50_000, 1))
    one = jnp.ones(())
    mean, variance = ddpm_step(jnp.asarray([0.4]), jnp.asarray([0.2]), 0.3, 0.6)
    args = (jnp.asarray([0.4]), jnp.asarray([0.2]), jnp.sqrt(0.3 * one), jnp.sqrt(0.6 * one))
    drawn = ddpm_draw(*args, 0 * one, noise)
    assert float(drawn.mean()) == pytest.approx(float(mean[0]), abs=0.02)
    assert float(drawn.var()) == pytest.approx(float(variance), rel=0.02)
    np.testing.assert_allclose(ddpm_draw(*args, one, noise), jnp.broadcast_to(mean, noise.shape), rtol=1e-6)
    assert float(ddpm_draw(*args, one, noise, floor=0.2).std()) == pytest.approx(max(0.2, float(variance) ** 0.5), rel=0.02)


DIFFUSION = f"policy {{ {NET}  sampler = ddpm({LEVELS}) }}"
FIT = "fit = square(V_t(s, a_t, t) - mean(Q(s, a_less), over = [ensemble, particle]))"
MEANS = "fit = square(mean(V_t(s, a_t, t)) - mean(Q(s, a_less)))"
READ = "act { evaluate = guided(1 from steps) }"


@pytest.mark.parametrize(
    ("statements", "code", "words"),
    [
        (f"noisy_value steps {{ {FIT} }}", "FRL0216", "draws = 10 from policy"),
        (f"noisy_value steps {{ {MEANS}  draws = 2 from policy  particles = 2 from policy }}", "FRL0216", "either"),
        ("noisy_value steps { fit = square(V_t(s, a_t, t))  draws = 2 from policy }", "FRL0226", "a_less"),
    ],
)
def test_mistakes_have_codes(tmp_path, statements: str, code: str, words: str) -> None:
    found = resolve_text(tmp_path, spec(DIFFUSION, CRITIC, "improve imitation {}", "regime = offline", statements, READ))
    assert code in codes(found)
    assert any(words in str(error.message) for error in found.diagnostics.errors if error.code == code)


def test_only_a_sampler_with_gaussian_steps_takes_one(tmp_path) -> None:
    ddim = DIFFUSION.replace("ddpm", "ddim")
    values = f"noisy_value steps {{ {FIT}  draws = 2 from policy }}"
    step = "improve denoising_step { objective = mean(Q(s, a_less), over = [ensemble, particle]) }"
    chained = "critic { next_actions = 2 from policy  backup = sum(chain, over = [particle, denoise, action]) }"
    for critic, improve, more in ((CRITIC, step, ""), (CRITIC, "improve imitation {}", values), (chained, step, "")):
        found = resolve_text(tmp_path, spec(ddim, critic, improve, "regime = offline", more, READ if more else ""))
        assert {*codes(found)} == {"FRL0212"} and "denoising_step" in found.diagnostics.errors[0].message
