"""The order of the stages: default, as written, and everything it may get wrong."""

from __future__ import annotations

import pytest

from flowrl_dsl.algorithm import Alongside, Condition, Single, Stage, Then, When, show_stage, stage_names
from flowrl_dsl.diagnostics import Diagnostics
from flowrl_dsl.spec.order import OrderReader, default_order
from flowrl_dsl.syntax.parser import parse_expression

PARTS = ["critic", "policy", "alpha", "targets"]
STILL = {"beta": "it is not learned"}
CRITIC, POLICY, ALPHA, TARGETS = map(Single, PARTS)


def read(text: str, lenient: bool = False) -> tuple[Stage, list[str]]:
    expr, found = parse_expression(text, "order")
    assert expr is not None, found
    diagnostics = Diagnostics()
    return OrderReader(PARTS, STILL, lenient, {"alpha"}, diagnostics).read(expr), [d.code for d in diagnostics]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("critic -> policy -> alpha -> targets", Then((CRITIC, POLICY, ALPHA, TARGETS))),
        ("[critic, policy, alpha] -> targets", Then((Alongside((CRITIC, POLICY, ALPHA)), TARGETS))),
        ("[critic -> policy, alpha, targets]", Alongside((Then((CRITIC, POLICY)), ALPHA, TARGETS))),
        ("critic -> (policy -> alpha) -> targets", Then((CRITIC, POLICY, ALPHA, TARGETS))),
        (
            "critic -> every(2, policy -> targets) -> [alpha]",
            Then((CRITIC, When(Condition(2), Then((POLICY, TARGETS))), ALPHA)),
        ),
        (
            "after(100, critic) -> every(2, policy, after = 10, until = 50) -> until(7, [alpha, targets])",
            Then(
                (
                    When(Condition(after=100), CRITIC),
                    When(Condition(2, 10, 50), POLICY),
                    When(Condition(until=7), Alongside((ALPHA, TARGETS))),
                )
            ),
        ),
        (
            "after(3, [critic, policy, alpha, targets], until = 9)",
            When(Condition(1, 3, 9), Alongside((CRITIC, POLICY, ALPHA, TARGETS))),
        ),
        ("every(1e1, [critic, policy, alpha, targets])", When(Condition(10), Alongside((CRITIC, POLICY, ALPHA, TARGETS)))),
    ],
)
def test_orders(text: str, wanted: Stage) -> None:
    assert read(text) == (wanted, [])
    assert read(show_stage(wanted)) == (wanted, [])


@pytest.mark.parametrize(("measured", "codes"), [((), []), (("alpha",), ["FRL0235"])])
def test_only_what_measures_by_itself_may_stand_before_the_policy(measured: tuple[str, ...], codes: list[str]) -> None:
    expr, _ = parse_expression("alpha -> critic -> policy -> targets", "order")
    assert expr is not None
    diagnostics = Diagnostics()
    OrderReader(PARTS, STILL, False, measured, diagnostics).read(expr)
    assert [d.code for d in diagnostics] == codes


def test_the_default_moves_everything_once() -> None:
    assert default_order(PARTS) == Then((CRITIC, POLICY, ALPHA, TARGETS))
    assert default_order(["policy"]) == POLICY


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("critic -> policy -> alpha", "FRL0232"),
        ("critic -> policy -> alpha -> targets -> critic", "FRL0233"),
        ("critic -> policy -> alpha -> beta -> targets", "FRL0231"),
        ("critic -> policy -> alpha -> target", "FRL0231"),
        ("critic + policy", "FRL0230"),
        ("[critic, policy, alpha, targets, []]", "FRL0230"),
        ("first(critic)", "FRL0230"),
        ('"critic"', "FRL0230"),
        ("every(2)", "FRL0234"),
        ("every(n = 2, policy = policy)", "FRL0234"),
        ("every(1.5, [critic, policy, alpha, targets])", "FRL0234"),
        ("every(1 / 0, [critic, policy, alpha, targets])", "FRL0234"),
        ("every(-2, [critic, policy, alpha, targets])", "FRL0234"),
        ("every(2, [critic, policy, alpha, targets], before = 3)", "FRL0234"),
        ("after(2, [critic, policy, alpha, targets], every = 3)", "FRL0234"),
        ("until(2, [critic, policy, alpha, targets], after = 3)", "FRL0234"),
        ("after(5, [critic, policy, alpha, targets], until = 5)", "FRL0234"),
        ("after(2, [critic, policy, alpha, targets], 7)", "FRL0234"),
        ("every(policy, [critic, policy, alpha, targets])", "FRL0234"),
    ],
)
def test_mistakes(text: str, code: str) -> None:
    assert read(text)[1] == [code]


def test_a_lenient_reader_drops_what_stands_still() -> None:
    stage, found = read("[critic, policy] -> [alpha, beta] -> every(3, beta) -> targets", lenient=True)
    assert found == ["FRL0233"]
    stage, found = read("[critic, policy] -> [alpha, beta] -> targets", lenient=True)
    assert found == [] and stage_names(stage) == PARTS
    assert show_stage(stage) == "[critic, policy] -> alpha -> targets"


COPIES = ["critic_target", "policy_target", "old_policy"]


def read_with_copies(text: str) -> tuple[str, list[str]]:
    expr, _ = parse_expression(text, "order")
    assert expr is not None
    diagnostics = Diagnostics()
    stage = OrderReader(PARTS, STILL, False, (), diagnostics, copies=COPIES).read(expr)
    return show_stage(stage), [d.code for d in diagnostics]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("critic -> policy -> alpha -> targets", "critic -> policy -> alpha -> targets"),
        (
            "critic -> critic_target -> [policy, alpha] -> targets",
            "critic -> critic_target -> [policy, alpha] -> [policy_target, old_policy]",
        ),
        (
            "critic -> [policy, old_policy, alpha] -> every(2, critic_target -> targets)",
            "critic -> [policy, old_policy, alpha] -> every(2, critic_target -> policy_target)",
        ),
        (
            "critic -> critic_target -> policy -> [alpha, policy_target, old_policy]",
            "critic -> critic_target -> policy -> [alpha, policy_target, old_policy]",
        ),
    ],
)
def test_copies_may_stand_by_their_names_and_targets_is_the_others(text: str, wanted: str) -> None:
    assert read_with_copies(text) == (wanted, [])
    assert read_with_copies(wanted) == (wanted, [])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("critic -> critic_target -> policy -> alpha", ["FRL0232"]),
        ("critic -> critic_target -> policy -> alpha -> [policy_target, old_policy] -> targets", ["FRL0231"]),
        ("critic -> critic_target -> policy -> alpha -> targets -> critic_target", ["FRL0233"]),
        ("critic -> policy_targets -> policy -> alpha -> targets", ["FRL0231"]),
    ],
)
def test_every_copy_moves_once(text: str, codes: list[str]) -> None:
    assert read_with_copies(text)[1] == codes
