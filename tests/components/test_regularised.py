"""Terms that keep a policy near its data, and what their critics read: against loops in NumPy.

Several next actions and the data's own one in a backup, a member of an ensemble, a predicted action, what a teacher makes of
the same noise, a denoising error as a cost, and a multiplier that follows the error of the imitation.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.adaptations.dual import ascended
from flowrl_dsl.components.backbones.edm import edm_bounded, log_logistic_level
from flowrl_dsl.components.backbones.generator import Generator
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.helpers import QUICK

DISCOUNT, BOUND, DATA, STEPS = 0.9, 0.5, 0.5, 3
AT_MOST, RATE, STEP, LOW, HIGH = 0.2, 0.5, 0.1, 0.5, 1.04
SMALL = "time = fourier(4, hidden = 4), obs = [4, 4]"
SPEC = f"""
algorithm small {{
  regime = offline
  order  = [critic, behavior] -> critic_target -> policy -> [eta, targets]
  param eta = dual(1.0, at_most = {AT_MOST}, rate = {RATE}, step = {STEP}) in [{LOW}, {HIGH}]
  data {{ clip = {BOUND} }}
  policy behavior {{
    backbone = edm({SMALL}, sigma_min = 0.05, levels = logistic, bound = {BOUND})
    network  = mlp([6], activation = mish)
    sampler  = edm_heun(2)
    target   = ema(0.1)
    improve imitation {{}}
  }}
  critic {{
    network      = mlp([8], activation = tanh)
    discount     = {DISCOUNT}
    next_actions = 3 from behavior_target
    let far      = next_seen * sum(square(a_next - a_next_seen), over = action)
    let q        = mean(Q_target(s_next, a_nexts), over = particle)
    backup       = td(r, d, discount, min(q, over = ensemble) - far / N)
  }}
  policy {{
    backbone = flow({SMALL})
    network  = mlp([7], activation = mish)
    sampler  = euler({STEPS}, clip = none)
  }}
  improve eta * imitation {{}}
  improve distillation {{ draws = 2 from behavior_target }}
  improve reparameterized {{
    draw      = predicted
    let cost  = 0.3 * (denoising_loss(s, a) from behavior) + sum(a * stop(score_gap(s, a) from behavior), over = action)
    objective = member(Q_target(s, a), 2) - cost
  }}
  train {{ batch = 9 }}
}}
"""


@cache
def seen() -> Trial:
    return trial(SPEC)


def of(name: str) -> np.ndarray:
    return np.asarray(seen().interpreted[name], np.float64)


@cache
def rows() -> dict[str, np.ndarray]:
    batch = {name: np.asarray(value, np.float64) for name, value in seen().batch.items()}
    return batch | {name: np.clip(batch[name], -BOUND, BOUND) for name in ("a", "a_next_seen")}


def q(params, s, a) -> np.ndarray:
    return reference.q_values(reference.f64(params), s, a)


def test_a_backup_reads_several_next_actions_and_the_one_of_the_data():
    data, target = rows(), seen().state["critic_target"]
    nexts, a_next = of("critic.a_nexts"), of("critic.a_next")
    for k, s in enumerate(data["s_next"]):
        lowest = np.mean([q(target, s, a) for a in nexts[k]], axis=0).min()
        far = data["next_seen"][k] * np.sum((a_next[k] - data["a_next_seen"][k]) ** 2)
        y = data["r"][k] + DISCOUNT * (1 - data["d"][k]) * (lowest - far / 3)
        assert of("critic.y")[k] == pytest.approx(y, rel=1e-3, abs=1e-4)
    assert {0.0, 1.0} == {*data["next_seen"]}


def test_a_copy_with_a_stage_of_its_own_moves_where_the_order_names_it():
    """The policy reads the target that has followed the new critic; the teacher's copy moves last."""
    one, (new, _, _) = seen(), seen().stepped
    for k, s in enumerate(rows()["s"]):
        expected = q(new["critic_target"], s, of("policy.reparameterized.action")[k])[1]
        assert of("policy.reparameterized.member")[k] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    moved = jax.tree.map(lambda copy, x: copy + 0.1 * (x - copy), one.state["behavior_target"], new["behavior"])
    for got, expected in zip(jax.tree.leaves(new["behavior_target"]), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_a_predicted_action_is_what_one_call_leaves_of_a_noisy_one():
    params, data = reference.f64(seen().state["policy"]), rows()
    a_t, t, noise = (of(f"policy.reparameterized.{name}") for name in ("a_t", "t", "noise"))
    for k, s in enumerate(data["s"]):
        np.testing.assert_allclose(a_t[k], (1 - t[k]) * noise[k] + t[k] * data["a"][k], rtol=1e-4, atol=1e-5)
        clean = a_t[k] + (1 - t[k]) * reference.denoiser(params, a_t[k], t[k], s)
        np.testing.assert_allclose(of("policy.reparameterized.action")[k], np.clip(clean, -1, 1), rtol=1e-3, atol=2e-3)


def test_the_student_learns_what_its_teacher_makes_of_the_same_noise():
    policy, teacher = (reference.f64(seen().state[name]) for name in ("policy", "behavior_target"))
    noise, goal, student = (of(f"policy.distillation.{name}") for name in ("noise", "goal", "student"))
    levels = reference.noise_levels(4.0, 0.05, 2, 7.0)
    total = 0.0
    for k, n in np.ndindex(noise.shape[:2]):
        s = rows()["s"][k]
        drawn = reference.euler(lambda a, t, s=s: reference.denoiser(policy, a, t, s), noise[k, n], STEPS, None)
        np.testing.assert_allclose(student[k, n], drawn, rtol=1e-3, atol=1e-3)

        def denoise(a, sigma, s=s):
            return reference.edm_denoiser(teacher, a, sigma, s, DATA)

        taught = np.clip(reference.edm_heun(denoise, noise[k, n], levels, 1.0), -1, 1)
        np.testing.assert_allclose(goal[k, n], taught, rtol=1e-3, atol=1e-3)
        total += np.mean((drawn - taught) ** 2) / (9 * 2)
    assert float(seen().stepped[1]["distillation_loss"]) == pytest.approx(total, rel=1e-2)


def test_a_denoising_error_is_that_of_the_bounded_denoiser_in_units_of_its_output():
    params = reference.f64(seen().stepped[0]["behavior"])
    action, a_t, sigma = (of(f"policy.reparameterized.{name}") for name in ("action", "a_t_2", "t_2"))
    for k, s in enumerate(rows()["s"]):
        c_out = sigma[k] * DATA / np.sqrt(sigma[k] ** 2 + DATA**2)
        denoised = np.clip(reference.edm_denoiser(params, a_t[k], sigma[k], s, DATA), -BOUND, BOUND)
        expected = np.mean(((denoised - action[k]) / c_out) ** 2)
        assert of("policy.reparameterized.denoising_loss")[k] == pytest.approx(expected, rel=2e-2)


def test_a_score_gap_is_the_error_of_the_predicted_noise():
    params = reference.f64(seen().stepped[0]["behavior"])
    a_t, sigma, noise = (of(f"policy.reparameterized.{name}") for name in ("a_t_3", "t_3", "noise_3"))
    for k, s in enumerate(rows()["s"]):
        np.testing.assert_allclose(a_t[k], of("policy.reparameterized.action")[k] + sigma[k] * noise[k], rtol=1e-4)
        eps = (a_t[k] - reference.edm_denoiser(params, a_t[k], sigma[k], s, DATA)) / sigma[k]
        expected = sigma[k] ** 2 * (eps - noise[k])
        np.testing.assert_allclose(of("policy.reparameterized.score_gap")[k], expected, rtol=1e-3, atol=1e-4)


def test_a_multiplier_follows_the_error_of_the_imitation():
    one, (new, metrics, _) = seen(), seen().stepped
    error, eta = float(metrics["imitation_loss"]), float(one.state["param.eta"])
    expected = np.clip(eta + RATE * np.clip(error - AT_MOST, -STEP, STEP), LOW, HIGH)
    assert float(new["param.eta"]) == pytest.approx(float(expected), rel=1e-5)
    weighted = eta * error + float(metrics["distillation_loss"]) + float(metrics["reparameterized_loss"])
    assert float(metrics["policy_loss"]) == pytest.approx(weighted, rel=1e-4)


@pytest.mark.parametrize(
    "measured, step, expected",
    [(0.5, None, 1.1), (0.1, None, 0.9), (9.0, 1.0, 1.5), (-9.0, 1.0, 0.5), (9.0, None, 2.0), (-9.0, None, 0.25)],
)
def test_an_ascent_is_bounded_in_its_steps_and_its_values(measured, step, expected):
    """x = 1, bound 0.3, rate 0.5, values in [0.25, 2]."""
    assert float(ascended(1.0, measured, 0.3, 0.5, 0.25, 2.0, step)) == pytest.approx(expected)


def test_logistic_levels_have_the_quantiles_of_their_law():
    mean, std, low, high, count = np.log(0.5), 0.5, 0.1, 3.0, 40_000
    sigma = np.asarray(log_logistic_level(jax.random.key(0), jnp.zeros((count, 2)), mean, std, low, high), np.float64)

    def below(x):
        return 1 / (1 + np.exp(-(np.log(x) - mean) / std))

    assert sigma.min() >= low * (1 - 1e-6) and sigma.max() <= high * (1 + 1e-6)
    for x in (0.2, 0.5, 1.0, 2.0):
        share = (below(x) - below(low)) / (below(high) - below(low))
        assert np.mean(sigma < x) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))


def test_an_output_within_its_bound_is_unchanged_and_has_no_gradient_beyond_it():
    a_t, sigma, inside, outside = jnp.array([0.3]), jnp.array(0.7), jnp.array([0.1]), jnp.array([40.0])
    np.testing.assert_allclose(edm_bounded(a_t, inside, sigma, DATA, 1.0), inside, rtol=1e-5)
    slope = jax.grad(lambda f: edm_bounded(a_t, f, sigma, DATA, 1.0)[0])
    assert float(slope(inside)[0]) == pytest.approx(1.0, rel=1e-5) and float(slope(outside)[0]) == 0.0


def test_a_hard_clip_stops_the_gradient_where_a_straight_one_passes_it():
    from flowrl_dsl.components.backbones import generator

    class Net:
        @staticmethod
        def apply(variables, inputs):
            return variables["params"] * inputs["z"]

    def drawn(scale, hard):
        return jnp.sum(generator.generate(Net, scale, jnp.zeros((4, 3)), jax.random.PRNGKey(0), 2, hard=hard))

    slope = jax.jit(jax.grad(drawn), static_argnums=1, compiler_options=QUICK)
    z = generator.gaussian_noise(jax.random.PRNGKey(0), jnp.zeros((4, 3)), 2, None)
    assert float(slope(0.5, False)) == pytest.approx(float(jnp.sum(z)), rel=1e-5)
    assert float(slope(0.5, True)) == pytest.approx(float(jnp.sum(jnp.where(jnp.abs(0.5 * z) < 1, z, 0))), rel=1e-5)
    assert bool(jnp.any(jnp.abs(0.5 * z) > 1))


def test_a_generator_maps_noise_where_its_dimension_is_that_of_an_action():
    assert "noise_map" in Generator(noise=None).capabilities() and "noise_map" not in Generator(noise=2).capabilities()
