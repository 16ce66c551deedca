from __future__ import annotations

import jax
import numpy as np
import pytest

from flowrl_dsl.components.adaptations.learned import dual_loss, log_of
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.optimizers.adam import adam_init
from flowrl_dsl.formula import Formula
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lowering.evaluate import interpret
from tests.helpers import SIZES, algorithm, batch, ew, fresh, learned, program, var


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
    loss = parameter.learned.loss(ctx, versions["param.temperature"], b.input("measured", SCALAR))
    for name, value in ctx.descend("param.temperature", loss, parameter.learned.optimizer).items():
        b.output(name, value)
    inputs = {"log_x": np.float32(0.5), "moments": adam_init(np.float32(0)), "measured": np.float32(measured)}
    inputs |= {f"hyper.{name}": np.float32(value) for name, value in ctx.record.hyper.items()}
    new = float(interpret(b.finish(), inputs)["param.temperature"])
    assert abs(new - 0.5) == pytest.approx(0.03, rel=1e-3)  # the first step of Adam
    return new > 0.5


def test_in_a_whole_step_the_temperature_answers_to_the_divergence():
    """One program, two targets: far below and far above what is measured."""
    p = program("dpmd")
    for target, rises in ((0.0, True), (2.0, False)):
        before = fresh("dpmd")
        after, metrics = p.step(fresh("dpmd"), batch(), {**p.hyper, "temperature.target_kl": target})
        assert 0.0 < float(metrics["kl"]) < np.log(4)
        assert (float(after["param.temperature"]) > float(before["param.temperature"])) == rises
