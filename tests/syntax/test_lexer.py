"""The grammar files define the tokens: what is changed there changes what parses, and every mistake has its message."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrl_dsl.resources import folder
from flowrl_dsl.syntax import lexer
from flowrl_dsl.syntax.lexer import Lexer, language
from flowrl_dsl.syntax.parser import parse
from flowrl_dsl.syntax.slips import SLIPS

TEXT = "algorithm Qsm {  # a comment\n  x1 = 2\n}\n"


@pytest.fixture
def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Replaces a line of ``flowrl.lark``, in a copy of the grammar folder that the parser then reads."""
    copy = tmp_path / "grammar"
    shutil.copytree(folder("grammar"), copy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lexer, "folder", lambda name: tmp_path / name)
    language.cache_clear()

    def alter(terminal: str, pattern: str) -> None:
        lines = (copy / "flowrl.lark").read_text(encoding="utf-8").splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith(f"{terminal}:"))
        lines[place] = f"{terminal}: {pattern}"
        (copy / "flowrl.lark").write_text("\n".join(lines) + "\n", encoding="utf-8")
        language.cache_clear()

    yield alter
    language.cache_clear()


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in parse(text, "test.flowrl")[1]]


def test_an_unaltered_copy_of_the_grammar_reads_the_same(altered):
    assert codes(TEXT) == []


def test_comments_are_what_the_grammar_says(altered):
    altered("COMMENT", r"/%[^\n]*/")
    assert "FRL0120" in codes(TEXT)
    file, diagnostics = parse(TEXT.replace("#", "%"), "test.flowrl")
    assert not diagnostics
    assert [c.text for c in file.comments] == ["% a comment"]


def test_comments_may_be_what_another_terminal_calls_a_mistake(altered):
    altered("COMMENT", r"/\/\/[^\n]*/")
    assert codes(TEXT.replace("#", "//")) == []


@pytest.mark.parametrize(("pattern", "wrong"), [("/[a-z]+/", {"Qsm", "x1"}), (r"/[A-Z][A-Za-z0-9]*(?!\w)/", {"x1"})])
def test_names_are_what_the_grammar_says(altered, pattern: str, wrong: set[str]):
    altered("NAME", pattern)
    assert codes("algorithm qsm { x = 2 }" if "a-z]+/" in pattern else "algorithm Qsm { X = 2 }") == []
    assert len(codes(TEXT)) == len(wrong)


def test_numbers_and_strings_are_what_the_grammar_says(altered):
    altered("NUMBER", r"/[0-9]+(?![\w.])/")
    assert codes("algorithm a { x = 0.5  y = 3 }") == ["FRL0124"]
    altered("STRING", r"/'[^'\n]*'/")
    assert codes("algorithm a 'title' { x = 3 }") == []


@pytest.mark.parametrize("terminal", sorted(language().mistakes))
def test_every_mistake_has_a_message_or_a_meaning(terminal: str):
    assert terminal in SLIPS or terminal.removeprefix("MEANT_") in language().written


def test_every_message_has_a_terminal():
    assert set(SLIPS) <= language().mistakes


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a ** b", "NAME POWER NAME"),
        ("a := 2", "NAME EQUAL NUMBER"),
        ("a => b", "NAME ARROW NAME"),
        ("a \N{MINUS SIGN} \N{INFINITY}", "NAME MINUS INF"),
        ("x // y", "NAME"),
        ("1.2.3 2x .5", "NUMBER NUMBER NUMBER"),
        ("'a' \N{GREEK SMALL LETTER SIGMA}", "STRING NAME"),
        ('f("a, b)', "NAME LPAR STRING RPAR"),
        ("a @$ b", "NAME ERROR NAME"),
    ],
)
def test_what_was_meant_is_read_in_the_place_of_a_mistake(text: str, kinds: str):
    found = Lexer(text, "test")
    assert " ".join(token.type for token in found.tokens[:-1]) == kinds
    assert found.diagnostics.errors


def test_tokens_cover_the_text():
    found = Lexer(TEXT, "test")
    assert [TEXT[t.start_pos : t.end_pos] for t in found.tokens] == ["algorithm", "Qsm", "{", "x1", "=", "2", "}", ""]
    assert [(t.line, t.column) for t in found.tokens[-2:]] == [(3, 1), (4, 1)]
