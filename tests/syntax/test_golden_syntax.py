"""Every syntax code has malformed examples in ``grammar/malformed``, and their messages are kept word for word.

``FLOWRL_UPDATE_GOLDEN=1 pytest tests/syntax/test_golden_syntax.py`` writes the renderings anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowrl_dsl.codes import CODES, explain
from flowrl_dsl.diagnostics import render_text
from flowrl_dsl.resources import folder
from flowrl_dsl.syntax.parser import parse, parse_file
from flowrl_dsl.syntax.sources import read_source

MALFORMED = sorted((folder("grammar") / "malformed").glob("*.flowrl"))
GOLDEN = Path(__file__).parent.parent / "golden" / "syntax"
SYNTAX_CODES = sorted(code for code in CODES if code.startswith("FRL01"))
# What cannot be a text in a folder of the repository: no file, a folder, an unreadable one, other encodings.
UNREADABLE = ["FRL0101", "FRL0102", "FRL0103", "FRL0104"]


def compare(name: str, text: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("FLOWRL_UPDATE_GOLDEN"):
        golden.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_message_of_malformed_file(path: Path):
    text = path.read_text(encoding="utf-8")
    file, diagnostics = parse(text, path.name)
    assert file is None
    compare(path.stem, render_text(diagnostics, {path.name: text}))


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_every_occurrence_of_a_code_says_what_to_do(path: Path):
    _, diagnostics = parse_file(path)
    assert [d for d in diagnostics if not any(note.strip() for note in d.notes)] == []


@pytest.mark.parametrize("path", [p for p in MALFORMED if "several" not in p.stem], ids=lambda path: path.stem)
def test_one_mistake_gives_one_diagnostic(path: Path):
    _, diagnostics = parse_file(path)
    assert [d.code for d in diagnostics] == [path.stem[:7]]


def test_several_mistakes_are_reported_together():
    _, diagnostics = parse_file(folder("grammar") / "malformed" / "several_mistakes.flowrl")
    statements = ["FRL0111", "FRL0110", "FRL0113", "FRL0126", "FRL0112", "FRL0125", "FRL0132", "FRL0137"]
    assert [d.code for d in diagnostics] == statements


def test_every_code_has_an_example_and_every_example_a_code():
    shown = {path.stem[:7] for path in MALFORMED if path.stem.startswith("FRL")}
    assert sorted(shown | set(UNREADABLE)) == SYNTAX_CODES
    assert {p.stem for p in GOLDEN.glob("*.txt")} == {p.stem for p in MALFORMED} | set(UNREADABLE)


@pytest.mark.parametrize("code", [code for code in SYNTAX_CODES if code not in UNREADABLE])
def test_example_of_code_produces_it(code: str):
    file, diagnostics = parse(CODES[code].example, "example.flowrl")
    assert file is None
    assert [d.code for d in diagnostics] == [code]


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.flowrl").write_text("algorithm mine {}\n")
    Path("folder").mkdir()
    Path("latin1.flowrl").write_bytes(b"# a\nalgorithm caf\xe9 {}\n")
    for code, path in zip(UNREADABLE, ["mien.flowrl", "folder", "no\0name", "latin1.flowrl"], strict=True):
        text, diagnostics = read_source(path)
        assert text is None
        assert parse_file(path) == (None, diagnostics)
        assert [d.code for d in diagnostics] == [code]
        compare(code, render_text(diagnostics, {}))


@pytest.mark.parametrize("code", SYNTAX_CODES)
def test_explanation_is_complete(code: str):
    text = explain(code.lower())
    assert text.startswith(f"{code}: ")
    assert all(part and part == part.strip() for part in (CODES[code].title, CODES[code].cure))
    assert CODES[code].explanation.endswith((".", "?"))


def test_unknown_code_has_no_explanation():
    assert explain("FRL9999") is None
