"""Two random specs over all registered components, in every run; ``test_programs.py`` has the long studies."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from flowrl_dsl.testing import invariants, strategies

QUICK = settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUICK
@given(strategies.specs())
def test_programs_keep_their_promises(text: str) -> None:
    invariants.check_program(invariants.trial(text))
