"""What holds for every text and every tree."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrl_dsl.diagnostics import Span, render_json, render_text
from flowrl_dsl.syntax.formatter import format_expression, format_file
from flowrl_dsl.syntax.lexer import Lexer, language
from flowrl_dsl.syntax.parser import parse, parse_expression
from tests.syntax.programs import HYBRID, QSM, expressions, files

WORDS = [*language().written.values(), "x", "g", "256", "3e-4", '"Hopper-v5"', "# note\n", "\n", "\n  ", "\n    "]
SLIPS = [
    "@",
    ";",
    "'",
    '"',
    "1.2.",
    "\\",
    "\0",
    "\t",
    "\N{GREEK SMALL LETTER SIGMA}",
    "→",
    "界",
    "\r\n",
    "improv",
    "\N{COMBINING ACUTE ACCENT}",
]
soups = st.lists(st.sampled_from(WORDS + SLIPS), max_size=40).map(" ".join)


@st.composite
def mangled(draw) -> str:
    """A valid program with a few tokens dropped, doubled, exchanged or replaced."""
    text = draw(st.sampled_from([QSM, HYBRID]))
    for _ in range(draw(st.integers(1, 3))):
        tokens = Lexer(text, "mangled").tokens
        first, second = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        new = draw(st.sampled_from(["", f"{first} {first}", str(second), *SLIPS]))
        text = text[: first.start_pos] + new + text[first.end_pos :]
    return text


def check_any_text(text: str) -> None:
    found, diagnostics = parse_expression(text, "any")
    assert (found is None) == bool(diagnostics)
    file, diagnostics = parse(text, "any")
    assert (file is None) == bool(diagnostics)
    for diagnostic in diagnostics:
        check_inside(diagnostic.span, text)
    assert len(render_text(diagnostics, {"any": text}).split("\n\n")) >= (1 if diagnostics else 0)
    render_json(diagnostics)


def check_inside(span: Span, text: str) -> None:
    lines = text.split("\n")
    assert 1 <= span.line <= span.end_line <= len(lines)
    assert (span.line, span.column) <= (span.end_line, span.end_column)
    assert 1 <= span.column <= len(lines[span.line - 1]) + 1
    assert 1 <= span.end_column <= len(lines[span.end_line - 1]) + 1


@settings(max_examples=150, deadline=None)
@given(soups)
def test_token_soup(text: str):
    check_any_text(text)
    check_any_text(f"algorithm soup {{ {text} }}")


@settings(max_examples=100, deadline=None)
@given(mangled())
def test_mangled_programs(text: str):
    check_any_text(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
@example("\ufeff")
@example("\ud800")
@example("\0" * 300)
@example("(" * 10_000)
@example("algorithm a { x = " + "-" * 2_000 + "1 }")
@example("algorithm a { x = 1" + " + 1" * 2_000 + " }")
@example("algorithm a { x = 1" + "^1" * 2_000 + " }")
@example("algorithm a " + "{ a " * 2_000)
@example("x = " * 300)
@example("}" * 300)
@example("algorithm a { x = [" + "1 " * 300 + "] }")
@example("9" * 10_000)
@example("algorithm a { x { algorithm b - { algorithm c * { } } }")
@example("algorithm a {\n  x\nalgorithm b }")
def test_any_text(text: str):
    check_any_text(text)


def test_one_dropped_or_foreign_token_gives_at_most_one_error():
    for program in (QSM, HYBRID):
        for token in Lexer(program, "program").tokens[:-1]:
            for new in ("", "@"):
                text = program[: token.start_pos] + new + program[token.end_pos :]
                _, diagnostics = parse(text, "slip")
                assert len(diagnostics) <= 1 + (new == "@" and token == "{"), render_text(diagnostics, {"slip": text})


@settings(max_examples=100, deadline=None)
@given(files)
def test_formatting_a_tree_keeps_it(file):
    text = format_file(file)
    again, diagnostics = parse(text, "formatted")
    assert not diagnostics, text
    assert again == file
    assert format_file(again) == text


@settings(max_examples=100, deadline=None)
@given(expressions)
def test_formatting_an_expression_keeps_it(expression):
    again, diagnostics = parse_expression(format_expression(expression), "formatted")
    assert not diagnostics
    assert again == expression


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([QSM, HYBRID]), st.data())
def test_formatting_keeps_comments(program: str, data):
    """Comments and line breaks between any two tokens."""
    tokens = Lexer(program, "program").tokens
    fillers = st.sampled_from(["# one\n", "\n# two\n", "\n\n\n# three \n\n", "\n", "\n\n\n"])
    places = data.draw(st.lists(st.sampled_from(tokens), max_size=6, unique_by=lambda t: t.start_pos))
    text = program
    for token in sorted(places, key=lambda t: -t.start_pos):
        text = text[: token.start_pos] + data.draw(fillers) + text[token.start_pos :]
    file, diagnostics = parse(text, "text")
    assert not diagnostics
    formatted = format_file(file)
    again, diagnostics = parse(formatted, "formatted")
    assert not diagnostics
    assert again == file
    assert Counter(c.text for c in again.comments) == Counter(c.text for c in file.comments)
    assert format_file(again) == formatted
