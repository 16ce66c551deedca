"""What the parser makes of valid text, where it says things are, and that nothing makes it raise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl.resources import folder, shipped_specs
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.lexer import MOST_ERRORS
from flowrl_dsl.syntax.parser import parse, parse_expression, parse_file
from flowrl_dsl.syntax.sources import read_source
from tests.syntax.programs import HYBRID, NOWHERE, QSM


def name(text: str) -> tree.Name:
    return tree.Name(text, NOWHERE)


def number(value) -> tree.Number:
    return tree.Number(value, NOWHERE)


def binary(operator: str, left, right) -> tree.Binary:
    return tree.Binary(operator, left, right, NOWHERE)


def negative(operand) -> tree.Unary:
    return tree.Unary(operand, NOWHERE)


def call(function: str, *values, **named) -> tree.Call:
    arguments = [tree.Argument(None, value, NOWHERE) for value in values]
    arguments += [tree.Argument(name(key), value, NOWHERE) for key, value in named.items()]
    return tree.Call(name(function), tuple(arguments), NOWHERE)


def expression(text: str) -> tree.Expr:
    found, diagnostics = parse_expression(text, "expression")
    assert not diagnostics
    return found


def algorithm(body: str) -> tree.Algorithm:
    file, diagnostics = parse(f"algorithm a {{ {body} }}", "test.flowrl")
    assert not diagnostics
    return file.algorithm


A, B, C = name("a"), name("b"), name("c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a - b - c", binary("-", binary("-", A, B), C)),
        ("a + b * c", binary("+", A, binary("*", B, C))),
        ("(a + b) * c", binary("*", binary("+", A, B), C)),
        ("a / b * c", binary("*", binary("/", A, B), C)),
        ("a ^ b ^ c", binary("^", A, binary("^", B, C))),
        ("-a ^ b", negative(binary("^", A, B))),
        ("(-a) ^ b", binary("^", negative(A), B)),
        ("a ^ -b", binary("^", A, negative(B))),
        ("-a * b", binary("*", negative(A), B)),
        ("a + b >= c", binary(">=", binary("+", A, B), C)),
        ("(a < b) == c", binary("==", binary("<", A, B), C)),
        ("a + b from c", tree.From(binary("+", A, B), C, NOWHERE)),
        ("a -> b -> c", tree.Arrow((A, B, C), NOWHERE)),
        ("a -> b from c", tree.Arrow((A, tree.From(B, C, NOWHERE)), NOWHERE)),
        ("(a -> b) -> c", tree.Arrow((tree.Arrow((A, B), NOWHERE), C), NOWHERE)),
        ("f()", call("f")),
        ("f(a, b = c,)", call("f", A, b=C)),
        ("f(a -> b, c = a < b)", call("f", tree.Arrow((A, B), NOWHERE), c=binary("<", A, B))),
        ("[]", tree.List((), NOWHERE)),
        ("[a, [b],]", tree.List((A, tree.List((B,), NOWHERE)), NOWHERE)),
        ("true", tree.Boolean(True, NOWHERE)),
        ("inf", name("inf")),
        (r'"a \"quoted\" \\ \n word"', tree.String('a "quoted" \\ \n word', NOWHERE)),
        ("200_000", number(200_000)),
        ("3e-4", number(3e-4)),
        ("1_0.5_0E+2", number(1050.0)),
    ],
)
def test_expression(text: str, expected: tree.Expr):
    assert expression(text) == expected


def test_integers_stay_integers():
    assert isinstance(expression("3").value, int)
    assert isinstance(expression("3.0").value, float)
    assert expression("200_000").text == "200_000"


def test_statements():
    body = algorithm(
        """
        x = 1, y = f(2)  z = w
        param p = 0.1 in [-1, inf)
        param q = 2
        let g = x  def half(u, v,) = u / v
        empty { }
        improve m { }
        improve 0.5 * m { }
        improve w * m { a = 1 }
        improve (1 - w) * m { }
        improve linear(1 -> 0, over = 9) * m { }
        for task "A", "B", { x = 2 }
        """
    ).body
    kinds = "Assign Assign Assign Param Param Let Define Section Improve Improve Improve Improve Improve ForTask"
    assert [type(statement).__name__ for statement in body] == kinds.split()
    assert body[3].range == tree.Range(-1, None, False, True, NOWHERE)
    assert body[4].range is None
    assert [p.id for p in body[6].parameters] == ["u", "v"]
    assert [s.weight for s in body[8:12]] == [None, number(0.5), name("w"), binary("-", number(1), name("w"))]
    assert body[12].weight == expression("linear(1 -> 0, over = 9)")
    assert [task.value for task in body[13].tasks] == ["A", "B"]


def test_sections_may_have_names_and_improve_blocks():
    text = 'policy behavior { x = 1 improve imitation { } } policy { } for task "A" { policy behavior { x = 2 } }'
    named, plain, task = algorithm(text).body
    assert (named.name.id, named.given, plain.given) == ("policy", name("behavior"), None)
    assert [block.mechanism.id for block in named.improvements] == ["imitation"]
    assert (named.given.span.column, named.given.span.end_column) == (22, 30)
    assert task.body[0].given == name("behavior")


def test_header():
    file, _ = parse('algorithm a "Title" extends "b.flowrl" {}', "test.flowrl")
    assert (file.algorithm.title.value, file.algorithm.base.value) == ("Title", "b.flowrl")
    file, _ = parse('algorithm a extends "b.flowrl" {}', "test.flowrl")
    assert (file.algorithm.title, file.algorithm.base.value) == (None, "b.flowrl")


def test_library_of_definitions():
    file, diagnostics = parse("def one() = 1\ndef same(x) = x\n", "library.flowrl")
    assert not diagnostics
    assert file.algorithm is None
    assert [d.name.id for d in file.definitions] == ["one", "same"]


def test_spans_cover_what_was_written():
    file, _ = parse(QSM, "qsm.flowrl")
    lines = QSM.split("\n")
    improve = file.algorithm.body[5]
    target = improve.body[1]
    assert (target.span.line, target.span.column, target.span.end_line) == (22, 5, 22)
    assert lines[21][target.value.span.column - 1 : target.value.span.end_column - 1] == (
        "-sigma * g / (temperature * mean(abs(g)))"
    )
    denominator = target.value.right.span
    assert lines[21][denominator.column - 1 : denominator.end_column - 1] == "(temperature * mean(abs(g)))"
    assert (improve.span.line, improve.span.end_line, improve.span.end_column) == (20, 23, 4)
    assert (file.algorithm.span.line, file.algorithm.span.end_line) == (1, 26)
    assert str(target.span) == "qsm.flowrl:22:5"


def test_comments_know_whether_code_stands_before_them():
    file, _ = parse(HYBRID, "hybrid.flowrl")
    assert [(c.text, c.trailing) for c in file.comments] == [
        ("# A hybrid nobody has published.", False),
        ("# the learned score", True),
    ]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path):
    path = tmp_path / "windows.flowrl"
    path.write_bytes(b"\xef\xbb\xbf" + QSM.replace("\n", "\r\n").encode())
    file, diagnostics = parse_file(path)
    assert not diagnostics
    assert file == parse(QSM, "qsm.flowrl")[0]
    assert file.algorithm.body[0].span.line == 2


def test_text_of_a_file(tmp_path: Path):
    path = tmp_path / "qsm.flowrl"
    path.write_text(QSM, encoding="utf-8")
    assert read_source(path) == (QSM, [])


@pytest.mark.parametrize("path", shipped_specs().values(), ids=lambda path: path.stem)
def test_shipped_spec_parses(path: Path):
    assert parse_file(path)[1] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "FRL0112"),
        ("1 +", "FRL0112"),
        ("f(1 2)", "FRL0110"),
        ("f(1", "FRL0113"),
        ("1 2", "FRL0139"),
        ("x = 3", "FRL0135"),
        ("{}", "FRL0139"),
        ("algorithm", "FRL0127"),
        ("0 < 1 < 2", "FRL0130"),
        ("f(a = 1, a = 2)", "FRL0132"),
    ],
)
def test_bad_expression(text: str, code: str):
    found, diagnostics = parse_expression(text, "--set x")
    assert found is None
    assert [d.code for d in diagnostics] == [code]


@pytest.mark.parametrize("levels", [99, 100, 101, 10_000])
@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("[", "]"), ("-", ""), ("f(", ")")])
def test_deep_nesting(opening: str, closing: str, levels: int):
    found, diagnostics = parse_expression(opening * levels + "x" + closing * levels, "deep")
    if levels <= 100:
        assert not diagnostics
        assert hash(found) == hash(found)
    else:
        assert [d.code for d in diagnostics] == ["FRL0131"]


@pytest.mark.parametrize(("mistakes", "reported"), [(300, 300), (MOST_ERRORS + 1, MOST_ERRORS)])
def test_broken_files_give_a_bounded_number_of_errors(mistakes: int, reported: int):
    _, diagnostics = parse("algorithm a {" + "\nx = " * mistakes + "\n}", "broken")
    assert len(diagnostics) == reported


def test_mistakes_behind_a_broken_header_are_found():
    text = "algorithm q-sm {\n  improve 1 + 2 * m {\n    x = f(1 2)\n  }\n  y z\n}\n"
    _, diagnostics = parse(text, "test.flowrl")
    assert [d.code for d in diagnostics] == ["FRL0128", "FRL0137", "FRL0110", "FRL0111"]


def test_the_parser_needs_only_lark():
    """``check`` answers at once because nothing slow is imported on the way."""
    script = (
        "import sys; from flowrl_dsl.syntax.parser import parse_file; "
        "print([m for m in ('jax', 'numpy', 'pydantic') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=folder("grammar").parent, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr
