"""Warnings stand where somebody wrote the suspect value, and stay silent otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.helpers import CRITIC, IMPROVE, algorithm_of, gaussian, place, resolve_text, spec


def warnings(folder: Path, text: str) -> list[str]:
    found = resolve_text(folder, text)
    algorithm_of(found)
    return [d.code for d in found.diagnostics.warnings]


def test_a_plain_spec_has_none(tmp_path: Path) -> None:
    assert warnings(tmp_path, gaussian()) == []


@pytest.mark.parametrize(
    ("statement", "code", "where"),
    [
        ("train { warmup = 255 }", "FRL0306", "255"),
        ("train { batch = 8000 }", "FRL0306", "8000"),
        ("train { replay = 200  batch = 300  warmup = 1000 }", "FRL0307", "200"),
        ("train { steps = 100 }", "FRL0308", "100"),
        ("act { explore = best_of(1) }", "FRL0304", "1"),
        ("act { explore = mean from policy }", "FRL0305", "mean from policy"),
    ],
)
def test_places(tmp_path: Path, statement: str, code: str, where: str) -> None:
    found = resolve_text(tmp_path, gaussian(statement))
    assert place(found, code) == where


@pytest.mark.parametrize("statement", ["train { warmup = 256 }", "train { replay = 5000 }", "act { explore = best_of(2) }"])
def test_values_at_the_border_are_fine(tmp_path: Path, statement: str) -> None:
    assert warnings(tmp_path, gaussian(statement)) == []


@pytest.mark.parametrize(
    ("explore", "silent"),
    [("sample", False), ("noise(0)", False), ("best_of(4)", False), ("mean", False), ("noise(0.1)", True)],
)
def test_exploring_with_a_deterministic_policy(tmp_path: Path, explore: str, silent: bool) -> None:
    text = spec("policy { backbone = deterministic }", CRITIC, IMPROVE, f"act {{ explore = {explore} }}")
    assert warnings(tmp_path, text) == ([] if silent else ["FRL0305"])


def test_a_learning_rate_by_parameter_or_schedule(tmp_path: Path) -> None:
    policy = "policy {{ backbone = tanh_gaussian  optimizer = adam({}) }}"
    for rate in ("0.1", "linear(0.1 -> 1e-4, over = 10)", "rate"):
        param = "param rate = 0.1 in (0, 1)" if rate == "rate" else ""
        assert warnings(tmp_path, spec(param, policy.format(rate), CRITIC, IMPROVE)) == ["FRL0311"]
    assert warnings(tmp_path, spec(policy.format("1e-2"), CRITIC, IMPROVE)) == []


def test_gradients_behind_stop(tmp_path: Path) -> None:
    policy = "policy { backbone = diffusion  sampler = ddim }"
    target = "improve score_matching {{ target = grad(mean({}, over = ensemble), wrt = a_t) }}"
    assert warnings(tmp_path, spec(policy, CRITIC, target.format("Q(s, stop(a_t))"))) == ["FRL0318"]
    assert warnings(tmp_path, spec(policy, CRITIC, target.format("Q(s, stop(a_t)) * Q(s, a_t)"))) == []


def test_warnings_leave_the_algorithm(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, gaussian("act { evaluate = best_of(1) }"))
    assert algorithm_of(found).sections["act"].evaluate.value.n == 1
    assert not found.diagnostics.errors and len(found.diagnostics.warnings) == 1
