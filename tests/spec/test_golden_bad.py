"""Every code of meaning and advice has bad programs in ``tests/golden/bad``; their messages are kept word for word.

A program's first lines may hold ``# --set path=value`` and ``# --task name``.
``FLOWRL_UPDATE_GOLDEN=1 pytest tests/spec/test_golden_bad.py`` writes the renderings anew; read the diff.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from flowrl_dsl.codes import CODES
from flowrl_dsl.diagnostics import render_text
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.suites.resolve import SuiteResolution, check_file

BAD = Path(__file__).parent.parent / "golden" / "bad"
PROGRAMS = sorted(BAD.glob("*.flowrl"))
OWN_CODES = sorted(code for code in CODES if code.startswith(("FRL02", "FRL03")))


def resolved(text: str, name: str) -> Resolution | SuiteResolution:
    """The program as its leading comments ask for it; called in the folder that holds it."""
    head = [line[2:].split(maxsplit=1) for line in text.splitlines() if line.startswith("# --")]
    sets = [value for option, value in head if option == "--set"]
    task = next((value for option, value in head if option == "--task"), None)
    return resolve(name, task=task, sets=sets) if sets or task else check_file(name)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_messages_of_a_bad_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    found = resolved(path.read_text(encoding="utf-8"), path.name)
    text = render_text(found.diagnostics, found.sources) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("FLOWRL_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    whole = found.suite if isinstance(found, SuiteResolution) else found.algorithm
    assert (whole is None) == bool(found.diagnostics.errors)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_occurrence_of_a_code_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    found = resolved(path.read_text(encoding="utf-8"), path.name)
    assert [d for d in found.diagnostics if not any(note.strip() for note in d.notes)] == []


@pytest.mark.parametrize("path", [p for p in PROGRAMS if p.stem.startswith("FRL")], ids=lambda path: path.stem)
def test_one_mistake_gives_one_kind_of_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    found = resolved(path.read_text(encoding="utf-8"), path.name)
    assert {d.code for d in found.diagnostics} == {path.stem[:7]}
    assert all(d.span is not None and d.span.file in found.sources for d in found.diagnostics)


def test_every_code_has_a_bad_program_and_every_bad_program_a_code() -> None:
    assert sorted({path.stem[:7] for path in PROGRAMS if path.stem.startswith("FRL")}) == OWN_CODES
    assert {p.stem for p in BAD.glob("*.txt")} == {p.stem for p in PROGRAMS}
    assert len([code for code in OWN_CODES if code.startswith("FRL02")]) >= 30
    assert len([code for code in OWN_CODES if code.startswith("FRL03")]) >= 12


@pytest.mark.parametrize("code", OWN_CODES)
def test_example_of_a_code_brings_it_about(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = CODES[code].example
    if example.startswith("flowrl-dsl check "):
        _, _, spec, *options = shlex.split(example)
        found: Resolution | SuiteResolution = resolve(spec, sets=options[1::2])
    else:
        Path("example.flowrl").write_text(example, encoding="utf-8")
        found = check_file("example.flowrl")
    assert [d.code for d in found.diagnostics] == [code]


def test_codes_are_explained() -> None:
    for code in OWN_CODES:
        entry = CODES[code]
        assert all((entry.title, entry.explanation, entry.example, entry.cure)), code
        assert entry.title[0].islower() or entry.title.startswith("--set"), code


def test_all_errors_of_a_file_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    found = resolve("several_errors.flowrl")
    numbers = [8, 11, 13, 13, 14, 14, 14, 20, 32, 46, 47]
    assert sorted(d.code for d in found.diagnostics.errors) == [f"FRL02{number:02}" for number in numbers]
