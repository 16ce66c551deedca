"""A constant that all calls give for a parameter takes its place, and no other value does."""

from __future__ import annotations

import pytest

from flowrl_dsl.lowering.emit.constants import put_in_constants
from tests.lowering.emit.pieces import program, tidy, whole

PUT_IN = {
    "a default that no call changes": (
        "def k(x, key=None): return f(x, key)",
        "a = k(1.5)\nb = k(2.5)",
        "def k(x): return f(x, None)",
        "a = k(1.5)\nb = k(2.5)",
    ),
    "the same argument, by position and by name": (
        "def k(x, key, quick=False): return f(x, key, quick)",
        "a = k(s, None, True)\nb = k(t, quick=True, key=None)",
        "def k(x): return f(x, None, True)",
        "a = k(s)\nb = k(t)",
    ),
    "a parameter between others": (
        "def k(x, activation, y): return f(x, activation, y)",
        "a = k(s, 'mish', t)",
        "def k(x, y): return f(x, 'mish', y)",
        "a = k(s, t)",
    ),
    "a parameter with a default before others with one": (
        "def k(x, key=None, gain=2.0): return f(x, key, gain)",
        "a = k(s, gain=g)",
        "def k(x, gain=2.0): return f(x, None, gain)",
        "a = k(s, gain=g)",
    ),
    "a number, if it is the default": (
        "def k(x, gain=2.0): return gain * x",
        "a = k(s)\nb = k(t)",
        "def k(x): return 2.0 * x",
        "a = k(s)\nb = k(t)",
    ),
    "a string that is never given": (
        "def k(x, kind): return g(x) if kind == 'cosine' else h(x)",
        "a = k(s, 'linear')\nb = k(t, 'sqrt')",
        "def k(x, kind): return g(x) if False else h(x)",
        "a = k(s, 'linear')\nb = k(t, 'sqrt')",
    ),
}


@pytest.mark.parametrize(("kernel", "source", "kernel_after", "source_after"), PUT_IN.values(), ids=PUT_IN)
def test_constants_are_put_in(kernel, source, kernel_after, source_after, monkeypatch) -> None:
    file = program(kernel, source, monkeypatch)
    assert put_in_constants(file)
    assert whole(file) == tidy(f"{kernel_after}\n{source_after}")
    assert not put_in_constants(file)


LEFT_ALONE = {
    "two constants": ("def k(x, key): return f(x, key)", "a = k(s, None)\nb = k(t, True)"),
    "a constant and a value": ("def k(x, key): return f(x, key)", "a = k(s, None)\nb = k(t, c)"),
    "a number that is not the default": ("def k(x, steps): return f(x, steps)", "a = k(s, 20)\nb = k(t, 20)"),
    "numbers that are written differently": ("def k(x, n=1.0): return f(x, n)", "a = k(s)\nb = k(t, 1)"),
    "a parameter that gets another value": (
        """
        def k(x, key=None):
            key = f(x) if key is None else key
            return g(key)
        """,
        "a = k(s)",
    ),
    "a parameter that means something else inside": ("def k(x, key=None): return lambda key: f(x, key)", "a = k(s)"),
    "a kernel that is handed on": ("def k(x, key=None): return f(x, key)", "a = k(s)\nb = scan(k, t)"),
    "a call with unpacked arguments": ("def k(x, key=None): return f(x, key)", "a = k(s)\nb = k(*t)"),
    "a call with unpacked names": ("def k(x, key=None): return f(x, key)", "a = k(s)\nb = k(t, **c)"),
    "arguments that have to be named": ("def k(x, *, key=None): return f(x, key)", "a = k(s)"),
    "a local function of the same name": (
        "def k(x, key=None): return f(x, key)",
        """
        a = k(s)
        def step(t):
            b = k(t)
            def inner(k):
                return k(t)
            return inner(b)
        """,
    ),
    "a string that another kernel hands on": (
        """
        def k(x, kind): return g(x) if kind == 'cosine' else h(x)
        def outer(x, kind): return k(x, kind)
        """,
        "a = outer(s, 'cosine')\nb = outer(t, 'linear')",
    ),
}


@pytest.mark.parametrize(("kernels", "source"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_values_that_may_vary_stay(kernels: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = program(kernels, source, monkeypatch)
    before = whole(file)
    assert not put_in_constants(file)
    assert whole(file) == before


def test_constants_reach_the_kernels_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = """
        def inner(x, key): return f(x, key)
        def outer(x, key=None): return inner(x, key)
        """
    file = program(kernels, "a = outer(s)", monkeypatch)
    while put_in_constants(file):
        pass
    assert whole(file) == tidy("def inner(x): return f(x, None)\ndef outer(x): return inner(x)\na = outer(s)")


def test_a_string_is_known_through_the_kernels_that_hand_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = """
        def k(x, kind): return g(x) if kind == 'cosine' else h(x)
        def outer(x, kind): return k(x, kind)
        """
    file = program(kernels, "a = outer(s, 'linear')\nb = outer(t, 'sqrt')", monkeypatch)
    assert put_in_constants(file)
    assert "if False else h(x)" in whole(file)
