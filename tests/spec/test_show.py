"""The resolved spec as text resolves to the same algorithm."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.spec.show import show
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from tests.spec.helpers import CRITIC, GAUSSIAN, algorithm_of, resolve_text, spec, without_places


def round_trip(folder: Path, text: str, **how: object) -> str:
    algorithm = algorithm_of(resolve_text(folder, text, **how))
    shown = show(algorithm)
    again = algorithm_of(resolve_text(folder, shown, "shown.flowrl"))
    assert without_places(again) == without_places(algorithm)
    assert show(again) == shown
    assert format_file(parse(shown, "shown")[0]) == shown
    return shown


@pytest.mark.parametrize("task", [None, "Hopper-v5", "HalfCheetah-v5"])
@pytest.mark.parametrize("name", shipped_specs())
def test_shipped_specs(tmp_path: Path, name: str, task: str | None) -> None:
    algorithm = algorithm_of(resolve(name, task=task, sets=["train.batch=64"]))
    again = algorithm_of(resolve_text(tmp_path, show(algorithm)))
    assert without_places(again) == without_places(algorithm)


def test_everything_is_written_out(tmp_path: Path) -> None:
    shown = round_trip(tmp_path, spec(GAUSSIAN, CRITIC, "improve 0.5 * reparameterized {}"))
    assert "improve 0.5 * reparameterized {" in shown
    assert "normalize = none" in shown and "next_action = sample from policy" in shown
    assert "extends" not in shown


@pytest.mark.parametrize(
    "objective",
    [
        "-(-(2)) * min(Q(s, a), over = ensemble)",
        "neg(3) + min(Q(s, a)) - (1 - (2 - 3))",
        "(-2) ^ 2 ^ 0.5 * log_prob(s, a)",
        "where(log_prob(s, a) <= -1.5, 1e-7, 123456789012) / (1 / 2)",
        "std(Q(s, a), over = [ensemble, batch]) + mean(norm(a, over = action), over = batch)",
        "sum(grad(stop(log_prob(s, a)) + log_prob(s, a), wrt = a) * a, over = action)",
        "(log_prob(s, a) > 1) * (log_prob(s, a) != 2)",
        "huber(log_prob(s, a), beta) * A",
        "g + h * g",
    ],
)
def test_formulas(tmp_path: Path, objective: str) -> None:
    lets = "let h = 2 * log_prob(s, a)\n  let g = h + beta" if "g + h" in objective else ""
    block = f"improve reparameterized {{ objective = {objective} + beta }}"
    round_trip(tmp_path, spec("param beta = 2 in [-1, 8)", lets, GAUSSIAN, CRITIC, block))


def test_lets_of_blocks_with_one_name(tmp_path: Path) -> None:
    text = spec(
        "let k = 2",
        "param alpha = learned(target_entropy = -A / k) in (0, inf)",
        GAUSSIAN,
        "critic { let q = min(Q_target(s_next, a_next), over = ensemble)  backup = r + discount * q + k }",
        "improve reparameterized { let p = min(Q(s, a), over = ensemble)\n let q = p * k  objective = q - alpha }",
        "improve reparameterized { let q = log_prob(s, a)  objective = q }",
    )
    shown = round_trip(tmp_path, text)
    assert shown.count("let k") == 1 and shown.count("let q") == 3
    assert shown.index("let p") < shown.index("let q ", shown.index("let p"))


def test_schedules_ranges_and_shared_parameters(tmp_path: Path) -> None:
    text = spec(
        "param rate = linear(1e-3 -> 1e-4, over = 1000) in (0, 1)",
        "param eta = 0.25 in (-inf, 1]",
        "policy { backbone = tanh_gaussian  optimizer = adam(rate, clip_norm = cosine(1 -> 2, over = 10)) }",
        CRITIC,
        "improve eta * reparameterized {}",
        "improve reparameterized { objective = eta * log_prob(s, a) }",
        "order = critic -> every(2, [policy, targets])",
    )
    shown = round_trip(tmp_path, text)
    assert "improve eta * reparameterized" in shown and "in (-inf, 1]" in shown
    assert "learning_rate = rate" in shown and "cosine(1 -> 2, over = 10, after = none)" in shown


def test_an_option_that_the_backup_does_not_read_is_left_out(tmp_path: Path) -> None:
    shown = round_trip(tmp_path, spec(GAUSSIAN, "critic { backup = r }", "improve reparameterized {}"))
    assert "discount" not in shown and "next_action" not in shown
