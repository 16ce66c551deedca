"""The canonical style, case by case; ``test_fuzz`` holds what is true of every tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.resources import shipped_specs, shipped_suites
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.flat import plain_number
from flowrl_dsl.syntax.formatter import WIDTH, format_expression, format_file
from flowrl_dsl.syntax.parser import parse, parse_expression, parse_file
from tests.syntax.programs import HYBRID, NOWHERE, QSM


def formatted(text: str) -> str:
    file, diagnostics = parse(text, "test.flowrl")
    assert not diagnostics
    return format_file(file)


def inside(body: str) -> str:
    """A formatted algorithm's body, without the algorithm around it."""
    lines = formatted(f"algorithm a {{\n{body}\n}}\n").splitlines()[1:-1]
    return "\n".join(line.removeprefix("  ") for line in lines)


@pytest.mark.parametrize("text", [QSM, HYBRID])
def test_canonical_text_stays(text: str):
    assert formatted(text) == text


@pytest.mark.parametrize("path", [*shipped_specs().values(), *shipped_suites().values()], ids=lambda path: path.stem)
def test_shipped_specs_keep_their_meaning(path: Path):
    file, _ = parse_file(path)
    again, diagnostics = parse(format_file(file), str(path))
    assert not diagnostics
    assert again == file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("((a+b))*c", "(a + b) * c"),
        ("(a*b)+c", "a * b + c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a^b)^c", "(a^b)^c"),
        ("a^(b^c)", "a^b^c"),
        ("(-a)^b", "(-a)^b"),
        ("-(a*b)", "-(a * b)"),
        ("-(a^b)", "-a^b"),
        ("--a", "--a"),
        ("(a<b)<c", "(a < b) < c"),
        ("(a->b)->c", "(a -> b) -> c"),
        ("(a from b) + c", "(a from b) + c"),
        ("f( a,b=c , )", "f(a, b = c)"),
        ("[ 256,256, ]", "[256, 256]"),
        ("3e-4 + 200_000 + 0.10", "3e-4 + 200_000 + 0.10"),
        (r'"a\\b\"c"', r'"a\\b\"c"'),
    ],
)
def test_expression(text: str, expected: str):
    expression, diagnostics = parse_expression(text, "test")
    assert not diagnostics
    assert format_expression(expression) == expected


def test_a_number_is_written_anew_when_its_text_is_not_its_value():
    assert format_expression(tree.Number(5, NOWHERE, "4")) == "5"
    assert format_expression(tree.Number(5, NOWHERE, "five")) == "5"
    assert [plain_number(x) for x in (3, 3e-5, 1e22, 0.25, 1.0)] == ["3", "3e-5", "1e22", "0.25", "1.0"]


def test_equal_signs_are_aligned_over_runs():
    assert inside("a=1\nlonger=2\n\nb=3\nc { }\ndd=4\nlet e=5") == (
        "a      = 1\nlonger = 2\n\nb = 3\nc {}\ndd    = 4\nlet e = 5"
    )


def test_blank_lines_are_kept_but_not_doubled():
    assert inside("\n\na = 1\n\n\n\nb = 2\n\n") == "a = 1\n\nb = 2"


def test_short_sections_may_stay_on_their_line():
    assert inside("act { explore=1,evaluate = 2 }") == "act { explore = 1  evaluate = 2 }"
    assert inside("act { explore = 1\n}") == "act {\n  explore = 1\n}"
    assert inside("act { let g = 1 }") == "act {\n  let g = 1\n}"
    assert inside(f"act {{ explore = {'x' * WIDTH} }}") == f"act {{\n  explore = {'x' * WIDTH}\n}}"


def test_long_calls_are_broken():
    arguments = [f"argument_{n} = value_{n}" for n in range(6)]
    assert inside(f"key = f([1, 2], {', '.join(arguments)})") == "\n".join(
        ["key = f(", "  [1, 2],", *(f"  {argument}," for argument in arguments), ")"]
    )


def test_long_sums_are_broken_before_operators():
    terms = [f"coefficient_{n} * value_{n}" for n in range(6)]
    assert inside(f"key = {' + '.join(terms)}") == "\n".join([f"key = {terms[0]}", *(f"  + {term}" for term in terms[1:])])


def test_lines_fit_where_they_can():
    long = ", ".join(f"g(h(argument_{n}), [{n}, {n}], name = -a * (b + c) ^ {n})" for n in range(9))
    text = formatted(f"algorithm a {{ s {{ t {{ key = f({long}) + f({long}) }} }} }}")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_comments_stay_where_they_are():
    text = """\
# about the file

# about the algorithm
algorithm a {  # beside the header
  # above x
  x = 1  # beside x

  # alone

  critic {
    # above network
    network = mlp(
      [256],  # beside an item
      # above an item
      activation = mish,
      # behind the last item
    )
    # last in the section
  }  # beside the section
  # last in the algorithm
}
# last in the file
"""
    assert formatted(text) == text


def test_comments_without_a_place_go_above():
    assert inside("x = # why\n  1 + # really\n  2") == "# why\n# really\nx = 1 + 2"
    assert inside("act { a = 1 # inside\n}") == "act {\n  a = 1  # inside\n}"


def test_definitions():
    assert formatted("def  f( x,y ) = x+y\n\n\ndef g() = 1") == "def f(x, y) = x + y\n\ndef g() = 1\n"


def test_named_sections():
    text = "policy behavior {  # whose data it is\n  a = 1\n  improve imitation {}\n}\nact fast { a = 1 }"
    assert inside(text) == text
