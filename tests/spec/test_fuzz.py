"""Mutated specs, as words and as trees: a finding or an algorithm, never an exception."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import combining

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrl_dsl.diagnostics import Span, render_json, render_text
from flowrl_dsl.registry import families
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.show import show
from flowrl_dsl.spec.suites.resolve import SuiteResolution, check_file, resolve_suite
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from tests.spec.helpers import algorithm_of, without_places

TEXTS = [path.read_text(encoding="utf-8") for path in shipped_specs().values()]
TOKEN = re.compile(r'\s*(#[^\n]*\n|"[^"\n]*"|->|[<>=!]=|[A-Za-z_]\w*|[0-9][0-9_.eE]*|\S)')
WORDS = sorted(
    {name for members in families().values() for name in members}
    | set(
        [
            "policy",
            "old_policy",
            "none",
            "every",
            "over",
            "wrt",
            "s",
            "a",
            "a_t",
            "Q",
            "grad",
            "softmax",
            "mean",
            "temperature",
            "batch",
            "particle",
            "ensemble",
        ]
    )
    | set(["action", "let", "param", "def", "improve", "true", "inf", "x", "A", "N"])
)
NUMBERS = ["0", "1", "-1", "0.5", "1e400", "1e-30", "999999999999999999999", "2.5", "(1 / 0)", "(2 ^ 9999)"]
EXTRA = ["->", "[", "]", "(", ")", "{", "}", "=", ",", "+", "*", "^", "-", "<", "from policy", '"text"', "for task"]
MUTATIONS = ("delete", "double", "swap", "insert", "rename", "rename", "rename", "number", "number")


@st.composite
def mutated(draw: st.DrawFn, texts: Sequence[str] = TEXTS) -> str:
    """A shipped spec, or one of these texts, after one to four changes of its words."""
    tokens = TOKEN.findall(draw(st.sampled_from(texts)))
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


def says_something(found: Resolution | SuiteResolution) -> None:
    """Every error has a code and a place that can be shown; without errors there is an algorithm or a suite."""
    whole = found.suite if isinstance(found, SuiteResolution) else found.algorithm
    assert (whole is None) == bool(found.diagnostics.errors)
    for diagnostic in found.diagnostics:
        assert re.fullmatch(r"FRL\d{4}", diagnostic.code) and diagnostic.message
        assert diagnostic.span is not None and diagnostic.span.file in found.sources
    render_text(found.diagnostics, found.sources)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated())
def test_mutated_specs(folder: Path, text: str) -> None:
    path = folder / "mutated.flowrl"
    path.write_text(text, encoding="utf-8")
    found = resolve(str(path), task="Hopper-v5")
    says_something(found)
    shown_again(folder, found)


SUITE = """suite fuzz "Two groups" {
  specs  = [sac, "qsm"]
  tasks  = ["Hopper-v5", "dm_control/walker-run"]
  seeds  = [0, 2]
  budget = small
  budget small { steps = 20_000  for task "dm_control/*" { steps = 10_000 } }
  budget smoke { steps = 300  evaluate_every = 100 }
  train { batch = 64 }
  for task "Hopper-v5" { critic { network = mlp([128]) } }
  group denoising {
    specs = [qsm]
    seeds = 2
    policy { sampler { steps = 5 } }
    param temperature = 0.2
    order = critic -> policy -> targets
  }
  group plain {}
}
"""
SUITE_WORDS = ("suite", "specs", "tasks", "seeds", "budget", "group", "sac", "qsm", "small", "for task", "extends")


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated([SUITE]), word=st.sampled_from(SUITE_WORDS), at=st.integers(0, 90), insert=st.booleans())
def test_mutated_suites(folder: Path, text: str, word: str, at: int, insert: bool) -> None:
    tokens = text.split(" ")
    tokens[at : at if insert else at + 1] = [word]
    path = folder / "mutated_suite.flowrl"
    path.write_text(" ".join(tokens), encoding="utf-8")
    says_something(check_file(str(path)))
    says_something(resolve_suite(str(path)))


def shown_again(folder: Path, found: Resolution) -> None:
    """What resolves can be shown, and resolves to the same again."""
    if found.algorithm is not None:
        (folder / "shown.flowrl").write_text(show(found.algorithm), encoding="utf-8")
        again = algorithm_of(resolve(str(folder / "shown.flowrl")))
        assert without_places(again) == without_places(found.algorithm)


def rebuild(node: Any, change: Callable[[Any], Any]) -> Any:
    """The tree with ``change`` applied to every tuple, statement and expression, innermost first."""
    if isinstance(node, tuple):
        return change(tuple(rebuild(item, change) for item in node))
    if not is_dataclass(node) or isinstance(node, Span | tree.Comment):
        return node
    parts = {f.name: rebuild(getattr(node, f.name), change) for f in fields(node)}
    return change(replace(node, **parts))


EXPRESSIONS = tuple(tree.Expr.__args__)
STATEMENTS = tuple(tree.Statement.__args__)


@st.composite
def mutated_tree(draw: st.DrawFn) -> str:
    """A shipped spec with expressions put in place of others, and statements dropped, doubled or moved."""
    one, other = (parse(draw(st.sampled_from(TEXTS)), "fuzz")[0] for _ in range(2))
    found: list[Any] = []
    rebuild(one, lambda node: found.append(node) or node)
    rebuild(other, lambda node: found.append(node) or node)
    expressions = [node for node in found if isinstance(node, EXPRESSIONS)]
    statements = [node for node in found if isinstance(node, STATEMENTS)]
    for _ in range(draw(st.integers(1, 3))):
        old = draw(st.sampled_from(expressions))
        # Names and strings also stand where nothing else can: as keys, titles, tasks.
        like = type(old) if isinstance(old, tree.Name | tree.String) else object
        new = draw(st.sampled_from([node for node in expressions if isinstance(node, like)]))
        statement, more = draw(st.sampled_from(statements)), draw(st.sampled_from(statements))
        match draw(st.sampled_from(("expression", "expression", "name", "drop", "add"))):
            case "expression":
                one = rebuild(one, lambda node, old=old, new=new: new if node == old else node)
            case "name" if isinstance(old, tree.Name):
                word = tree.Name(draw(st.sampled_from(WORDS)), NOWHERE)
                one = rebuild(one, lambda node, old=old, word=word: word if node == old else node)
            case "drop":
                one = rebuild(one, lambda node, gone=statement: _without(node, gone))
            case "add":
                one = rebuild(one, lambda node, at=statement, new=more: _after(node, at, new))
    return format_file(replace(one, comments=()))


NOWHERE = Span("fuzz", 1, 1, 1, 1)


def _without(node: Any, gone: Any) -> Any:
    return tuple(item for item in node if item != gone) if isinstance(node, tuple) else node


def _after(node: Any, at: Any, new: Any) -> Any:
    if not isinstance(node, tuple) or at not in node:
        return node
    position = node.index(at) + 1
    return (*node[:position], new, *node[position:])


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated_tree())
def test_mutated_trees(folder: Path, text: str) -> None:
    path = folder / "mutated.flowrl"
    path.write_text(text, encoding="utf-8")
    found = resolve(str(path), task="Hopper-v5")
    says_something(found)
    shown_again(folder, found)


HEADS = ["policy", "sampler", "steps", "optimizer", "learning_rate", "start", "critic"]
PATHS = st.lists(st.sampled_from(HEADS + WORDS), min_size=1, max_size=4)
CALLS = ["mlp([1])", "ddpm(steps = 1)", "[]", "linear(1 -> 2, over = 3)", "1 -> 2", "a from b"]
VALUES = st.one_of(st.sampled_from(NUMBERS + WORDS + CALLS), st.text(max_size=12))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(shipped_specs())), path=PATHS, value=VALUES)
def test_any_override(name: str, path: list[str], value: str) -> None:
    says_something(resolve(name, sets=[f"{'.'.join(path)}={value}"]))


NAMES_OF_NO_FILE = [
    "zero\0byte",
    "long" * 100,
    "deep/" * 2_000,
    "C:\\\\spec",
    "C:/spec",
    "CON",
    "NUL.flowrl",
    "/dev/null",
    "/dev/zero",
    "..",
    "/",
    "~",
    "-",
    "",
    "\x1b[2J",
    "line\\nbreak",
]
ANY_NAME = st.one_of(
    st.sampled_from(NAMES_OF_NO_FILE), st.text(st.characters(exclude_characters='"\\\n', exclude_categories=["Cs"]))
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=ANY_NAME)
def test_any_name_of_a_base(folder: Path, name: str) -> None:
    """A name after ``extends`` that no file system holds is one of a file that is not there."""
    path = folder / "child.flowrl"
    path.write_text(f'algorithm child extends "{name}" {{ }}\n', encoding="utf-8")
    found = resolve(str(path))
    says_something(found)
    shown = render_text(found.diagnostics, found.sources)
    assert all(letter.isprintable() or letter == "\n" or combining(letter) for letter in shown)
    assert len(shown) < 1_000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.one_of(ANY_NAME.filter(lambda name: name != "-"), st.text(max_size=20)))
def test_any_name_of_a_file(name: str) -> None:
    """Standard input aside, what is no path of a spec is reported, lone surrogates and zero bytes included."""
    found = resolve(name)
    assert (found.algorithm is None) == bool(found.diagnostics.errors)
    render_text(found.diagnostics, found.sources).encode("utf-8")
    render_json(found.diagnostics)
