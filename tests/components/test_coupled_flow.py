"""The coupled flow: its map, the inverse of the map, and its density, each against an independent computation."""

from __future__ import annotations

from copy import copy
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.backbones.coupled_flow import coupled_actions, coupled_log_density, coupled_noise
from flowrl_dsl.components.mechanisms.pull import mean_length
from flowrl_dsl.lowering.evaluate import node_by_node
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.testing.traced import Traced
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.helpers import QUICK

STEPS, MIXING = 3, 0.8
MAPS = [(1, 1, 0.95), (2, 3, 0.8), (3, 5, 0.95), (2, 4, 1.0), (2, 2, 0.5)]
"""Components of an action, steps and mixing."""


def times(steps: int) -> np.ndarray:
    return np.linspace(0, 1, steps + 1, dtype=np.float32)


def velocity(size: int, seed: int = 0, scale: float = 1.0) -> Any:
    """A random network of one half and the time."""
    rng = np.random.default_rng(seed)
    first, bias, last = (scale * rng.normal(size=shape).astype("f") for shape in ((size + 1, 7), (7,), (7, size)))

    def v(half: Any, t: Any) -> Any:
        features = jnp.concatenate([half, jnp.broadcast_to(t, (*half.shape[:-1], 1))], axis=-1)
        return jnp.tanh(features @ first + bias) @ last

    return v


def noise(size: int, rows: int = 6, seed: int = 1) -> np.ndarray:
    """Both halves [2, rows, size]."""
    return np.random.default_rng(seed).normal(size=(2, rows, size)).astype("f")


@pytest.mark.parametrize(("size", "steps", "mixing"), MAPS)
def test_the_map_is_that_of_a_loop(size: int, steps: int, mixing: float) -> None:
    v, x, p = velocity(size), noise(size), mixing
    z, y = x.astype(np.float64)
    for k in range(steps):
        z = z + np.asarray(v(y, k / steps)) / steps
        y = y + np.asarray(v(z, k / steps)) / steps
        z = p * z + (1 - p) * y
        y = p * y + (1 - p) * z
    a, difference = coupled_actions(v, *x, times(steps), mixing)
    np.testing.assert_allclose(a, (z + y) / 2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(difference, z - y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "steps", "mixing"), MAPS)
def test_the_steps_backwards_lead_to_the_noise(size: int, steps: int, mixing: float) -> None:
    v, x = velocity(size), noise(size, rows=50)
    halves = coupled_actions(v, *x, times(steps), mixing)
    found = coupled_noise(v, *halves, times(steps), mixing)
    np.testing.assert_allclose(found, x, atol=1e-5 if mixing > 0.7 else 1e-4)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("size", "steps", "mixing"), MAPS)
def test_the_density_is_that_of_a_change_of_variables(size: int, steps: int, mixing: float, seed: int) -> None:
    """By the Jacobian of the map from noise to action and difference; its determinant is the same for every input."""
    v, x = velocity(size, seed, scale=0.7), noise(size, seed=seed)

    def halves(row: Any) -> Any:
        return jnp.concatenate(coupled_actions(v, *jnp.split(row, 2), times(steps), mixing))

    jacobian = jax.jit(jax.vmap(jax.jacobian(halves)), compiler_options=QUICK)(np.concatenate(x, axis=-1))
    _, logdet = np.linalg.slogdet(np.asarray(jacobian, np.float64))
    np.testing.assert_allclose(logdet, 2 * size * steps * np.log(mixing), atol=2e-4)
    normal = -0.5 * np.sum(x.astype(np.float64) ** 2, axis=(0, -1)) - size * np.log(2 * np.pi)
    found = coupled_log_density(v, *coupled_actions(v, *x, times(steps), mixing), times(steps), mixing)
    np.testing.assert_allclose(found, normal - logdet, rtol=1e-4, atol=1e-3)


def test_the_density_of_one_component_is_that_of_its_samples() -> None:
    """Summed over a grid it is 1, over half-planes the share of samples there; its mean logarithm is in closed form."""
    v, grid = velocity(1), times(4)
    line, cell = np.linspace(-9, 9, 361, dtype=np.float32), (18 / 360) ** 2
    a, difference = (axis[..., None] for axis in np.meshgrid(line, line, indexing="ij"))
    log_density = jax.jit(partial(coupled_log_density, v, times=grid, mixing=0.9))
    share = np.exp(np.asarray(log_density(a, difference), np.float64)) * cell
    assert share.sum() == pytest.approx(1, abs=1e-3)
    count = 40_000
    drawn, apart = (np.asarray(x) for x in coupled_actions(v, *noise(1, rows=count), grid, 0.9))
    for form in (lambda a, d: a, lambda a, d: d, lambda a, d: a - d):
        for part in (0.2, 0.5, 0.8):
            below = form(a, difference)[..., 0] < np.quantile(form(drawn, apart), part)
            assert share[below].sum() == pytest.approx(part, abs=0.02)
    entropy = np.log(2 * np.pi * np.e) + 2 * 4 * np.log(0.9)
    assert -np.mean(np.asarray(log_density(drawn, apart))) == pytest.approx(entropy, abs=4 * np.sqrt(1 / count))


def test_the_pull_is_the_mean_distance_of_the_halves() -> None:
    x = noise(2, rows=4)[0].astype(np.float64)
    assert float(mean_length(x)) == pytest.approx(np.mean(np.linalg.norm(x, axis=-1)), rel=1e-5)
    np.testing.assert_array_equal(jax.grad(mean_length)(jnp.zeros((3, 2))), 0)
    assert of("policy.pull.loss") == pytest.approx(np.mean(np.linalg.norm(of("policy.pull.action_auxiliary"), axis=-1)))


# programs

SMALL = f"coupled_flow(steps = {STEPS}, mixing = {MIXING}, time = fourier(4, hidden = 4))"
SPEC = f"""
algorithm small extends "genpo.flowrl" {{
  rollout {{ steps = 6  epochs = 2  minibatches = 2 }}
  policy {{ backbone = {SMALL}  network = mlp([6, 5], activation = elu) }}
  value {{ network = mlp([4]) }}
}}
"""


@cache
def seen() -> Trial:
    return trial(SPEC)


def of(name: str) -> np.ndarray:
    return np.asarray(seen().interpreted[name], np.float64)


def field(params: Any, half: np.ndarray, t: float, s: np.ndarray) -> np.ndarray:
    """v of one half at one state, by loops."""
    return reference.mlp(params["trunk"], [half, reference.fourier(params["time"], t), s], ["a", "t", "s"], "elu")


def rated(params: Any, a: np.ndarray, difference: np.ndarray, s: np.ndarray) -> float:
    """The log-density of one action and the difference drawn with it, in float64."""
    z, y = a + difference / 2, a - difference / 2
    for k in reversed(range(STEPS)):
        y = (y - (1 - MIXING) * z) / MIXING
        z = (z - (1 - MIXING) * y) / MIXING
        y = y - field(params, z, k / STEPS, s) / STEPS
        z = z - field(params, y, k / STEPS, s) / STEPS
    normal = -0.5 * (z @ z + y @ y) - len(a) * np.log(2 * np.pi)
    return float(normal - 2 * len(a) * STEPS * np.log(MIXING))


def computed(found: Trial, name: str, **given: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The values of a graph of the program, computed by NumPy, and its outputs among them."""
    graph = found.program.graphs[name]
    inputs = {f"state.{name}": value for name, value in found.state.items()} | given
    inputs |= {f"hyper.{name}": value for name, value in found.numbers.items()}

    def run(inputs: Any) -> Any:
        values = dict(inputs)
        node_by_node(graph, dict(values), lambda node, value: values.update({node.name: value}))
        return values

    values = Traced(run, inputs)(inputs)
    return values, {output: values[name] for output, name in graph.outputs.items()}


def rollout(found: Trial) -> dict[str, np.ndarray]:
    """The fields of the batches of a rollout of six random transitions."""
    rng, sizes = np.random.default_rng(0), {"obs": 3, "action": 2}
    shapes = {name: (6, *field.shape(sizes)) for name, field in found.program.data.stored.items()}
    stored = {f"batch.{name}": rng.normal(size=shape).astype("f") for name, shape in shapes.items()}
    outputs = computed(found, "rollout", **stored)[1]
    return {name.removeprefix("batch."): value for name, value in (stored | outputs).items() if "state." not in name}


OLD = "policy.surrogate.log_prob_2"


def test_the_densities_of_a_program_are_those_of_stored_pairs() -> None:
    """That by the policy before the rollout is a field of its batches."""
    given, batch = rollout(seen()), seen().batch
    for fields, group, found in ((batch, "policy", of("policy.surrogate.log_prob")), (given, "old_policy", given[OLD])):
        params = reference.f64(seen().state[group])
        rows = zip(fields["a"], fields["a_auxiliary"], fields["s"], strict=True)
        expected = [rated(params, *map(np.float64, row)) for row in rows]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
        assert np.ptp(expected) > 0.1


def test_the_ratio_of_equal_policies_is_one() -> None:
    equal = copy(seen())
    equal.state = {**seen().state, "old_policy": seen().state["policy"]}
    values = equal.values({name: field[:3] for name, field in rollout(equal).items() if name in seen().batch})
    np.testing.assert_allclose(values["policy.surrogate.ratio"], 1, atol=1e-5)
    assert abs(values["policy.surrogate.kl"]) < 1e-6


def test_acting_stores_the_pair_behind_an_action() -> None:
    """The halves are those of a loop with the policy's network; their mean is stored as it was before it was clipped."""
    values, outputs = computed(seen(), "explore", obs=seen().batch["s"], counter=np.int32(3))
    params = reference.f64(seen().state["policy"])
    for row, s in enumerate(np.asarray(values["normalized_s"], np.float64)):
        z, y = (np.asarray(values[f"action_noise_{half}"][row], np.float64) for half in ("z", "y"))
        for k in range(STEPS):
            z = z + field(params, y, k / STEPS, s) / STEPS
            y = y + field(params, z, k / STEPS, s) / STEPS
            z = MIXING * z + (1 - MIXING) * y
            y = MIXING * y + (1 - MIXING) * z
        np.testing.assert_allclose(outputs["field.a_drawn"][row], (z + y) / 2, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(outputs["field.a_auxiliary"][row], z - y, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(outputs["action"], np.clip(outputs["field.a_drawn"], -1, 1))


def test_an_action_that_is_chosen_among_several_has_no_auxiliary_variable() -> None:
    found = trial(SPEC.replace("value {", "act { explore = one_of(2, weight = 1) }\n  value {"))
    _, outputs = computed(found, "explore", obs=found.batch["s"], counter=np.int32(3))
    np.testing.assert_array_equal(outputs["field.a_auxiliary"], 0)
    assert np.abs(outputs["field.a_drawn"]).min() > 0


PROPOSALS = f"""
algorithm small {{
  regime = on_policy
  rollout {{ steps = 6  epochs = 2  minibatches = 2 }}
  policy {{ backbone = {SMALL}  network = mlp([6])  old = rollout }}
  value {{ fit = square(V(s) - returns)  network = mlp([4])  old = rollout }}
  critic {{ network = mlp([4]) }}
  improve likelihood_ratio {{ particles = 2 from old_policy  advantage = mean(Q(s, a), over = ensemble) }}
}}
"""


NAMES = ("proposals_noise_z", "proposals_noise_y", "old_log_prob")


def test_actions_drawn_in_an_update_keep_their_auxiliary_variables() -> None:
    """The density of proposals is that of the noise from which they were drawn, though they are constants in the loss."""
    found = trial(PROPOSALS).interpreted
    z, y, density = (np.float64(found[f"policy.likelihood_ratio.{name}"]) for name in NAMES)
    normal = -0.5 * np.sum(z**2 + y**2, axis=-1) - 2 * np.log(2 * np.pi)
    assert density.shape == (3, 2)
    np.testing.assert_allclose(density, normal - 4 * STEPS * np.log(MIXING), rtol=1e-4, atol=1e-3)


def reported(tmp_path: Path, statement: str) -> list[tuple[str, str]]:
    spec = tmp_path / "odd.flowrl"
    spec.write_text(f'algorithm odd extends "genpo.flowrl" {{\n  {statement}\n}}\n')
    found = resolve(str(spec)).diagnostics
    return [(one.code, one.message) for one in found.errors + found.warnings]


@pytest.mark.parametrize("bonus", ["- 0.01 * log_prob(s, a)", "- 0.01 * (log_prob(s, a) from policy)"])
def test_a_bonus_for_its_entropy_is_reported(tmp_path: Path, bonus: str) -> None:
    ((code, message),) = reported(tmp_path, f"improve surrogate {{ objective = clipped(ratio, gain, 0.2) {bonus} }}")
    assert code == "FRL0329" and "no bonus" in message


@pytest.mark.parametrize(("choice", "kept"), [("sample", True), ("noise(0.1)", False), ("noise(0.1) from other", True)])
def test_exploring_without_the_auxiliary_variable_is_reported(tmp_path: Path, choice: str, kept: bool) -> None:
    other = "policy other { backbone = deterministic  improve imitation {} }" if "other" in choice else ""
    order = "order = [policy, other, value] -> rate -> targets" if other else ""
    found = reported(tmp_path, f"{order}  {other}  act {{ explore = {choice} }}")
    assert found == [] if kept else [code for code, _ in found] == ["FRL0330"]


def test_the_density_by_other_parameters_is_no_bonus(tmp_path: Path) -> None:
    cost = "(log_prob(s, a) from old_policy)"
    assert reported(tmp_path, f"improve surrogate {{ objective = clipped(ratio, gain, 0.2) - 0.01 * {cost} }}") == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("improve surrogate { objective = ratio * gain + 0.01 * entropy(s) }", "entropy_of_state"),
        ("policy { backbone = flow }  improve pull {}", "auxiliary"),
        ("regime = off_policy", "on_policy"),
    ],
)
def test_what_it_does_not_have_and_what_it_needs(tmp_path: Path, statement: str, said: str) -> None:
    assert any(code == "FRL0212" and said in message for code, message in reported(tmp_path, statement))
