from __future__ import annotations

import jax
import numpy as np
import optax
import pytest

from flowrl_dsl.components.adaptations.learned import dual_loss, log_of
from flowrl_dsl.components.context import Context
from flowrl_dsl.formula import Formula
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lowering.evaluate import interpret
from tests import reference
from tests.helpers import (
    ALGORITHMS,
    SIZES,
    algorithm,
    batch,
    both,
    ew,
    fresh,
    learned,
    program,
    random_state,
    run_step,
    seq,
    var,
)


def test_the_state_starts_at_the_logarithm():
    assert float(log_of(1.0)) == 0.0
    assert float(log_of(0.25)) == pytest.approx(np.log(0.25))


@pytest.mark.parametrize("excess", [-2.0, 0.0, 0.7])
def test_descending_the_loss_raises_x_while_the_excess_is_negative(excess):
    slope = jax.grad(dual_loss)(0.3, excess)
    assert float(slope) == pytest.approx(excess)
    assert float(jax.grad(dual_loss, argnums=1)(0.3, excess)) == 0.0


@pytest.mark.parametrize("measured, rises", [(0.1, False), (0.9, True)])
def test_a_parameter_rises_when_the_divergence_is_above_its_target(measured, rises):
    assert _moves(learned("temperature", target_kl=0.4), measured) == rises


@pytest.mark.parametrize("measured, rises", [(-3.0, True), (-1.0, False)])
def test_a_parameter_rises_when_the_entropy_is_below_its_target(measured, rises):
    """The target is -A = -2."""
    assert _moves(learned("temperature", target_entropy=Formula(ew("neg", var("A")))), measured) == rises


def _moves(parameter, measured):
    """Whether one stage of the parameter, given a measurement, raises it."""
    alg = algorithm(parameters=(parameter,))
    b = Builder("learn")
    versions = {"param.temperature": b.input("log_x", SCALAR), "param.temperature_opt": b.input("moments", TREE)}
    ctx = Context(b, alg, SIZES, versions, b.input("key", Type(dtype="u32")))
    measured_value = b.input("measured", SCALAR)
    for name, value in parameter.learned.update(ctx, "temperature", "param.temperature", measured_value).items():
        b.output(name, value)
    inputs = {
        "log_x": np.float32(0.5),
        "moments": optax.scale_by_adam().init(np.float32(0)),
        "measured": np.float32(measured),
    }
    inputs |= {f"hyper.{name}": np.float32(value) for name, value in ctx.report.hyper.items()}
    new = float(interpret(b.finish(), inputs)["param.temperature"])
    assert abs(new - 0.5) == pytest.approx(0.03, rel=1e-3)  # the first step of Adam
    return new > 0.5


def entropy_of(params, noise):
    """-E[log pi(a | s)] of draws with the given noise: the tanh of a Gaussian, one state after the other."""
    total, params = 0.0, reference.f64(params)
    for s, z in zip(np.asarray(batch()["s"], np.float64), np.asarray(noise, np.float64), strict=True):
        out = reference.mlp(params, [s], ["s"], "mish")
        log_std = -5 + 7 / (1 + np.exp(-2 * out[2:]))
        a = np.tanh(out[:2] + np.exp(log_std) * z)
        total -= np.sum(-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - a**2))
    return total / len(noise)


@pytest.mark.parametrize("together", [False, True])
def test_the_entropy_is_that_of_the_policy_which_the_order_lets_the_parameter_read(together):
    """policy -> temperature: the new one, by new draws.  [policy, temperature]: the old one, by those it learned from."""
    alg, state = ALGORITHMS["sac"](), random_state(ALGORITHMS["sac"]())
    if together:
        alg = alg.model_copy(update={"order": seq("critic", both("policy", "temperature"), "targets")})
    seen = run_step(alg, state, batch())
    place = "policy.reparameterized" if together else "temperature"
    read, other = (state, seen.state) if together else (seen.state, state)
    expected, wrong = (entropy_of(version["policy"], seen[f"{place}.action_noise"]) for version in (read, other))
    assert float(seen["temperature.measured"]) == pytest.approx(expected, rel=1e-3)
    assert abs(wrong - expected) > 1e-2 * abs(expected), "the versions are too alike to tell"


def test_in_a_whole_step_the_temperature_answers_to_the_divergence():
    """One program, two targets: far below and far above what is measured."""
    p = program("dpmd")
    for target, rises in ((0.0, True), (2.0, False)):
        before = fresh("dpmd")
        after, metrics, _ = p.step(fresh("dpmd"), batch(), {**p.hyper, "temperature.target_kl": target})
        assert 0.0 < float(metrics["kl"]) < np.log(4)
        assert (float(after["param.temperature"]) > float(before["param.temperature"])) == rises
