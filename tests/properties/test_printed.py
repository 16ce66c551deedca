"""Every shipped spec as it is printed for reading computes what the interpreter does.  NumPy computes both."""

from __future__ import annotations

import pytest

from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.testing import invariants


@pytest.mark.parametrize("name", shipped_specs())
def test_a_shipped_spec_printed_for_reading_agrees_with_the_interpreter(name: str) -> None:
    invariants.check_printed_for_reading(invariants.Trial(invariants.tiny(name)))


def test_a_line_that_reads_otherwise_is_found() -> None:
    trial = invariants.Trial(invariants.tiny("td3"))
    trial.source_for_reading = trial.source_for_reading.replace("jnp.square(", "2 * jnp.square(")
    with pytest.raises(AssertionError, match="printed for reading and interpreted"):
        invariants.check_printed_for_reading(trial)
