"""Policies made of others, here an edit of a steered flow: losses and gradients against loops in NumPy, and invariants."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from flowrl_dsl.testing import invariants
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.spec.helpers import CRITIC, algorithm_of, codes, resolve_text, spec

ROWS, COUNT, NOISES, STEPS, SCALE, EDIT, DISCOUNT = 7, 3, 2, 2, 1.5, 0.3, 0.9
PRICE = 0.2
SPEC = f"""
algorithm small {{
  regime = offline
  order  = [critic, behavior, pilot, policy, temperature, latent] -> targets
  param temperature = learned(1.0, target_entropy = -A / 2) in (0, inf)
  policy behavior {{
    backbone = flow(raw, [])
    network  = mlp([5], activation = tanh)
    sampler  = euler({STEPS}, clip = none)
    improve imitation {{}}
  }}
  policy pilot {{
    base     = steered({SCALE} from behavior)
    backbone = tanh_gaussian
    network  = mlp([6], activation = tanh)
    improve reparameterized {{ objective = min(V_z(s, noise), over = ensemble) - {PRICE} * draw_log_prob(s, a) }}
  }}
  policy {{
    base     = edited({EDIT} from pilot)
    backbone = tanh_gaussian
    network  = mlp([6], activation = tanh)
  }}
  critic {{
    network     = mlp([8], activation = tanh)
    discount    = {DISCOUNT}
    next_action = best_of({COUNT}, by = mean, also = bases)
    backup      = td(r, d, discount, min(Q_target(s_next, a_next), over = ensemble))
  }}
  noise_value latent {{
    draws   = {NOISES} from behavior
    network = mlp([4], activation = tanh)
    fit     = square(V_z(s, noise) - Q(s, a))
  }}
  improve reparameterized {{
    draw      = edited
    objective = mean(Q(s, a), over = ensemble) - temperature * draw_log_prob(s, a) - mean(square(a - a_base), over = action)
  }}
  act {{ evaluate = one_of(2, weight = top1(min(Q(s, a), over = ensemble)), also = bases) }}
  train {{ batch = {ROWS} }}
}}
"""


@cache
def seen() -> Trial:
    return trial(SPEC)


def of(name: str) -> np.ndarray:
    return np.asarray(seen().interpreted[name], np.float64)


def params(owner: str) -> Any:
    return reference.f64(seen().state[owner])


def field(name: str, k: int) -> np.ndarray:
    return np.asarray(seen().batch[name][k], np.float64)


def flowed(s: np.ndarray, z: np.ndarray, state: Any = None) -> np.ndarray:
    """The action that Euler steps of the flow make of one noise, within [-1, 1]."""
    net, x = (params("behavior") if state is None else reference.f64(state["behavior"]))["trunk"], z
    for step in range(STEPS):
        x = x + reference.mlp(net, [x, np.array([step / STEPS]), s], ["a", "t", "s"], "tanh") / STEPS
    return np.clip(x, -1, 1)


def squashed(net: Any, s: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, float]:
    """tanh(mean + std normal) and its log-density; log std is between -5 and 2."""
    mean, raw = np.split(reference.mlp(net, [s], ["s"], "tanh"), 2)
    log_std = -5 + 7 / (1 + np.exp(-2 * raw))
    x = np.tanh(mean + np.exp(log_std) * normal)
    each = -(normal**2) / 2 - log_std - np.log(2 * np.pi) / 2 - np.log(1 - x**2)
    return x, float(each.sum())


def edited(net: Any, s: np.ndarray, base: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, float]:
    delta, density = squashed(net, np.concatenate([s, base]), normal)
    return np.clip(base + EDIT * delta, -1, 1), density


def test_the_backup_by_the_best_of_actions_and_their_edits() -> None:
    scope, target, total = "critic.a_next_candidates", params("critic_target"), 0.0
    unit, normal = of(f"{scope}_base_unit_noise_noise"), of(f"{scope}_edit_noise")
    assert unit.shape == normal.shape == (ROWS, COUNT, 2)
    for k in range(ROWS):
        s = field("s_next", k)
        bases = [flowed(s, SCALE * squashed(params("pilot"), s, unit[k, n])[0]) for n in range(COUNT)]
        edits = [edited(params("policy"), s, base, normal[k, n])[0] for n, base in enumerate(bases)]
        values = [reference.q_values(target, s, a) for a in (*bases, *edits)]
        best = max(values, key=lambda q: q.mean())
        y = field("r", k) + DISCOUNT * (1 - field("d", k)) * best.min()
        total += np.mean((reference.q_values(params("critic"), field("s", k), field("a", k)) - y) ** 2) / ROWS
    assert float(seen().stepped[1]["critic_loss"]) == pytest.approx(total, rel=1e-3)


def edit_loss(net: Any) -> float:
    """Edits of the data's actions."""
    normal, temperature, total = (
        of("policy.reparameterized.action_edit_noise"),
        of("policy.reparameterized.temperature"),
        0.0,
    )
    for k in range(ROWS):
        s, base = field("s", k), field("a", k)
        a, density = edited(net, s, base, normal[k])
        q = reference.q_values(params("critic"), s, a).mean()
        total += (temperature * density + np.mean((a - base) ** 2) - q) / ROWS
    return total


def steering_loss(net: Any) -> float:
    """The critic of noise, not the one of actions."""
    normal, total = of("pilot.pilot_reparameterized.action_unit_noise_noise"), 0.0
    for k in range(ROWS):
        x, density = squashed(net, field("s", k), normal[k])
        total += (PRICE * density - min(noise_values(field("s", k), SCALE * x))) / ROWS
    return total


def noise_values(s: np.ndarray, z: np.ndarray) -> list[float]:
    net = params("latent")
    return [float(reference.mlp(reference.member(net, e), [s, z], ["s", "z"], "tanh")[0]) for e in range(2)]


@pytest.mark.parametrize(("owner", "loss"), [("policy", edit_loss), ("pilot", steering_loss)])
def test_losses_of_both_and_their_gradients(owner: str, loss: Callable[[Any], float]) -> None:
    net = params(owner)
    assert float(seen().stepped[1][f"{owner}_loss"]) == pytest.approx(loss(net), rel=1e-3)

    def at(bias: np.ndarray) -> float:
        return loss({**net, "head": {**net["head"], "bias": bias}})

    slope = reference.gradient(at, net["head"]["bias"])
    found = seen().interpreted[f"{owner}.gradient"]["head"]["bias"]
    np.testing.assert_allclose(np.asarray(found), slope, rtol=1e-3, atol=1e-4)


def test_the_critic_of_noise_learns_what_its_actions_are_worth() -> None:
    noise, total = of("latent.noise"), 0.0
    assert noise.shape == (ROWS, NOISES, 2)
    for k in range(ROWS):
        s = field("s", k)
        for z in noise[k]:
            q = reference.q_values(params("critic"), s, flowed(s, z))
            total += np.mean((noise_values(s, z) - q) ** 2) / (ROWS * NOISES)
    assert float(seen().stepped[1]["latent_loss"]) == pytest.approx(total, rel=1e-3)


def test_the_temperature_follows_the_entropy_of_unscaled_edits() -> None:
    normal = of("policy.reparameterized.action_edit_noise")
    drawn = [edited(params("policy"), field("s", k), field("a", k), normal[k])[1] for k in range(ROWS)]
    assert float(seen().stepped[1]["temperature_loss"]) == pytest.approx(
        float(np.log(of("policy.reparameterized.temperature"))) * (-np.mean(drawn) + 1), abs=1e-4
    )


def test_an_edit_of_scale_0_is_the_action_of_its_base() -> None:
    """And with a noise of scale 0 the base does what the flow makes of zero noise."""
    made, obs = seen().program, np.random.default_rng(0).normal(size=(4, 3)).astype("f")
    state = made.init(0)
    for scale, same in ((0.0, True), (EDIT, False)):
        hyper = {**made.hyper, "policy.base.scale": scale}
        quiet = made.act(state, obs, 5, "explore", {**hyper, "pilot.base.scale": 1e-6})["action"]
        moved = [flowed(s, np.zeros(2), state) for s in obs.astype(np.float64)]
        assert np.allclose(quiet, moved, atol=1e-4) == same


def test_invariants() -> None:
    invariants.check_program(seen())


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (f"edited({EDIT} from pilot)", f"edited({EDIT} from pilt)", "FRL0219"),
        (f"edited({EDIT} from pilot)", f"edited({EDIT} from pilot_target)", "FRL0220"),
        (f"edited({EDIT} from pilot)", "edited(-0.1 from pilot)", "FRL0214"),
        (f"edited({EDIT} from pilot)", f"edited({EDIT})", "FRL0264"),
        (f"steered({SCALE} from behavior)", f"steered({SCALE} from policy)", "FRL0212"),
        (f"draws   = {NOISES} from behavior", f"draws   = {NOISES} from policy", "FRL0212"),
        ("V_z(s, noise), over", "V_z(s, a_base), over", "FRL0212"),
        ("square(V_z(s, noise) - Q(s, a))", "square(Q(s, a))", "FRL0256"),
        ("square(V_z(s, noise) - Q(s, a))", "square(V_z(s, noise) - Q(s, a))  ensemble = 3", "FRL0257"),
        ("draw      = edited", "draw      = predicted", "FRL0212"),
        ("min(V_z(s, noise), over = ensemble) -", "min(Q(s, a), over = ensemble) -", "FRL0325"),
    ],
)
def test_mistakes_have_codes(tmp_path, old: str, new: str, code: str) -> None:
    assert SPEC.count(old) == 1
    found = resolve_text(tmp_path, SPEC.replace(old, new))
    assert code in [*codes(found), *(warning.code for warning in found.diagnostics)]


@pytest.mark.parametrize(
    ("base", "warned"), [("edited(0.1 from other)", False), ("steered(1 from other)", True), ("none", True)]
)
def test_exploring_is_random_where_the_edited_actions_are(tmp_path, base: str, warned: bool) -> None:
    """A policy without noise of its own edits random actions; steering by it is choosing one noise."""
    other = "policy other { backbone = flow  sampler = euler(2)  improve imitation {} }"
    own = f"policy {{ backbone = deterministic  base = {base} }}"
    found = resolve_text(tmp_path, spec(other if base != "none" else "", own, CRITIC, "improve reparameterized {}"))
    assert algorithm_of(found) and ("FRL0305" in [d.code for d in found.diagnostics]) == warned
