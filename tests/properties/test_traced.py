"""What NumPy makes of a traced function is what jax makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.testing import traced
from flowrl_dsl.testing.primitives.random_numbers import threefry
from flowrl_dsl.testing.traced import Slow, Traced
from flowrl_dsl.testing.trees import assert_close
from tests.helpers import QUICK

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype(np.float32)
M = RNG.normal(size=(3, 5)).astype(np.float32)
N = np.array([3, -7, 2, 0], np.int32)
KEY = np.asarray(jax.random.PRNGKey(3))

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda x, m, n, key: [x + 1, x * x, x / (x**2 + 1), x**3, jnp.abs(x) ** 0.7, x % 0.4, -x, 2.0**x, x**-2],
    "whole numbers": lambda x, m, n, key: [
        n // 2,
        n % 3,
        n * n,
        jnp.abs(n),
        jnp.sign(n),
        n >> 1,
        n & 1,
        n.astype(float) ** n,
    ],
    "exponentials": lambda x, m, n, key: [jnp.exp(x), jnp.expm1(x), jnp.log1p(x * x), jnp.log(x * x), jax.nn.sigmoid(x)],
    "circles": lambda x, m, n, key: [jnp.sin(x), jnp.cos(x), jnp.tanh(x), jnp.arctanh(jnp.tanh(x)), jnp.arctan2(x, x[:1])],
    "roots": lambda x, m, n, key: [jnp.sqrt(jnp.abs(x)), jax.lax.rsqrt(jnp.abs(x)), jnp.square(x), jnp.cbrt(x)],
    "error function": lambda x, m, n, key: [jax.lax.erf(x), jax.lax.erfc(x), jax.lax.erf_inv(jnp.tanh(x))],
    "rounding": lambda x, m, n, key: [jnp.floor(x), jnp.ceil(x), jnp.round(2 * x), jnp.nextafter(x, 0.0 * x)],
    "order": lambda x, m, n, key: [jnp.sort(x, axis=0), jnp.argsort(x, axis=1), jnp.argmax(x, axis=1), jnp.median(x), x > 0],
    "running sums": lambda x, m, n, key: [jnp.cumsum(x, axis=0), jnp.cumprod(x, axis=1), jax.lax.cummax(x, reverse=True)],
    "reductions": lambda x, m, n, key: [x.sum(), x.mean(0), x.var(1), x.max(0), x.min(), x.prod(1), (x > 0).all(), n.sum()],
    "not a number": lambda x, m, n, key: [jnp.isnan(jnp.log(x)), jnp.fmax(jnp.log(x), 0.0), jnp.maximum(jnp.log(x), 0.0)],
    "products": lambda x, m, n, key: [x @ m, jnp.einsum("bi,bj->bij", x, x), jax.vmap(jnp.dot)(x, x), jnp.tensordot(x, x)],
    "shapes": lambda x, m, n, key: [
        x.T,
        x.reshape(2, 6),
        x[:, None],
        jnp.concatenate([x, x], 1),
        jnp.stack([x, x]),
        x[::-1],
    ],
    "windows": lambda x, m, n, key: [x[1:3, ::2], jax.lax.dynamic_slice(x, (n[0], n[1]), (2, 2)), jnp.roll(x, 1, 0), x[:0]],
    "padding": lambda x, m, n, key: [
        jnp.pad(x, 1),
        jax.lax.pad(x, 0.5, ((1, -1, 2), (-1, 2, 0))),
        jnp.split(x, [1], axis=1),
    ],
    "writing": lambda x, m, n, key: [x.at[1].set(0.0), x.at[n % 4, 1].add(1.0), x.at[:, 2].mul(3.0), x.at[n].set(1.0)],
    "reading": lambda x, m, n, key: [x[n % 4], x[n], x[:, n % 3], jnp.take_along_axis(x, n[:, None] % 3, 1), x[n[0], 1:]],
    "searching": lambda x, m, n, key: [jnp.searchsorted(jnp.cumsum(x[:, 0] ** 2), x[:, 1] ** 2), jax.lax.top_k(x, 2)[0]],
    "choices": lambda x, m, n, key: [jnp.where(x > 0, x, 0.0), jnp.clip(x, -0.5, 0.5), jax.lax.select_n(n % 2, n, -n)],
    "matrices": lambda x, m, n, key: [jnp.linalg.qr(x)[0] @ jnp.linalg.qr(x)[1], jnp.linalg.eigh(x.T @ x)[0]],
    "gradients": lambda x, m, n, key: [jax.grad(lambda m: jnp.sum(jax.nn.softmax(jax.nn.silu(x @ m)) ** 2))(m)],
    "a loop": lambda x, m, n, key: jax.lax.scan(lambda c, y: (c + y, c * y), x[0], x, reverse=True),
    "a loop of no steps": lambda x, m, n, key: jax.lax.scan(lambda c, y: (c + y, c * y), x[0], x[:0]),
    "a loop with a bound": lambda x, m, n, key: jax.lax.fori_loop(0, n[0], lambda i, c: c * x + i, x),
    "a loop with an end": lambda x, m, n, key: jax.lax.while_loop(
        lambda c: c.sum() < 100, lambda c: c * c + x[0, 0] ** 2, x
    ),
    "a condition": lambda x, m, n, key: jax.lax.cond(x[0, 0] > 0, lambda y: y + 1, lambda y: y - 1, x),
    "a choice of three": lambda x, m, n, key: jax.lax.switch(n[2], [lambda y: y, lambda y: 2 * y, lambda y: 3 * y], x),
    "a derivative of its own": lambda x, m, n, key: [jax.nn.relu(x), jax.nn.logsumexp(x, axis=1), jax.nn.gelu(x)],
    "normal numbers": lambda x, m, n, key: [jax.random.normal(key, (4, 3)), jax.random.normal(jax.random.split(key)[1])],
    "whole random numbers": lambda x, m, n, key: [jax.random.randint(key, (5,), 0, 7), jax.random.permutation(key, 6)],
    "choices at random": lambda x, m, n, key: [jax.random.categorical(key, x), jax.random.bernoulli(key, 0.4, (9,))],
    "many keys": lambda x, m, n, key: jax.vmap(lambda k: jax.random.uniform(k, (3,)))(jax.random.split(key, 4)),
    "keys of numbers": lambda x, m, n, key: [jax.random.fold_in(key, n[0]), jax.random.PRNGKey(n[2])],
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """What jax makes of all of them, as one program."""
    run = jax.jit(lambda *given: {name: f(*given) for name, f in FUNCTIONS.items()}, compiler_options=QUICK)
    return jax.tree.map(np.asarray, run(X, M, N, KEY))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_and_jax_agree(name: str, compiled: dict[str, Any]) -> None:
    function = FUNCTIONS[name]
    got = Traced(function, X, M, N, KEY)(X, M, N, KEY)
    assert_close(name, got, compiled[name], rtol=2e-5, atol=1e-6)
    types = [[np.asarray(leaf).dtype for leaf in jax.tree.leaves(tree)] for tree in (got, compiled[name])]
    assert types[0] == types[1]


def test_no_function_of_these_needed_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    """All primitives above are in the table, but for this one, which jax computes."""
    asked: list[str] = []
    by_jax = traced._by_jax
    monkeypatch.setattr(traced, "_by_jax", lambda equation, v: asked.append(equation.primitive.name) or by_jax(equation, v))
    for function in FUNCTIONS.values():
        Traced(function, X, M, N, KEY)(X, M, N, KEY)
    assert set(asked) <= {"top_k"}


def test_what_the_table_does_not_know_jax_computes() -> None:
    np.testing.assert_allclose(Traced(jax.lax.lgamma, X)(X), jax.lax.lgamma(X), rtol=1e-5)


def test_the_hash_is_that_of_the_published_vectors() -> None:
    """Known answers of Threefry-2x32 with 20 rounds, of the authors' Random123."""
    words = [np.asarray([x], np.uint32) for x in (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3)]
    assert [int(x[0]) for x in threefry(*words)] == [0xC4923A9C, 0x483DF7A0]
    zeros = [np.zeros(1, np.uint32)] * 4
    assert [int(x[0]) for x in threefry(*zeros)] == [0x6B200159, 0x99BA4EFE]


def test_draws_are_shown_with_the_scope_they_stand_in() -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def look(equation: Any, scope: str, bits: np.ndarray) -> np.ndarray:
        seen.append((scope, bits.shape))
        return np.zeros_like(bits)

    def function(key: Any) -> Any:
        with jax.named_scope("outside"), jax.named_scope("a.draw"):
            return jax.grad(lambda k: k * jax.random.uniform(key, (3,)).sum())(2.0), jax.random.uniform(key, (2,))

    slope, drawn = Traced(function, KEY)(KEY, draw=look)
    assert slope == 0 and (drawn == 0).all()
    assert {shape for _, shape in seen} == {(3,), (2,)} and all("a.draw" in scope for scope, _ in seen)


def test_a_slow_function_is_traced_once_for_each_shape() -> None:
    traces: list[tuple[int, ...]] = []

    def function(x: Any) -> Any:
        traces.append(x.shape)
        return 2 * x

    slow = Slow(function)
    for x in (X, X + 1, M, X):
        np.testing.assert_array_equal(slow(x), 2 * x)
    assert traces == [X.shape, M.shape]
