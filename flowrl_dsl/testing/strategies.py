"""Hypothesis strategies: specs, formulas, states, batches and settings of programs, and damaged texts.

Generation is driven by the registry and includes every registered component, also those of plugins. ::

    from hypothesis import given
    from flowrl_dsl.testing import invariants, strategies

    @given(strategies.specs(including={"network": "my_network"}))
    def test_my_network_compiles(text):
        invariants.check_program(invariants.trial(text))
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.registry import Interval, families
from flowrl_dsl.syntax.lexer import Lexer, language
from flowrl_dsl.testing._formulas import Draw, formulas
from flowrl_dsl.testing._specs import specs
from flowrl_dsl.testing.numbers import numbers

if TYPE_CHECKING:
    from flowrl_dsl.lowering.program import Program

STYLES = ("plain", "zero", "equal rows", "large", "at the bounds", "all terminal", "none terminal")
"""Kinds of batches: what the rows look like, at their extremes as well."""


def batch_of(program: Program, seed: int = 0, style: str = "plain", rows: int | None = None) -> dict[str, np.ndarray]:
    """A valid batch: actions in [-1, 1], terminal flags 0 or 1, observations up to 100, rewards up to 1000."""
    shapes = {name: (rows or shape.shape[0], *shape.shape[1:]) for name, shape in program.batch_shapes().items()}
    values = _rows_of(shapes, np.random.default_rng(seed), style)
    for rewards, count in (("rewards", "count"), ("rewards_ahead", "count_ahead")):
        if count in values:
            horizon = shapes[rewards][1]
            values[count] = np.random.default_rng(seed).integers(1, horizon + 1, shapes[count])
            values[rewards] = np.where(np.arange(horizon) < values[count][:, None], values[rewards], 0.0)
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


def replay_of(program: Program, seed: int = 0, rows: int = 12, size: int = 9) -> dict[str, np.ndarray]:
    """A ring buffer of ``rows`` rows, the ``size`` newest of them filled; episodes end occasionally.

    Where batches are parts of a rollout, it is a whole one.
    """
    if program.data.updates:
        rows = size = program.data.capacity
    rng, sizes = np.random.default_rng(seed), program.axis_sizes
    shapes = {name: (rows, *field.shape(sizes)) for name, field in program.data.stored.items() if name != "end"}
    values = {name: np.asarray(value, np.float32) for name, value in _rows_of(shapes, rng, "plain").items()}
    values["end"] = np.maximum(values["d"], rng.integers(0, 2, rows)).astype(np.float32)
    return values | {"size": np.asarray(size, np.int32), "total": np.asarray(size, np.int32)}


def _rows_of(shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator, style: str) -> dict[str, np.ndarray]:
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    values["a"] = rng.uniform(-1, 1, shapes["a"])
    for name in [name for name in ("d", "d_ahead", "next_seen") if name in shapes]:
        values[name] = rng.integers(0, 2, shapes[name]).astype(float)
    if "a_next_seen" in shapes:
        values["a_next_seen"] = rng.uniform(-1, 1, shapes["a_next_seen"])
    match style:
        case "zero":
            values = {name: np.zeros(shape) for name, shape in shapes.items()}
        case "equal rows":
            values = {name: np.broadcast_to(value[:1], value.shape) for name, value in values.items()}
        case "large":
            for name, value in values.items():
                if name not in ("a", "a_next_seen", "d", "d_ahead", "next_seen"):
                    values[name] = np.clip(value, -2, 2) * (500 if name in ("r", "rewards", "rewards_ahead") else 50)
        case "at the bounds":
            values["a"] = np.sign(values["a"])
        case "all terminal" | "none terminal":
            values["d"] = np.full(shapes["d"], float(style == "all terminal"))
    if "t" in shapes:  # times between the ends of every noise process
        values["t"] = rng.uniform(0.1, 0.9, shapes["t"])
    return values


@st.composite
def batches(draw: Draw, program: Program) -> dict[str, np.ndarray]:
    """Valid batches of the program's batch size, with ordinary and extreme values."""
    return batch_of(program, draw(st.integers(0, 2**16)), draw(st.sampled_from(STYLES)))


def hyper_of(program: Program, algorithm: Algorithm, seed: int = 0) -> dict[str, float]:
    """Values of the program's inputs, each within the range that the spec or the component declares for it.

    They lie between half and twice the default if the range permits.
    """
    rng, ranges = np.random.default_rng(seed), _ranges(algorithm)
    values = {}
    for name, default in program.hyper.items():
        near = [default * factor for factor in (0.5, 0.9, 1.1, 2.0)]
        allowed = [x for x in near if all(x in interval for interval in ranges.get(name, ()))]
        values[name] = float(rng.choice(allowed or [default]))
    return values


def hypers(program: Program, algorithm: Algorithm) -> st.SearchStrategy[dict[str, float]]:
    """Values of the program's inputs within their ranges, as in :func:`hyper_of`."""
    return st.integers(0, 2**16).map(lambda seed: hyper_of(program, algorithm, seed))


def _ranges(algorithm: Algorithm) -> dict[str, list[Interval]]:
    """The declared ranges of each number, by the name of its input."""
    found: dict[str, list[Interval]] = {name: [p.interval] for name, p in algorithm.parameters.items()}

    for _, scalar, interval in numbers(algorithm):
        found.setdefault(scalar.name, []).append(interval)
    return found


_SPACES = (" ", "\n", "  ", "\t", "\n\n", " # a remark\n")


@st.composite
def laid_out(draw: Draw, text: str) -> str:
    """The same tokens with different spaces, line breaks and comments between them: a text of the same meaning.

    The name of a section stays on the line of the section keyword, as the language requires.
    """
    tokens = Lexer(text, "text").tokens
    spaces = draw(st.lists(st.sampled_from(_SPACES), min_size=1, max_size=8))
    named = [first.type == second.type == "NAME" for first, second in pairwise(tokens)] + [False]
    return "".join(token + (" " if named[i] else spaces[i % len(spaces)]) for i, token in enumerate(tokens))


@st.composite
def mangled(draw: Draw, text: str, most: int = 4) -> str:
    """The text after one to ``most`` mutations: words or characters deleted, doubled, swapped, replaced or inserted."""
    tokens = [str(token) for token in Lexer(text, "text").tokens if str(token)] or [text]
    words = st.sampled_from(_words())
    for _ in range(draw(st.integers(1, most))):
        at, other = draw(st.integers(0, len(tokens) - 1)), draw(st.integers(0, len(tokens) - 1))
        accident = draw(st.sampled_from(("delete", "double", "swap", "replace", "insert", "characters")))
        if accident == "delete" and len(tokens) > 1:
            del tokens[at]
        elif accident == "double":
            tokens.insert(at, tokens[at])
        elif accident == "swap":
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif accident == "replace":
            tokens[at] = draw(words)
        elif accident == "insert":
            tokens.insert(at, draw(words))
        else:
            cut = draw(st.integers(0, len(tokens[at])))
            junk = draw(st.text(max_size=3))
            tokens[at] = tokens[at][:cut] + junk + tokens[at][cut + draw(st.integers(0, 1)) :]
    return draw(st.sampled_from((" ", "\n"))).join(tokens)


def _words() -> list[str]:
    """Words with a meaning in the grammar or the registry, and edge cases of number syntax."""
    registered = {name for members in families().values() for name in members}
    options = {name for members in families().values() for cls in members.values() for name in cls.model_fields}
    extra = {"0", "-1", "1e999", "1e-300", "none", "over", "wrt", "policy", "x", '"text"', "(1 / 0)", "A", "N", "M"}
    return sorted(registered | options | extra | set(language().written.values()))


__all__ = ["STYLES", "batch_of", "batches", "formulas", "hyper_of", "hypers", "laid_out", "mangled", "specs"]
