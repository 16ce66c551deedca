"""Kernels of one expression stand in the place of their calls, unless that would change a name's meaning or repeat work."""

from __future__ import annotations

import pytest

from flowrl_dsl.lowering.emit.writing import write_out
from tests.lowering.emit.pieces import program, tidy, whole

WRITTEN = {
    "an expression": ("def k(x, y): return x - y", "a = k(s, f(t))", "a = s - f(t)"),
    "with the parentheses it needs": ("def k(x, y): return x - y", "a = 2.0 * k(s, t - u)", "a = 2.0 * (s - (t - u))"),
    "arguments by name, and defaults": (
        "def k(x, y=1.0): return x / y",
        "a = k(x=s)\nb = k(y=t, x=u)",
        "a = s / 1.0\nb = u / t",
    ),
    "steps that are read once": (
        """
        def k(x):
            '''A sum of squares.'''
            y = x - 1.0
            z = jnp.square(y)
            return jnp.sum(z)
        """,
        "a = k(s)",
        "a = jnp.sum(jnp.square(s - 1.0))",
    ),
    "an inner function of one expression": (
        """
        def k(x):
            def loss(y):
                return jnp.sum(y)
            return jax.grad(loss)(x)
        """,
        "a = k(s)",
        "a = jax.grad(lambda y: jnp.sum(y))(s)",
    ),
    "further arguments, and what their number decides": (
        "def k(*terms): return f(terms[0], *terms)",
        "a = k(s, t)",
        "a = f(s, s, t)",
    ),
    "a plain value that is read twice": ("def k(x): return x * x", "a = k(s)", "a = s * s"),
    "kernels of kernels": (
        """
        def square(x): return jnp.square(x)
        def k(x): return jnp.sum(square(x))
        """,
        "a = k(s)",
        "a = jnp.sum(jnp.square(s))",
    ),
    "a name that an inner function has too": (
        "def k(x): return repeat(lambda i, x: f(x), x)",
        "a = k(g(s))",
        "a = repeat(lambda i, x: f(x), g(s))",
    ),
    "a name that a loop has too": ("def k(x): return add([x for x in x if x])", "a = k(s)", "a = add([x for x in s if x])"),
    "a long one that is called once": (
        f"def k(x): return x + {' + '.join(['jnp.mean(x_)'] * 9)}".replace("x_", "offsets"),
        "a = k(s)",
        f"a = s + {' + '.join(['jnp.mean(offsets)'] * 9)}",
    ),
}


@pytest.mark.parametrize(("kernels", "before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_kernels_of_one_expression_are_written_out(kernels, before, after, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program(kernels, before, monkeypatch)
    while write_out(file):
        file.gather()
    assert whole(file) == tidy(after)


LONG = " + ".join(["jnp.mean(offsets)"] * 6)
LEFT_ALONE = {
    "a costly value that is read twice": ("def k(x): return x * x", "a = k(f(s))"),
    "a costly value that is read in a function": ("def k(x): return scan(lambda y: y + x)", "a = k(f(s))"),
    "a long one that is called twice": (f"def k(x): return x + {LONG}", "a = k(s)\nb = k(t)"),
    "a step that is read twice": (
        """
        def k(x):
            y = f(x)
            return y * y
        """,
        "a = k(s)",
    ),
    "a step in a loop": (
        """
        def k(xs):
            total = 0.0
            for x in xs:
                total += x
            return total
        """,
        "a = k(s)",
    ),
    "an argument that gets another value": (
        """
        def k(x):
            x = f(x)
            return g(x)
        """,
        "a = k(s)",
    ),
    "a branch": (
        """
        def k(x):
            if x is None:
                return y
            return x
        """,
        "a = k(s)",
    ),
    "a name that the caller uses for something else": (
        "def k(x): return scale * x",
        """
        def step(state):
            scale = f(state)
            return k(scale)
        """,
    ),
    "an argument with a name that the expression binds": ("def k(x): return scan(lambda y: (x, y))", "a = k(y)"),
    "a step with a name that the result binds": (
        """
        def k(x):
            z = y
            return scan(lambda y: (y, x), z)
        """,
        "a = k(s)",
    ),
    "an item of a call": ("def k(x): return f(x)[0]", "a = k(s)"),
    "a kernel that is handed on": ("def k(x): return x + 1.0", "a = scan(k, s)"),
    "a call with unpacked arguments": ("def k(x): return x + 1.0", "a = k(*s)"),
    "a kernel of itself": ("def k(x): return k(x - 1.0)", "a = k(s)"),
}


@pytest.mark.parametrize(("kernels", "source"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_other_kernels_stay(kernels: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program(kernels, source, monkeypatch)
    before = whole(file)
    assert not write_out(file)
    assert whole(file) == before


def test_a_short_kernel_is_written_out_where_its_arguments_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file = program("def k(x): return x * x", "a = k(s)\nb = k(f(s))", monkeypatch)
    assert write_out(file)
    assert whole(file) == tidy("def k(x): return x * x\na = s * s\nb = k(f(s))")
