"""The rewritings together, to the point where none of them finds anything."""

from __future__ import annotations

import pytest

from flowrl_dsl.graph.plain import RESULTS
from flowrl_dsl.lowering.emit.simplify import simplified
from tests.lowering.emit.pieces import printed, statements, tidy, use_kernels


def simple(kernels: str, source: str, monkeypatch: pytest.MonkeyPatch) -> str:
    use_kernels(kernels, monkeypatch)
    kept, others = simplified(statements(source))
    return printed([*kept, *others])


def test_constants_decide_branches_and_what_is_left_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = """
        def activation(name):
            if name == "mish":
                return jax.nn.mish
            return jnp.tanh

        def features(x, key=None, name="mish"):
            act = activation(name)
            x = x if key is None else dropped(x, key)
            return act(x)

        def dropped(x, key):
            return x * jax.random.bernoulli(key, 0.5, x.shape)
        """
    assert simple(kernels, "a = features(s)", monkeypatch) == tidy("a = jax.nn.mish(s)")


def test_kernels_stand_in_front_of_those_that_call_them(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = "\n    for _ in x:\n        x = f(x)\n    return x\n"
    kernels = f"def outer(x):\n    x = inner(x){loop}def unused(x):{loop}def inner(x):{loop}"
    assert simple(kernels, "a = outer(s)", monkeypatch) == tidy(
        f"def inner(x):{loop}def outer(x):\n    x = inner(x){loop}a = outer(s)"
    )


def test_what_a_library_has_stands_for_the_result_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RESULTS, "dense_layer", "nn.Dense")
    kernels = """
        def dense_layer(): return type("Dense", (nn.Dense,), {})
        def net(x):
            dense = dense_layer()
            return dense(x)
        """
    assert simple(kernels, "a = net(64)", monkeypatch) == tidy("a = nn.Dense(64)")


def test_the_given_statements_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    use_kernels("def k(x): return x + 1.0", monkeypatch)
    given = statements("a = k(s)")
    assert printed(simplified(given)[1]) == tidy("a = s + 1.0")
    assert printed(given) == tidy("a = k(s)")
