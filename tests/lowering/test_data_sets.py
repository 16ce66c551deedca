"""What an update needs of a data set on the device."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowrl_dsl import driver
from flowrl_dsl.runtime.replay import Replay


def _working_memory(sampling: str, rows: int) -> int:
    """Bytes of the compiled update of a small iql, without its state and without its data set of so many rows."""
    sets = [f"{section}.network=mlp([8])" for section in ("critic", "value", "policy")]
    algorithm, _ = driver.resolve_or_raise("iql", None, (*sets, "train.batch=16", f"train.sampling={sampling}"))
    program = driver.build_program(algorithm, 17, 6, None, capacity=rows)
    state, _, hyper = program.examples()
    storage = jax.eval_shape(Replay(program.data, program.axis_sizes).own)
    assert storage["s"].shape == (rows, 17)
    compiled = program.jit_update.lower(state, storage, np.int32(1), hyper).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("sampling", ["uniform", "epochs"])
def test_the_working_memory_of_an_update_does_not_grow_with_the_data_set(sampling: str) -> None:
    """A copy of a million rows would take 172 MB."""
    assert _working_memory(sampling, 1_000_000) == _working_memory(sampling, 1_000) < 1_000_000
