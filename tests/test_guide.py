"""The guide: its figures are those of the records, its table that of the specs, and its examples can be trained."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from flowrl_dsl.driver import build_graphs
from flowrl_dsl.spec.resolve import resolve

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "guide.md").read_text()
EXAMPLES = re.findall(r"^```flowrl\n(.*?)^```", TEXT, re.S | re.M)


@pytest.fixture(scope="module")
def guide():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module("make_guide")


def test_its_figures_are_those_of_the_records(guide) -> None:
    assert len(guide.LINK.findall(TEXT)) > 25
    assert guide.with_figures(TEXT) == TEXT, "run python docs/make_guide.py"


def test_its_table_is_that_of_the_specs(guide) -> None:
    assert guide.specs() in TEXT, "run python docs/make_guide.py"


def test_each_kind_of_figure_occurs(guide) -> None:
    titles = [title for _, _, title in guide.LINK.findall(TEXT)]
    assert all(any(re.fullmatch(kind, title) for title in titles) for kind in guide.FIGURES)


def test_a_figure_that_no_record_has_is_refused(guide) -> None:
    for title in ("height of qvpo", "regions of qvpo on square", "milliseconds of nobody"):
        with pytest.raises((ValueError, KeyError)):
            guide.figure(title)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split()[1])
def test_an_example_can_be_trained(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.flowrl"
    path.write_text(text)
    found = resolve(str(path))
    assert found.algorithm is not None and not list(found.diagnostics)
    assert build_graphs(found.algorithm, 5, 2).graphs


def test_each_situation_has_an_example_in_its_order() -> None:
    rows = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", TEXT.split("## By mechanism")[0], re.M)[1:]
    titles = re.findall(r"^\*([^*]+)\*[^\n]*\n\n```flowrl$", TEXT, re.M)
    assert len(titles) == len(EXAMPLES) == len(rows)
    assert all(row.startswith(title) for row, title in zip(rows, titles, strict=True))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_0-9]+)`", TEXT.split("## By mechanism")[0]))))
def test_a_situation_names_shipped_specs(name: str) -> None:
    assert (DOCS.parent / "specs" / f"{name}.flowrl").is_file()
