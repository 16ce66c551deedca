"""Random specs over all registered components: they check, format, and compile to programs that keep their promises."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from flowrl_dsl.testing import invariants, strategies

TEXTS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@TEXTS
@given(strategies.specs())
def test_specs_are_valid_and_formatting_is_the_inverse_of_parsing(text: str) -> None:
    invariants.check_valid(text)
    invariants.check_parse_format(text)


@TEXTS
@given(strategies.specs().flatmap(strategies.mangled))
def test_checking_a_mangled_spec_never_raises(text: str) -> None:
    invariants.check_never_raises(text)


@settings(TEXTS, max_examples=2)
@given(strategies.specs())
def test_programs_keep_their_promises(text: str) -> None:
    invariants.check_program(invariants.trial(text))


@pytest.mark.slow
@settings(TEXTS, max_examples=200)
@given(strategies.specs())
def test_many_programs_keep_their_promises(text: str) -> None:
    invariants.check_program(invariants.trial(text))
