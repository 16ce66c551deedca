"""Findings of a text as it is shown, and the quick fixes of the golden bad programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.diagnostics import Span
from flowrl_dsl.editor.document import Document, View
from flowrl_dsl.editor.findings import findings, fixes
from flowrl_dsl.resources import folder
from tests.editor.helpers import applied, at

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted([*(ROOT / "tests/golden/bad").glob("*.flowrl"), *(ROOT / "grammar/malformed").glob("*.flowrl")])


def _whole(path: Path, text: str) -> Span:
    return Span(str(path), 1, 1, text.count("\n") + 1, len(text) + 1)


def _view(path: Path, text: str) -> View:
    return View(Document(str(path), text))


def _reported(path: Path, text: str) -> list[tuple[str, str]]:
    return [(one.diagnostic.code, one.diagnostic.message) for one in findings(_view(path, text))]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_quick_fix_removes_its_finding(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before = _reported(path, text)
    for fix in fixes(_view(path, text), _whole(path, text)):
        own = fix.finding.diagnostic
        after = _reported(path, applied(text, path, [fix]))
        assert after.count((own.code, own.message)) < before.count((own.code, own.message)), fix.title


FIXED = {
    "FRL0110_missing_comma", "FRL0111_missing_equal", "FRL0113_missing_parenthesis", "FRL0114_unmatched_parenthesis",
    "FRL0116_missing_brace_at_the_end", "FRL0117_at_the_end", "FRL0120_greek", "FRL0122_single_quotes",
    "FRL0124_no_digit_before_the_point", "FRL0126_improv", "FRL0127_reserved_word", "FRL0129_extends_without_quotes",
    "FRL0137_no_star",
}  # fmt: skip
"""Malformed texts with an obvious cure."""


def test_obvious_cures_are_offered() -> None:
    offered = {path.stem for path in PROGRAMS if fixes(_view(path, text := path.read_text()), _whole(path, text))}
    assert offered >= FIXED
    codes = {name.partition("_")[0] for name in offered}
    assert codes >= {
        "FRL0202",
        "FRL0207",
        "FRL0208",
        "FRL0211",
        "FRL0219",
        "FRL0232",
        "FRL0242",
        "FRL0243",
        "FRL0247",
        "FRL0248",
    }
    assert len(codes) > 25


def test_fixes_of_the_place_alone() -> None:
    text = "algorithm x {\n  polcy { backbone = difusion  sampler = ddpm(10) }\n  improv imitation { }\n}\n"
    view = at(text)[0]
    line = Span(view.path, 2, 3, 2, 3)
    assert [fix.title for fix in fixes(view, line)] == ["replace polcy by policy"]
    (fix,) = fixes(view, Span(view.path, 3, 1, 3, 5))
    assert fix.title == "replace improv by improve" and fix.finding.diagnostic.code == "FRL0126"


def test_a_name_inside_of_a_definition_is_not_replaced_at_its_call() -> None:
    """The place of the error is the call; its text is not what the note would replace."""
    body = "def f(q) = mena(q, over = ensemble)\n  improve score_matching { target = f(Q(s, a)) * a }"
    view = at(f'algorithm x extends "qsm.flowrl" {{\n  {body}\n}}')[0]
    (found,) = [one for one in findings(view) if "mena" in one.message]
    assert found.span.line == 3 and 'did you mean "mean"?' in found.message
    assert fixes(view, Span(view.path, 1, 1, 9, 1)) == []


def test_findings_of_a_spec_that_is_extended(tmp_path: Path) -> None:
    (tmp_path / "base.flowrl").write_text('algorithm base extends "qsm.flowrl" {\n  act { explor = mean }\n}\n')
    view = at('algorithm child extends "base.flowrl" { }', str(tmp_path / "child.flowrl"))[0]
    (found,) = findings(view)
    assert (found.span.line, found.span.column, found.span.end_column) == (1, 25, 38)
    assert found.elsewhere is not None and found.elsewhere.line == 2 and f"{found.elsewhere}: " in found.message
    assert fixes(view, found.span) == []


def test_unsaved_texts_are_read_instead_of_files(tmp_path: Path) -> None:
    base, child = tmp_path / "base.flowrl", tmp_path / "child.flowrl"
    base.write_text("not a spec")
    good = 'algorithm base extends "qsm.flowrl" { param speed = 1 in (0, 2] }'
    text = 'algorithm child extends "./base.flowrl" { improve speed * score_matching { } }'
    assert findings(View(Document(str(child), text)))
    assert findings(View(Document(str(child), text), {str(base): good})) == []


def test_the_standard_library_has_no_findings_of_its_own() -> None:
    path = folder("grammar") / "stdlib.flowrl"
    text = path.read_text(encoding="utf-8")
    assert findings(_view(path, text)) == []
    assert [one.diagnostic.code for one in findings(_view(path, text.replace("def top1(q)", "def top1(q")))] == ["FRL0113"]


def test_a_broken_plugin_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowrl_dsl import plugins
    from flowrl_dsl.diagnostics import Diagnostic, DiagnosticError

    def broken(*_: object, **__: object) -> None:
        raise DiagnosticError([plugins._broken("mine", "mine.module", ImportError("no"))])

    monkeypatch.setattr("flowrl_dsl.editor.document.check_file", broken)
    (found,) = findings(at("algorithm x { }")[0])
    assert isinstance(found.diagnostic, Diagnostic) and found.diagnostic.code == "FRL0407"
    assert (found.span.line, found.span.column) == (1, 1)


def test_findings_of_a_suite(tmp_path: Path) -> None:
    text = 'suite a {\n  specs = [sac]\n  tasks = ["Hopper-v5"]\n  seeds = 1\n  budget = b\n  budget b {}\n}\n'
    assert findings(View(Document(str(tmp_path / "a.flowrl"), text))) == []
    (found,) = findings(View(Document(str(tmp_path / "a.flowrl"), text.replace("= b\n", "= c\n"))))
    assert found.diagnostic.code == "FRL0273"
