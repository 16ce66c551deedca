"""What a study counts, and that it outlives an interruption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.testing import invariants, study
from flowrl_dsl.testing.invariants import PROGRAM_CHECKS
from flowrl_dsl.testing.study import BLOCK, Study, components_of, spec, turn

SPEC = 'algorithm x extends "td3.flowrl" {{\n  critic {{ kind = {kind} }}\n}}\n'


def test_components_are_found_at_any_depth() -> None:
    found = components_of(resolve_or_raise("dacer", None, ())[0])
    assert {"backbone:diffusion", "noise_schedule:cosine", "embedding:fourier", "estimator:mixture", "action:noise"} <= found
    assert {"critic:gaussian", "adaptation:learned", "optimizer:adam", "mechanism:reparameterized"} <= found
    assert not any(name.startswith("section:") for name in found)


@pytest.fixture
def only_q_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of all checks: programs whose critic is a quantile one fail."""

    def check(text: str, number: int) -> SimpleNamespace:
        assert "quantile" not in text, "not this one"
        return SimpleNamespace(did={"check": 1})

    monkeypatch.setattr(study, "check_composition", check)


def test_a_study_counts_distinct_pairs_and_goes_on_after_a_failure(only_q_passes: None, tmp_path: Path) -> None:
    found = Study(tmp_path / "study.jsonl")
    for number, kind in enumerate(("q", "quantile", "quantile")):
        found.check_text(number, SPEC.format(kind=kind))
    assert (len(found.results), len(found.compositions), len(found.failures)) == (3, 2, 2)
    assert found.did == {"check": 1}
    assert ("backbone:deterministic", "critic:q") in found.pairs and ("critic:q", "critic:quantile") not in found.pairs
    n = len(found.components)  # all but the critics stand together with both of them
    assert len(found.pairs) == (n - 2) * (n - 3) // 2 + 2 * (n - 2)
    assert f"3 specs, 2 distinct sets of components; {n} of " in found.summary() and "2 failures" in found.summary()
    with pytest.raises(AssertionError, match=r"(?s)not this one.*kind = quantile"):
        found.raise_failures()


def test_a_study_is_taken_up_where_it_was_left(only_q_passes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Study(tmp_path / "1.jsonl")
    first.check_text(0, SPEC.format(kind="q"))
    first.check_text(1, SPEC.format(kind="quantile"))
    again = Study(tmp_path / "1.jsonl")
    assert again.missing(range(3)) == [1, 2]
    monkeypatch.setattr(
        study, "check_composition", lambda text, number: SimpleNamespace(did={"quantile": text.count("quantile")})
    )
    again.check(1)  # the text that failed, whatever number 1 would be by now
    assert again.missing(range(3)) == [2] and not again.failures
    assert again.results[1]["did"] == {"quantile": 1}
    assert len(Study(tmp_path / "2.jsonl", [tmp_path / "1.jsonl"]).results) == 2


def test_a_number_is_always_the_same_spec() -> None:
    texts = [spec(number) for number in range(6)]
    study._block.cache_clear()
    assert [spec(number) for number in range(6)] == texts
    assert len(set(texts)) >= 3  # Hypothesis draws some of the smallest twice
    for text in texts:
        assert text is not None
        invariants.check_valid(text)


def test_every_check_has_its_turn_on_both_halves_of_a_study() -> None:
    for numbers in (range(BLOCK), range(BLOCK, 2 * BLOCK)):
        turns = [turn(number) for number in numbers]
        assert {check for _, checks in turns for check in checks} == {*PROGRAM_CHECKS}
        assert {name for compiled, _ in turns for name in compiled} == {"init", "update", "explore", "evaluate"}
        assert all(
            ("update" in compiled) == (invariants.check_update_is_repeated_step in checks) for compiled, checks in turns
        )
