"""Random specs over all registered components, in every run: the first of those that the long study checks.

Half of them are here, half in ``test_more_compositions.py``, for two processes.
"""

from __future__ import annotations

import pytest

from flowrl_dsl.testing.study import check_composition, spec


@pytest.mark.parametrize("number", range(6))
def test_programs_keep_their_promises(number: int) -> None:
    text = spec(number)
    assert text is not None
    check_composition(text, number)
