"""Every feature answers for every text: those of the fuzz tests of ``check``, texts that are being typed, any text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lsprotocol import types

from flowrl_dsl.diagnostics import DiagnosticError, Span
from flowrl_dsl.editor import wire
from flowrl_dsl.editor.coloring import colored
from flowrl_dsl.editor.completion import complete
from flowrl_dsl.editor.document import Document, Place, View
from flowrl_dsl.editor.findings import findings, fixes
from flowrl_dsl.editor.folding import folds
from flowrl_dsl.editor.hover import hover
from flowrl_dsl.editor.navigation import definition, references
from flowrl_dsl.editor.positions import Positions
from flowrl_dsl.editor.pygmented import FlowrlLexer
from flowrl_dsl.editor.renaming import rename
from flowrl_dsl.editor.signatures import signature
from flowrl_dsl.editor.symbols import Symbol, symbols
from flowrl_dsl.resources import folder
from tests.editor.helpers import SPECS
from tests.spec.test_fuzz import mutated, mutated_tree

MALFORMED = [path.read_text(encoding="utf-8") for path in sorted((folder("grammar") / "malformed").glob("*.flowrl"))]
PIECES = [*"{}()[]=,.\"'#\n\r\t -+*/^<>@;:\\😀∞\ud800\0a_1", "let ", "improve ", "policy ", "algorithm x {\n", "->", "≤"]
HABITS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def typed(draw: st.DrawFn) -> str:
    """A spec while it is written: the beginning of one, or one with a stretch taken out."""
    text = draw(st.sampled_from([*SPECS.values()]))
    start = draw(st.integers(0, len(text)))
    return text[:start] + draw(st.sampled_from(["", text[start + draw(st.integers(0, 40)) :]]))


class _Places:
    """The places of one text for a client that counts characters."""

    def __init__(self, text: str):
        self.positions = Positions(text, "utf-32")

    def range(self, span: Span) -> types.Range:
        start, end = self.positions.ends(span)
        return types.Range(types.Position(*start), types.Position(*end))

    def uri(self, path: str) -> str:
        return f"file://{path}"


def _inside(span: Span, document: Document) -> bool:
    lines = document.lines
    ends = ((span.line, span.column), (span.end_line, span.end_column))
    return ends[0] <= ends[1] and all(1 <= line <= len(lines) and 1 <= c <= len(lines[line - 1]) + 1 for line, c in ends)


def _check_text(text: str) -> View:
    view = View(Document("/nowhere/text.flowrl", text))
    document, places = view.document, _Places(text)
    assert all(_inside(one.span, document) and wire.diagnostic(one, places).message for one in findings(view))
    whole = Span(document.path, 1, 1, len(document.lines), len(document.lines[-1]) + 1)
    assert all(_inside(fix.span, document) and wire.action(fix, True, places).title for fix in fixes(view, whole))
    spans = [one.span for one in colored(view)]
    assert all((a.end_line, a.end_column) <= (b.line, b.column) for a, b in pairwise(spans))
    assert min(wire.semantic_tokens(colored(view), places).data, default=0) >= 0
    assert all(1 <= fold.first < fold.last <= len(document.lines) for fold in folds(document))
    for one in symbols(document):
        _check_symbol(one, document)
        wire.symbol(one, places)
    assert "".join(value for _, _, value in FlowrlLexer().get_tokens_unprocessed(text)) == text
    return view


def _check_symbol(one: Symbol, document: Document) -> None:
    assert one.name and _inside(one.span, document) and _inside(one.name_span, document)
    starts = (one.span.line, one.span.column) <= (one.name_span.line, one.name_span.column)
    assert starts and (one.name_span.end_line, one.name_span.end_column) <= (one.span.end_line, one.span.end_column)
    for inner in one.children:
        _check_symbol(inner, document)


def _check_place(view: View, place: Place) -> None:
    found = complete(view, place)
    assert len({one.label for one in found.proposals}) == len(found.proposals)
    assert found.span is None or _inside(found.span, view.document)
    wire.completion(found, _Places(view.document.text), types.Position(0, 0))
    shown, form = hover(view, place), signature(view, place)
    assert shown is None or (shown.text.strip() and _inside(shown.span, view.document))
    assert form is None or (wire.signature(form).signatures and (form.active is None or form.active < len(form.parameters)))
    definition(view, place)
    uses = references(view, [], place)
    try:
        changes = rename(view, [], place, "fresh_name")
    except DiagnosticError as error:
        assert error.diagnostics[0].code == "FRL0471"
    else:
        assert [one.span for one in changes] == uses != []


def _places(draw: st.DataObject, text: str) -> list[Place]:
    offsets = draw.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=3))
    return [(text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1) for at in offsets]


@HABITS
@given(text=st.one_of(mutated(), mutated_tree(), typed()), data=st.data())
def test_specs_with_accidents(text: str, data: st.DataObject) -> None:
    view = _check_text(text)
    for place in _places(data, text):
        _check_place(view, place)


@HABITS
@given(text=st.lists(st.sampled_from(PIECES), max_size=60).map("".join), data=st.data())
def test_any_text(text: str, data: st.DataObject) -> None:
    view = _check_text(text)
    for place in _places(data, text):
        _check_place(view, place)


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_texts(text: str) -> None:
    view = _check_text(text)
    for number, line in enumerate(text.split("\n"), start=1):
        _check_place(view, (number, len(line) // 2 + 1))


def test_every_place_of_a_spec_while_it_is_typed() -> None:
    text = SPECS["sac"]
    for end in range(0, len(text), 29):
        view = View(Document("/nowhere/text.flowrl", text[:end]))
        _check_place(view, (len(view.document.lines), len(view.document.lines[-1]) + 1))
