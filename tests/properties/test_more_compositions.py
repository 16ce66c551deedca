"""The second half of the random specs of every run: see ``test_compositions.py``.

Together they have every turn of the long checks.
"""

from __future__ import annotations

import pytest

from flowrl_dsl.testing.study import check_composition, spec


@pytest.mark.parametrize("number", range(26, 32))
def test_programs_keep_their_promises(number: int) -> None:
    text = spec(number)
    assert text is not None
    check_composition(text, number)
