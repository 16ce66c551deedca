"""Specs with words deleted, doubled, swapped, renamed and numbers changed: a finding or an algorithm, never an exception."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrl_dsl.diagnostics import render_text
from flowrl_dsl.registry import families
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.show import show
from tests.spec.helpers import algorithm_of, without_places

TEXTS = [path.read_text(encoding="utf-8") for path in shipped_specs().values()]
TOKEN = re.compile(r'\s*(#[^\n]*\n|"[^"\n]*"|->|[<>=!]=|[A-Za-z_]\w*|[0-9][0-9_.eE]*|\S)')
WORDS = sorted(
    {name for members in families().values() for name in members}
    | {"policy", "old_policy", "none", "every", "over", "wrt", "s", "a", "a_t", "Q", "grad", "softmax", "mean", "temperature"}
    | {"batch", "particle", "ensemble", "action", "let", "param", "def", "improve", "true", "inf", "x", "A", "N"}
)
NUMBERS = ["0", "1", "-1", "0.5", "1e400", "1e-30", "999999999999999999999", "2.5", "(1 / 0)", "(2 ^ 9999)"]
EXTRA = ["->", "[", "]", "(", ")", "{", "}", "=", ",", "+", "*", "^", "-", "<", "from policy", '"text"', "for task"]
MUTATIONS = ("delete", "double", "swap", "rename", "number", "insert")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A shipped spec after one to four changes of its words; most keep it parseable."""
    tokens = TOKEN.findall(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        i, j = draw(st.integers(0, len(tokens) - 1)), draw(st.integers(0, len(tokens) - 1))
        names = [k for k, token in enumerate(tokens) if token[0].isalpha()]
        digits = [k for k, token in enumerate(tokens) if token[0].isdigit()]
        match draw(st.sampled_from(MUTATIONS)):
            case "delete" if len(tokens) > 1:
                del tokens[i]
            case "double":
                tokens.insert(i, tokens[i])
            case "swap":
                tokens[i], tokens[j] = tokens[j], tokens[i]
            case "rename" if names:
                tokens[draw(st.sampled_from(names))] = draw(st.sampled_from(WORDS))
            case "number" if digits:
                tokens[draw(st.sampled_from(digits))] = draw(st.sampled_from(NUMBERS))
            case _:
                tokens.insert(i, draw(st.sampled_from(WORDS + NUMBERS + EXTRA)))
    return " ".join(tokens)


def says_something(found: Resolution) -> None:
    """Every error has a code and a place that can be shown; without errors there is an algorithm."""
    assert (found.algorithm is None) == bool(found.diagnostics.errors)
    for diagnostic in found.diagnostics:
        assert re.fullmatch(r"FRL\d{4}", diagnostic.code) and diagnostic.message
        assert diagnostic.span is not None and diagnostic.span.file in found.sources
    render_text(found.diagnostics, found.sources)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated())
def test_mutated_specs(folder: Path, text: str) -> None:
    path = folder / "mutated.flowrl"
    path.write_text(text, encoding="utf-8")
    found = resolve(str(path), task="Hopper-v5")
    says_something(found)
    if found.algorithm is not None:
        (folder / "shown.flowrl").write_text(show(found.algorithm), encoding="utf-8")
        again = algorithm_of(resolve(str(folder / "shown.flowrl")))
        assert without_places(again) == without_places(found.algorithm)


PATHS = st.lists(st.sampled_from(["policy", "sampler", "steps", "optimizer", "learning_rate", "start", "critic", *WORDS]), min_size=1, max_size=4)
VALUES = st.one_of(
    st.sampled_from(NUMBERS + WORDS + ["mlp([1])", "ddpm(steps = 1)", "[]", "linear(1 -> 2, over = 3)", "1 -> 2", "a from b"]),
    st.text(max_size=12),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(shipped_specs())), path=PATHS, value=VALUES)
def test_any_override(name: str, path: list[str], value: str) -> None:
    says_something(resolve(name, sets=[f"{'.'.join(path)}={value}"]))
