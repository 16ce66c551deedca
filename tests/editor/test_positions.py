"""Places and positions: each maps to the other, whatever ends the lines and however wide the characters are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrl_dsl.editor.positions import UNITS, Positions

TEXT = "a😀b\r\nç\rd\n\n😀"


@pytest.mark.parametrize(
    ("encoding", "place", "position"),
    [
        ("utf-16", (1, 3), (0, 3)),
        ("utf-32", (1, 3), (0, 2)),
        ("utf-8", (1, 3), (0, 5)),
        ("utf-16", (2, 1), (1, 0)),
        ("utf-8", (2, 2), (1, 2)),
        ("utf-16", (2, 3), (2, 0)),
        ("utf-16", (4, 2), (4, 2)),
    ],
)
def test_pairs(encoding: str, place: tuple[int, int], position: tuple[int, int]) -> None:
    positions = Positions(TEXT, encoding)
    assert positions.position(*place) == position
    assert positions.place(*position) == place


@pytest.mark.parametrize(
    ("position", "place"), [((0, 99), (1, 4)), ((99, 0), (4, 2)), ((3, 5), (3, 1)), ((0, 2), (1, 2)), ((4, 1), (4, 1))]
)
def test_positions_outside_of_a_line_or_inside_of_a_character(position: tuple[int, int], place: tuple[int, int]) -> None:
    assert Positions(TEXT).place(*position) == place


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=st.text(st.sampled_from("a\r\n😀é\ud800\u2028\x0b"), max_size=12), encoding=st.sampled_from([*UNITS]))
def test_every_place_returns(text: str, encoding: str) -> None:
    positions = Positions(text, encoding)
    for number, line in enumerate(text.split("\n"), start=1):
        # the place between the two characters of one line end is no position
        last = len(line) + (0 if line.endswith("\r") and number <= text.count("\n") else 1)
        for column in range(1, last + 1):
            assert positions.place(*positions.position(number, column)) == (number, column)
