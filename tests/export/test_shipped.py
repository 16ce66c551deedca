"""The acting function of every shipped spec as NumPy code: the actions of its program for the numbers that its keys draw."""

from __future__ import annotations

import types

import numpy as np
import pytest

from flowrl_dsl.export import numpy_file
from flowrl_dsl.resources import shipped_specs
from tests.export import shipped

CASES = [(spec, "evaluate") for spec in sorted(shipped_specs())] + [
    (spec, "explore") for spec in ("qsm", "sac", "flow_anchor")
]


@pytest.mark.parametrize("spec, mode", CASES)
def test_numpy_acts_as_the_program_does(spec: str, mode: str) -> None:
    acting = shipped.acting(spec, mode)
    module = types.ModuleType("policy")
    exec(numpy_file.written(acting, "A policy.", "0"), vars(module))
    actions, noise = shipped.by_keys(spec, mode, acting.draws)
    assert {name: array.shape for name, array in module.draw(shipped.ROWS).items()} == {
        name: array.shape for name, array in noise.items()
    }
    found = module.act(shipped.S, noise)
    assert found.dtype == np.float32 and np.ptp(found, axis=0).max() > 0
    np.testing.assert_allclose(found, actions, rtol=1e-5, atol=3e-5)
