"""Definitions, references and renaming, through the specs that a text extends and those that extend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.editor.document import Document, View
from flowrl_dsl.editor.navigation import definition, references
from flowrl_dsl.editor.renaming import rename
from flowrl_dsl.resources import folder, shipped_specs
from flowrl_dsl.spec.resolve import resolve
from tests.editor.helpers import SPECS, applied, at, in_spec

SHIPPED = {name: str(path) for name, path in shipped_specs().items()}
LIBRARY = str(folder("grammar") / "stdlib.flowrl")


def _text_at(span) -> str:
    lines = Path(span.file).read_text().split("\n")
    return lines[span.line - 1][span.column - 1 :]


DEFINITIONS = [
    ("qsm", "scale = tempera‸ture", "qsm", "temperature = 0.1"),
    ("qsm", "-sigma * ‸g / scale", "qsm", "g     = grad"),
    ("qsm_dpmd", "shortened(g / temper‸ature, 3)", "dpmd", "temperature ="),
    ("qsm_dpmd", "parti‸cles = 32", "dpmd", "particles"),
    ("qsm_dpmd", "improve weighted_regr‸ession {", "dpmd", "improve weighted_regression"),
    ("qsm_dpmd", "shor‸tened(g", LIBRARY, "shortened(v, reach)"),
    ("qsm_dpmd", 'extends "dpmd‸.flowrl"', "dpmd", "#"),
    ("qsm", "ddp‸m(steps", "ddpm.py", "@register"),
    ("qsm", "crit‸ic { network = mlp([256, 256])", "critic.py", "@register"),
    ("dime_redq", "extends \"di‸me.flowrl\"", "dime", "#"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "words", "file", "text"), DEFINITIONS, ids=[words for _, words, _, _ in DEFINITIONS])
def test_definitions(name: str, words: str, file: str, text: str) -> None:
    (found,) = definition(*in_spec(name, words))
    assert found.file == SHIPPED.get(file, found.file) and found.file.endswith(SHIPPED.get(file, file))
    assert _text_at(found).startswith(text)


@pytest.mark.parametrize(
    "text", ["algorithm ‸x {}", "# x‸", 'algorithm x extends "no‸" {}', "algorithm x { act { explore = nothi‸ng } }", "‸"]
)
def test_no_definition(text: str) -> None:
    assert definition(*at(text)) == []


BASE = """algorithm base extends "qsm.flowrl" {
  param strength = 0.5 in (0, 1]
  def scaled(x, y) = y * strength * x
  improve score_matching {
    let direction = grad(mean(Q(s, a_t), over = ensemble), wrt = a_t)
    target = scaled(direction, 2)
  }
}
"""
CHILD = """algorithm child extends "base.flowrl" {
  param strength = 0.7
  improve score_matching { target = scaled(direction, strength) + scaled(x = direction, y = 1) }
  for task "a" { param strength = 0.2 }
}
"""
OTHER = """algorithm other extends "base.flowrl" {
  improve score_matching {
    let bound = strength
    target = -sigma * direction / bound
  }
}
"""
APART = (
    'algorithm apart extends "qsm.flowrl" {\n  param strength = 1 in (0, 2]\n  improve strength * score_matching { }\n}\n'
)
FILES = {"base": BASE, "child": CHILD, "other": OTHER, "apart": APART}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / f"{name}.flowrl").write_text(text)
    return tmp_path


def _views(workspace: Path) -> dict[str, View]:
    return {name: View(Document(str(workspace / f"{name}.flowrl"), text)) for name, text in FILES.items()}


def _asked(workspace: Path, name: str, words: str):
    view, place = at(FILES[name].replace(words.replace("‸", ""), words, 1), str(workspace / f"{name}.flowrl"))
    others = [other for key, other in _views(workspace).items() if key != name]
    return view, others, place


def _rename(workspace: Path, name: str, words: str, new: str) -> dict[str, str]:
    view, others, place = _asked(workspace, name, words)
    changes = rename(view, others, place, new)
    return {name: applied(text, workspace / f"{name}.flowrl", changes) for name, text in FILES.items()}


def test_the_files_are_valid(workspace: Path) -> None:
    for name in FILES:
        assert resolve(str(workspace / f"{name}.flowrl")).diagnostics.errors == [], name


@pytest.mark.parametrize("words", ["param stren‸gth = 0.5", "y * stren‸gth"])
def test_references_reach_every_spec_that_sees_the_name(workspace: Path, words: str) -> None:
    view, others, place = _asked(workspace, "base", words)
    found = references(view, others, place)
    names = [Path(span.file).stem for span in found]
    assert names == ["base"] * 2 + ["child"] * 3 + ["other"]
    without = references(view, others, place, declarations=False)
    assert [Path(span.file).stem for span in without] == ["base", "child", "child", "child", "other"]


def test_references_to_the_library() -> None:
    view, place = in_spec("qsm_dpmd", "shor‸tened(g")
    others = [View(Document(SHIPPED[name], SPECS[name])) for name in ("rfm", "qsm")]
    assert {Path(span.file).stem for span in references(view, others, place)} == {"qsm_dpmd"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("base", "param stren‸gth"),
        ("child", "scaled(direction, ‸strength)"),
        ("other", "let bound = strength‸"),
        ("child", "{ param ‸strength"),
    ],
)
def test_a_parameter_is_renamed_in_every_spec_that_sees_it(workspace: Path, name: str, words: str) -> None:
    after = _rename(workspace, name, words, "eagerness")
    expected = {key: text if key == "apart" else text.replace("strength", "eagerness") for key, text in FILES.items()}
    assert after == expected


@pytest.mark.parametrize(
    ("name", "words", "old", "new"),
    [
        ("base", "let direct‸ion", "direction", "gradient"),
        ("child", "scaled(direct‸ion", "direction", "gradient"),
        ("base", "def sca‸led", "scaled", "times"),
        ("other", "/ boun‸d", "bound", "limit"),
    ],
)
def test_lets_and_definitions_are_renamed(workspace: Path, name: str, words: str, old: str, new: str) -> None:
    after = _rename(workspace, name, words, new)
    assert after == {key: text.replace(old, new) for key, text in FILES.items()}
    for key, text in after.items():
        (workspace / f"{key}.flowrl").write_text(text)
    assert all(resolve(str(workspace / f"{key}.flowrl")).diagnostics.errors == [] for key in FILES)


def test_an_argument_is_renamed_with_the_names_in_calls(workspace: Path) -> None:
    after = _rename(workspace, "base", "def scaled(x‸", "point")
    assert "def scaled(point, y) = y * strength * point" in after["base"]
    assert "scaled(point = direction, y = 1)" in after["child"]


REFUSED = [
    ("mean", "a function"),
    ("let", "a reserved word"),
    ("policy", "a word of the language"),
    ("2x", "no name"),
    ("größe", "no name"),
    ("a_t", "a value that formulas see"),
    ("scaled", "already a def"),
    ("temperature", "already a param"),
    ("x", "already an argument"),
    ("bound", "already a let"),
]


@pytest.mark.parametrize(("new", "reason"), REFUSED)
def test_names_that_are_taken(workspace: Path, new: str, reason: str) -> None:
    with pytest.raises(DiagnosticError, match=f"FRL0471.*{reason}"):
        _rename(workspace, "base", "param stren‸gth", new)


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("qsm", "param temper‸ature", "a file of the package"),
        ("qsm_dpmd", "shor‸tened(g", "a file of the package"),
        ("qsm", "ddp‸m(steps", "only names that a spec declares"),
    ],
)
def test_what_cannot_be_renamed(name: str, words: str, reason: str) -> None:
    view, place = in_spec(name, words)
    with pytest.raises(DiagnosticError, match=f"FRL0471.*{reason}"):
        rename(view, [], place, "other_name")
