"""What constants decide leaves a kernel, with what nothing reads then; everything else stays."""

from __future__ import annotations

from textwrap import dedent

import pytest

from flowrl_dsl.lowering.emit.folding import fold
from flowrl_dsl.lowering.emit.kernels import parsed
from flowrl_dsl.lowering.emit.parts import Kernel
from tests.lowering.emit.pieces import printed, tidy


def folded(source: str) -> str:
    kernel = Kernel(parsed(dedent(source)))
    while fold(kernel):
        pass
    return printed([kernel.tree])


EXPRESSIONS = {
    "identity with None": ("x if None is None else -x", "x"),
    "identity with a boolean": ("x if True is not None else -x", "x"),
    "equal strings": ("x if 'mish' == 'relu' else -x", "-x"),
    "different strings": ("x if 'mish' != 'relu' else -x", "x"),
    "not": ("x if not False else -x", "x"),
    "or: what does not decide": ("False or x", "x"),
    "or: what is never reached": ("x or True or f(x)", "x or True"),
    "and: what decides": ("None and f(x)", "None"),
    "and: what does not decide": ("x and 1 and y", "x and y"),
    "a condition of conditions": ("(x if None is not None else y) if not (True and False) else z", "y"),
    "an unpacked tuple": ("f((x, *(y, z)))", "f((x, y, z))"),
    "an item of a tuple": ("(x, y)[1]", "y"),
    "one more than a number": ("f(3 + 1)", "f(4)"),
}


@pytest.mark.parametrize(("before", "after"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_constants_are_decided(before: str, after: str) -> None:
    assert folded(f"def k(x, y, z, f): return {before}") == tidy(f"def k(x, y, z, f): return {after}")


LEFT_ALONE = {
    "a comparison with an argument": "x is None",
    "numbers, whose equality is a question of rounding": "x if 1.0 == 2.0 else y",
    "a value whose truth is unknown": "x or y",
    "an item behind a starred one": "(*x, y)[1]",
    "an item that is not there": "(x, y)[2]",
    "an unpacked argument": "f(*x, y)",
    "a product of numbers": "x * (2 * 3)",
    "sums of rounded numbers": "x + (0.1 + 0.2)",
}


@pytest.mark.parametrize("expression", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_no_constant_decides_is_left_alone(expression: str) -> None:
    source = f"def k(x, y, z, f): return {expression}"
    assert folded(source) == tidy(source)


STATEMENTS = {
    "a branch that is taken": (
        """
        def k(x):
            if None is None:
                x = x + 1
            else:
                x = x - 1
            return x
        """,
        """
        def k(x):
            x = x + 1
            return x
        """,
    ),
    "what follows a return": (
        """
        def k(x):
            if True:
                return x
            y = f(x)
            return y
        """,
        "def k(x): return x",
    ),
    "a block that becomes empty": (
        """
        def k(x):
            for _ in x:
                if False:
                    x = f(x)
            return x
        """,
        """
        def k(x):
            for _ in x:
                pass
            return x
        """,
    ),
    "another name of an argument": ("def k(x):\n    y = x\n    return f(y)", "def k(x): return f(x)"),
    "a name of a library function": ("def k(x):\n    act = jnp.tanh\n    return act(x)", "def k(x): return jnp.tanh(x)"),
    "a name of a constant, and what that decides": (
        """
        def k(x):
            key = None
            rngs = {} if key is None else {"dropout": key}
            return f(x, rngs)
        """,
        """
        def k(x):
            rngs = {}
            return f(x, rngs)
        """,
    ),
    "a variable that nothing reads": ("def k(x, y):\n    z = x * y\n    return x", "def k(x, y): return x"),
    "an inner function that nothing reads": (
        """
        def k(x):
            def g(y):
                return y
            return x
        """,
        "def k(x): return x",
    ),
}


@pytest.mark.parametrize(("before", "after"), STATEMENTS.values(), ids=STATEMENTS)
def test_statements_that_change_nothing_leave(before: str, after: str) -> None:
    assert folded(before) == tidy(after)


STATEMENTS_LEFT_ALONE = {
    "a sum over a loop": """
        def k(xs):
            total = 0.0
            for x in xs:
                total += x
            return total
        """,
    "a name with two values": """
        def k(x, y):
            z = x
            if f(y):
                z = y
            return z
        """,
    "a call that nothing reads": """
        def k(x):
            y = f(x)
            return x
        """,
    "fields and methods of a class": """
        def k(x):
            class Net(nn.Module):
                width: int
                width = width

                def setup(self):
                    self.head = x

            return Net()
        """,
    "a name that means something else inside": """
        def k(x):
            g = helper
            return (lambda helper: g(helper))(x)
        """,
    "a function with an assignment inside of an expression": "def k(x): return (y := x) if True else y",
    "a function with named arguments alone": "def k(*, x): return x if True else None",
}


@pytest.mark.parametrize("source", STATEMENTS_LEFT_ALONE.values(), ids=STATEMENTS_LEFT_ALONE)
def test_statements_that_matter_stay(source: str) -> None:
    assert folded(source) == tidy(source)


def test_a_kernel_is_folded_until_nothing_changes() -> None:
    kernel = Kernel(parsed("def k(x):\n    y = None\n    return x if y is None else -x"))
    assert fold(kernel) and fold(kernel)
    assert not fold(kernel) and kernel.is_folded
    assert not fold(kernel)
    kernel.changed()
    assert not kernel.is_folded
