"""Every number that a component takes is read: an option that changes nothing is a mistake that no run shows."""

from __future__ import annotations

from typing import Any

import pytest

from flowrl_dsl.components.base import Future
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.critics.q import Q
from flowrl_dsl.driver import build_graphs, resolve_or_raise
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.registry import UNIT, Scalar, option, register
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.testing import invariants
from flowrl_dsl.testing.numbers import numbers, unread_numbers
from flowrl_dsl.testing.trials import SIZES


def ignored(spec: str, *sets: str) -> list[str]:
    """What the graphs of a spec, with changed settings, do not read."""
    algorithm = resolve_or_raise(spec, None, sets)[0]
    return unread_numbers(algorithm, build_graphs(algorithm, *SIZES).graphs)


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_shipped_specs_read_all_their_numbers(name: str) -> None:
    assert not ignored(name)


@pytest.fixture
def careless(components_leave: None) -> type[Any]:
    """A critic that inherits ``huber`` and reads neither it nor its own ``floor``."""

    class Careless(Q):
        name = "careless"
        floor: Scalar = option("read by nothing", "0.5", UNIT)

        def loss(
            self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
        ) -> tuple[Value, dict[str, Value]]:
            q = self.value(ctx.in_training(), params, s, a)
            return ctx.builder.add(
                "Loss", call("jnp.mean", call("jnp.subtract", Arg(0), Arg(1))), (q, y), SCALAR, "loss"
            ), {}

    return register(Careless)


def test_an_option_that_is_inherited_and_not_read_is_found(careless: type[Any]) -> None:
    assert ignored("td3", "critic.kind=careless") == ["critic.kind.floor"]
    assert ignored("td3", "critic.kind=careless(huber = 0.5)") == ["critic.kind.huber", "critic.kind.floor"]
    assert not ignored("td3", "critic.kind=q(huber = 0.5)")


def test_an_option_that_is_declared_unread_is_not(careless: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(careless, "unread", lambda self: {"floor": "it has no effect"})
    assert not ignored("td3", "critic.kind=careless")


def test_numbers_with_a_schedule_are_read_where_the_schedule_is() -> None:
    sets = ("policy.optimizer=adam(linear(0.001 -> 0.0001, over = 100))",)
    paths = [number.path for number in numbers(resolve_or_raise("td3", None, sets)[0])]
    assert {"policy.optimizer.learning_rate.start", "policy.optimizer.learning_rate.end"} <= set(paths)
    assert not ignored("td3", *sets)


def test_the_kit_refuses_a_program_that_lacks_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = invariants.Trial(invariants.tiny("td3"))
    invariants.check_numbers_are_read(trial)
    monkeypatch.setattr(trial.program, "graphs", {})
    with pytest.raises(AssertionError, match=r"critic\.optimizer\.learning_rate, "):
        invariants.check_numbers_are_read(trial)
