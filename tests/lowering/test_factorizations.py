"""No program factors a batch of matrices at once.

On the CPU such a batch is spread over XLA's threads while one of them waits, and two batches at once can wait for each other
forever where there are two threads: a run would hang before its first step.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from tests.helpers import ALGORITHMS, program

FACTORIZATIONS = {"geqrf", "householder_product", "qr", "eigh", "cholesky", "svd", "lu", "triangular_solve"}


def equations(jaxpr: Jaxpr) -> Iterator:
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, ClosedJaxpr | Jaxpr)):
            if isinstance(value, ClosedJaxpr | Jaxpr):
                yield from equations(value.jaxpr if isinstance(value, ClosedJaxpr) else value)


def batched(function, *examples) -> list[str]:
    closed = jax.make_jaxpr(function)(*examples)
    found = [e for e in equations(closed.jaxpr) if e.primitive.name in FACTORIZATIONS]
    return [f"{e.primitive.name} of {e.invars[0].aval.shape}" for e in found if e.invars[0].aval.ndim > 2]


def test_the_search_sees_a_batch() -> None:
    assert batched(lambda x: jax.vmap(jax.numpy.linalg.eigh)(x), jax.ShapeDtypeStruct((3, 2, 2), "f")) != []
    assert batched(lambda x: jax.lax.map(jax.numpy.linalg.eigh, x), jax.ShapeDtypeStruct((3, 2, 2), "f")) == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_parameters_are_made_one_matrix_at_a_time(name: str) -> None:
    assert batched(program(name)._init, jax.ShapeDtypeStruct((2,), "uint32")) == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_step_factors_no_batch(name: str) -> None:
    p = program(name)
    assert batched(p._step, *p.examples()) == []
