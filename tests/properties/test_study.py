"""What a study counts."""

from __future__ import annotations

import pytest

from flowrl_dsl.driver import resolve_or_raise
from flowrl_dsl.testing.study import Study, components_of

SPEC = 'algorithm x extends "td3.flowrl" {{\n  critic {{ kind = {kind} }}\n}}\n'


def test_components_are_found_at_any_depth() -> None:
    found = components_of(resolve_or_raise("dacer", None, ())[0])
    assert {"backbone:diffusion", "noise_schedule:cosine", "embedding:fourier", "estimator:mixture", "action:noise"} <= found
    assert {"critic:gaussian", "adaptation:learned", "optimizer:adam", "mechanism:reparameterized"} <= found
    assert not any(name.startswith("section:") for name in found)


def test_a_study_counts_distinct_pairs_and_goes_on_after_a_failure() -> None:
    study = Study()
    for kind in ("q", "quantile", "quantile"):
        with study.composition(SPEC.format(kind=kind)):
            assert kind == "q", "not this one"
    assert (study.specs, len(study.compositions), len(study.failures)) == (3, 2, 2)
    assert ("backbone:deterministic", "critic:q") in study.pairs and ("critic:q", "critic:quantile") not in study.pairs
    n = len(study.components)  # all but the critics stand together with both of them
    assert len(study.pairs) == (n - 2) * (n - 3) // 2 + 2 * (n - 2)
    assert f"3 specs, 2 distinct sets of components; {n} of " in study.summary() and "2 failures" in study.summary()
    with pytest.raises(AssertionError, match=r"(?s)not this one.*kind = quantile"):
        study.check()
