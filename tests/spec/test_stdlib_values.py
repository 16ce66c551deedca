"""The standard library's schemes as numbers: its typed formulas, evaluated by hand on one state of four candidates."""

from __future__ import annotations

import math

import pytest

from flowrl_dsl.formula import Constant, Operation, Term, Variable
from flowrl_dsl.registry import Slot
from tests.spec.test_typecheck import REVERSED, SLOT, checked

SCORES = [1.0, 2.0, 4.0, 1.0]
VALUES: dict[str, list[float]] = {"score": SCORES, "tau": [0.5], "sigma": [2.0], "t": [1.0]}
VALUES |= {"x": [1.0, 3.0, -2.0], "z": [2.0, 0.0, 1.0], "w": [0.5, 0.2, 0.3]}
ELEMENTWISE = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "le": lambda x, y: float(x <= y),
    "maximum": max,
    "minimum": min,
    "exp": math.exp,
    "log": math.log,
    "abs": abs,
    "neg": lambda x: -x,
    "square": lambda x: x * x,
    "relu": lambda x: max(x, 0.0),
    "where": lambda condition, x, y: x if condition else y,
}
REDUCTIONS = {
    "mean": lambda x: sum(x) / len(x),
    "sum": sum,
    "max": max,
    "logsumexp": lambda x: math.log(sum(map(math.exp, x))),
    "count": len,
}


def value(term: Term) -> list[float]:
    """The candidates' values; a single number where the term has no particles."""
    if isinstance(term, Constant):
        return [term.value]
    if isinstance(term, Variable):
        return VALUES[term.name]
    assert isinstance(term, Operation)
    operands = [value(operand) for operand in term.operands]
    if term.function in REDUCTIONS:
        return [float(REDUCTIONS[term.function](operands[0]))]
    if term.function == "softmax":
        total = sum(map(math.exp, operands[0]))
        return [math.exp(x) / total for x in operands[0]]
    if term.function == "best":
        top = operands[0].index(max(operands[0]))
        return [float(i == top) for i in range(len(operands[0]))]
    length = max(map(len, operands))
    rows = zip(*(o * length if len(o) == 1 else o for o in operands), strict=True)
    return [ELEMENTWISE[term.function](*row) for row in rows]


def of(text: str, slot: Slot = SLOT) -> list[float]:
    formula, scope = checked(text, slot)
    assert formula is not None, scope.diagnostics.found
    return value(formula.term)


def test_weights() -> None:
    total = sum(math.exp(2 * q) for q in SCORES)
    assert of("softmax_weights(score, tau)") == pytest.approx([math.exp(2 * q) / total for q in SCORES])
    assert of("below_best(score, tau)") == [-6, -4, 0, -6]
    assert of("top1(score)") == [0, 0, 1, 0]
    assert of("advantage(score)") == [-1, 0, 2, -1]
    assert of("linear_weights(score)") == pytest.approx([0, 0, 1, 0])
    assert of("linear_weights(score * score)") == pytest.approx([0, 0, 1, 0])
    assert of("square_weights(-score)") == pytest.approx([0.5, 0, 0, 0.5])
    assert of("shares(score)") == pytest.approx([0.125, 0.25, 0.5, 0.125])
    assert of("shares(0 * score)") == [0, 0, 0, 0]
    assert of("exponential_advantage(score, sigma, tau, 2)") == pytest.approx([math.exp(-0.5), 1, 2, math.exp(-0.5)])


def test_values() -> None:
    mean = sum(math.exp(q / 0.5) for q in SCORES) / 4
    assert of("soft_value(score, tau)") == pytest.approx([0.5 * math.log(mean)])
    assert of("soft_q(score, sigma, tau)") == [0, 1, 3, 0]
    assert of("td(sigma, 0, tau, sigma)") == [3.0]
    assert of("td(sigma, 1, tau, sigma)") == [2.0]


def test_scores_and_losses() -> None:
    assert of("normalized_score(score)") == [0.5, 1, 2, 0.5]
    assert of("huber(score - 2, 1)") == [0.5, 0, 1.5, 0.5]


def test_expectations() -> None:
    """One component of an action and three reverse samples: means 0.5 and 1.3."""
    assert of("expected(x, w)", REVERSED) == pytest.approx([0.5])
    xz = 0.25 * 0.5 * 0.7 + 0.04 * 2.5 * -1.3 + 0.09 * -2.5 * -0.3
    zz = 0.25 * 0.7**2 + 0.04 * 1.3**2 + 0.09 * 0.3**2
    assert of("error_covariance(x, z, w)", REVERSED) == pytest.approx([xz])
    assert of("error_covariance(z, z, w)", REVERSED) == pytest.approx([zz])
    multiple = xz / zz
    assert of("least_variance(x, z, w)", REVERSED) == pytest.approx([0.5 - multiple * 1.3])


def test_the_least_variance_is_none_where_x_is_a_constant_and_a_multiple_of_z() -> None:
    assert of("least_variance(4 - 3 * z, z, w)", REVERSED) == pytest.approx([4.0])
