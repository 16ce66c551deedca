"""The structure of a text by its tokens: the same as the tree's where there is one, and there for every text."""

from __future__ import annotations

import pytest

from flowrl_dsl.editor.document import Document
from flowrl_dsl.editor.meaning import meanings
from flowrl_dsl.editor.names import Names
from flowrl_dsl.syntax import tree
from flowrl_dsl.syntax.parser import parse
from tests.editor.helpers import SPECS, at, view_of

KINDS = {
    tree.Assign: "assign",
    tree.Param: "PARAM",
    tree.Let: "LET",
    tree.Define: "DEF",
    tree.Section: "section",
    tree.Improve: "IMPROVE",
    tree.ForTask: "FOR",
}


def _of_tree(body) -> list:
    found = []
    for statement in body:
        inner = _of_tree(statement.body) if hasattr(statement, "body") else None
        found.append((KINDS[type(statement)], statement.span.line, inner))
    return found


def _of_outline(statements) -> list:
    found = []
    for one in statements:
        inner = _of_outline(one.body.statements) if one.body is not None else None
        found.append((one.kind, one.tokens[0].line, inner))
    return found


@pytest.mark.parametrize("name", SPECS)
def test_the_outline_has_the_statements_of_the_tree(name: str) -> None:
    file, _ = parse(SPECS[name], name)
    (header,) = Document(name, SPECS[name]).outline.root.statements
    assert _of_outline(header.body.statements) == _of_tree(file.algorithm.body)


@pytest.mark.parametrize("name", SPECS)
def test_every_word_of_a_shipped_spec_has_a_meaning(name: str) -> None:
    view = view_of(name)
    assert [str(e.token) for e, what in meanings(view.document, Names(view.chain)) if what.kind == "unknown"] == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("algorithm x { regime = off_policy pol", ["ALGORITHM", "assign", "word"]),
        ("algorithm x { policy { network = mlp([256], ", ["ALGORITHM", "section", "assign"]),
        (
            "algorithm x {\n  policy {\n    a = 1\n  critic {\n    b = 2\n}",
            ["ALGORITHM", "section", "assign", "section", "assign"],
        ),
        ("let a = b let c = d param e = 1 in (0, 1] f = 2", ["LET", "LET", "PARAM", "assign"]),
        ("improve 0.5 * w * drift { let a = 1 }", ["IMPROVE", "LET"]),
        ("} } ) ] policy behavior { } policy\nact {", ["section", "word", "section"]),
        ("{ a = 1", ["LBRACE", "assign"]),
        ("(" * 300 + "x", []),
    ],
)
def test_broken_texts_have_statements(text: str, kinds: list[str]) -> None:
    assert [one.kind for one in Document("x", text).outline.statements()] == kinds


def test_places_in_a_call_have_the_argument_being_written() -> None:
    view, place = at("algorithm x { policy { sampler = ddpm(20, clip = ‸")
    spot, word = view.document.spot_at(place)
    assert word is None and str(spot.statement.name) == "sampler"
    (bracket,) = spot.brackets
    assert (str(bracket.function), bracket.position, str(bracket.argument)) == ("ddpm", 1, "clip")
