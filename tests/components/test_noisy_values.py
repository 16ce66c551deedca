"""Values of noisy actions: a contrastive fit against a loop, and guided samples against the density they are to have."""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.denoising import guided_noise
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.spec.helpers import CRITIC, algorithm_of, codes, resolve_text, spec

ROWS, COUNT = 6, 3
DIFFUSION = "backbone = diffusion(time = raw, obs = [])  network = mlp([5], activation = tanh)  sampler = dpm_solver_2(1)"
NOISY = "noisy_value energy {{ network = mlp([4], activation = tanh)  time = raw  {} }}"
CONTRAST = f"""ensemble = 2  particles = {COUNT} from policy
  let w = softmax(3 * mean(Q(s, a), over = ensemble), over = particle)
  fit = -sum(w * log_softmax(V_t(s, a_t, t), over = particle), over = particle)"""
SPEC = f"""
algorithm small {{
  regime = offline
  policy {{ {DIFFUSION} }}
  critic {{ network = mlp([8], activation = tanh) }}
  {NOISY.format(CONTRAST)}
  improve imitation {{}}
  act {{ evaluate = guided(0.7 from energy) }}
  train {{ batch = {ROWS} }}
}}
"""


@cache
def seen() -> Trial:
    return trial(SPEC)


def test_the_contrast_against_a_loop() -> None:
    values, batch, state = seen().interpreted, seen().batch, seen().state
    a, noise = (np.asarray(values[f"energy.{name}"], np.float64) for name in ("actions", "noise"))
    t, alpha, sigma = (np.asarray(values[f"energy.{name}"], np.float64) for name in ("t", "alpha", "sigma"))
    assert a.shape == noise.shape == (ROWS, COUNT, 2) and t.shape == (ROWS,)
    critic, energy, total = reference.f64(state["critic"]), reference.f64(state["energy"]["trunk"]), 0.0
    for k in range(ROWS):
        s = np.asarray(batch["s"][k], np.float64)
        q = [3 * reference.q_values(critic, s, a[k, n]).mean() for n in range(COUNT)]
        w = np.exp(q) / np.exp(q).sum()
        for e in range(2):
            own = reference.member(energy, e)
            noisy = [alpha[k] * a[k, n] + sigma[k] * noise[k, n] for n in range(COUNT)]
            v = np.array([reference.mlp(own, [s, x, t[k : k + 1]], ["s", "a", "level"], "tanh")[0] for x in noisy])
            total += -(w @ (v - np.log(np.exp(v).sum()))) / (2 * ROWS)
    assert float(seen().stepped[1]["energy_loss"]) == pytest.approx(total, rel=1e-3)


def test_without_guidance_samples_are_those_of_the_policy() -> None:
    """At scale 0 the two ways to act are the same function of the same draws; at another one they are not."""
    made, obs = seen().program, np.zeros((4, 3), np.float32)
    state = made.init(0)
    plain = made.act(state, obs, 5, "explore", made.hyper)["action"]
    for scale, same in ((0.0, True), (50.0, False)):
        hyper = {**made.hyper, "act.evaluate.guide": scale}
        guided = made.act(state, obs, 5, "evaluate", hyper)["action"]
        assert np.allclose(plain, guided, atol=1e-6) == same


def alpha(t):
    return jnp.cos(0.5 * jnp.pi * t)


@pytest.mark.parametrize("process", ["diffusion", "edm"])
def test_guided_noise_is_that_of_the_tilted_gaussian(process: str) -> None:
    """Actions N(0, v) and q = b a: the density times exp(q) is N(v b, v), and log E[exp(q) | a_t] is b E[a | a_t] + ..."""
    v, slope = 0.3, 1.7
    rates = {"diffusion": lambda t: (alpha(t), jnp.sqrt(1 - alpha(t) ** 2)), "edm": lambda t: (jnp.ones(()), t)}[process]

    def noise_of(mean):
        def eps(a_t, t):
            keep, sigma = rates(t)
            return sigma * (a_t - keep * mean) / (keep**2 * v + sigma**2)

        return eps

    def energy(a_t, t):
        keep, sigma = rates(t)
        total = keep**2 * v + sigma**2
        return jnp.sum(slope * keep * v * a_t / total + slope**2 * v * sigma**2 / (2 * total), axis=-1)

    a_t = jnp.asarray(np.random.default_rng(0).normal(size=(5, 1)), jnp.float32)
    for t in (0.1, 0.5, 0.9):
        for scale in (1.0, 0.5):
            found = guided_noise(noise_of(0.0), energy, scale, alpha if process == "diffusion" else None)(a_t, t)
            np.testing.assert_allclose(found, noise_of(scale * v * slope)(a_t, t), rtol=1e-4, atol=1e-5)


def written(*statements: str) -> str:
    return spec(f"policy {{ {DIFFUSION} }}", CRITIC, "improve imitation {}", "regime = offline", *statements)


SQUARE = "fit = square(V_t(s, a_t, t) - min(Q(s, a), over = ensemble))"
READ = "act { evaluate = guided(1 from energy) }"


def test_values_that_guide_or_that_a_formula_calls_are_read(tmp_path) -> None:
    energy = NOISY.format(SQUARE)
    calling = "act { evaluate = one_of(2, weight = mean(V_t(s, a, 0), over = ensemble)) }"
    for more, warned in (((READ,), []), ((calling,), []), ((), ["FRL0325"])):
        found = resolve_text(tmp_path, written(energy, *more))
        assert algorithm_of(found) and [d.code for d in found.diagnostics if d.code == "FRL0325"] == warned


@pytest.mark.parametrize(
    ("statements", "code", "words"),
    [
        (
            (NOISY.format("ensemble = 3  fit = square(V_t(s, a_t, t) - Q(s, a))"), READ),
            "FRL0257",
            "the 3 members of energy and",
        ),
        ((NOISY.format(SQUARE), "act { evaluate = guided(1) }"), "FRL0213", "a number `from`"),
        ((NOISY.format(SQUARE), "act { evaluate = guided(1 from enrgy) }"), "FRL0219", "enrgy"),
        ((NOISY.format(SQUARE), "act { evaluate = guided(1 from energy_target) }"), "FRL0220", "energy does not keep"),
        ((NOISY.format(SQUARE), "act { evaluate = guided(1 from noisy_value) }"), "FRL0219", "noisy_value"),
        ((NOISY.format("fit = square(a_t)"), READ), "FRL0248", "action"),
        ((NOISY.format("fit = square(V_t(s, a_t, s))"), READ), "FRL0244", "argument 3 of V_t"),
        ((NOISY.format("fit = square(mean(Q(s, a), over = ensemble))"), READ), "FRL0256", "V_t"),
        ((NOISY.format(SQUARE.replace("min", "member").replace("over = ensemble", "3")), READ), "FRL0214", "the 2 members"),
    ],
)
def test_mistakes_have_codes(tmp_path, statements: tuple[str, ...], code: str, words: str) -> None:
    found = resolve_text(tmp_path, written(*statements))
    assert code in codes(found)
    assert any(words in str(error.message) for error in found.diagnostics.errors if error.code == code)


def test_what_draws_and_what_is_drawn_need_a_noise_process(tmp_path) -> None:
    gaussian = spec("policy { backbone = gaussian }", CRITIC, "improve imitation {}", NOISY.format(SQUARE), READ)
    found = resolve_text(tmp_path, gaussian)
    assert {error.message.partition(" needs ")[2].partition(",")[0] for error in found.diagnostics.errors} == {
        "noise_process",
        "guided_draws",
    }
    other = "policy other { backbone = gaussian  improve imitation {} }"
    drawn = NOISY.format(f"particles = 2 from other  {SQUARE}")
    found = resolve_text(tmp_path, written(other, drawn, READ))
    assert codes(found) == ["FRL0212", "FRL0248"]


def test_particles_widen_what_the_formula_sees(tmp_path) -> None:
    """With particles, a and a_t have their axis; without them, there is none to reduce."""
    contrast = "fit = -sum(log_softmax(V_t(s, a_t, t), over = particle), over = particle)"
    wide = algorithm_of(resolve_text(tmp_path, written(NOISY.format(f"particles = 2 from policy  {contrast}"), READ)))
    assert wide.sections["energy"].fit.term.axes == ("ensemble", "batch")  # type: ignore[attr-defined]
    assert "FRL0246" in codes(resolve_text(tmp_path, written(NOISY.format(contrast), READ)))
