"""How diagnostics look to a person and to a program."""

from __future__ import annotations

import json
import re

from flowrl_dsl.diagnostics import Diagnostic, Diagnostics, Span, render_json, render_text

SOURCE = """\
algorithm my_algo {
  improve likelihood_ratio { clip = 0.2 }
}
"""
ERROR = Diagnostic(
    "FRL0212",
    'likelihood_ratio needs log_prob, which backbone "diffusion" does not provide',
    Span("my_algo.flowrl", 2, 11, 2, 27),
    ('sampler "ddpm" provides it',),
)


def shown(line: str, start: int, end: int) -> list[str]:
    """The source line and the underline of a span in a one-line file."""
    text = render_text([Diagnostic("FRL0001", "here", Span("f", 1, start, 1, end))], {"f": line})
    return [part.removeprefix("1 | ").removeprefix("  | ") for part in text.split("\n")[3:5]]


def test_rendering():
    assert render_text([ERROR], {"my_algo.flowrl": SOURCE}) == (
        'error[FRL0212]: likelihood_ratio needs log_prob, which backbone "diffusion" does not provide\n'
        " --> my_algo.flowrl:2:11\n"
        "  |\n"
        "2 |   improve likelihood_ratio { clip = 0.2 }\n"
        "  |           ^^^^^^^^^^^^^^^^\n"
        '  = sampler "ddpm" provides it'
    )


def test_the_gutter_is_as_wide_as_the_line_number():
    source = "\n" * 13 + "x = y\n"
    warning = Diagnostic("FRL0301", "unused", Span("f", 14, 1, 14, 2), severity="warning")
    assert render_text([warning], {"f": source}) == ("warning[FRL0301]: unused\n  --> f:14:1\n   |\n14 | x = y\n   | ^")


def test_in_order_of_file_and_place():
    places = [Span("b", 1, 1, 1, 2), Span("a", 2, 1, 2, 2), None, Span("a", 1, 5, 1, 6), Span("a", 1, 1, 1, 2)]
    found = [Diagnostic("FRL0001", str(place), place) for place in places]
    messages = [line for line in render_text(found, {}).split("\n") if line.startswith("error")]
    assert [m.removeprefix("error[FRL0001]: ") for m in messages] == ["None", "a:1:1", "a:1:5", "a:2:1", "b:1:1"]


def test_the_same_finding_is_kept_once_at_a_price_that_does_not_grow(monkeypatch):
    compared = []
    monkeypatch.setattr(Span, "__eq__", lambda self, other: compared.append(1) or str(self) == str(other))
    bag = Diagnostics()
    for line in [*range(200), *range(200)]:
        bag.error("FRL0225", "never used", Span("f", line, 1, line, 2))
    assert [d.span.line for d in bag] == list(range(200))
    assert len(compared) < 1000


def test_without_place_or_source():
    assert render_text([Diagnostic("FRL0401", "out of disk", notes=("free some",))], {}) == (
        "error[FRL0401]: out of disk\n   = free some"
    )
    assert render_text([ERROR], {}) == (f"error[FRL0212]: {ERROR.message}\n --> my_algo.flowrl:2:11\n  = {ERROR.notes[0]}")
    assert render_text([], {}) == ""


def test_spans_over_lines_underline_the_first():
    text = render_text([Diagnostic("FRL0001", "all", Span("f", 1, 3, 3, 2))], {"f": "a bcd  \nx\ny"})
    assert text.split("\n")[3:] == ["1 | a bcd", "  |   ^^^"]


def test_empty_spans_show_one_caret():
    assert shown("x =", 4, 4) == ["x =", "   ^"]
    assert shown("", 1, 1)[1] == "^"


def test_tabs_and_wide_characters():
    assert shown("\tx = y", 2, 3) == ["    x = y", "    ^"]
    assert shown("界界 = y", 1, 3) == ["界界 = y", "^^^^"]
    assert shown("界 = y", 5, 6) == ["界 = y", "     ^"]
    assert shown("e\u0301 = y", 6, 7) == ["e\u0301 = y", "    ^"]


def test_nothing_in_a_source_line_reaches_the_terminal_as_a_command():
    line, underline = shown("\x1b[31mred\0", 2, 3)
    assert "\x1b" not in line and "\0" not in line
    assert underline == " ^"


def test_long_lines_are_cut_around_the_place():
    line, underline = shown("x" * 500 + "!" + "y" * 500, 501, 502)
    assert len(line) < 170
    assert line[underline.index("^")] == "!"
    assert line.startswith("...") and line.endswith("...")


def test_windows_lines():
    assert render_text([Diagnostic("FRL0001", "m", Span("f", 1, 1, 1, 2))], {"f": "x\r\ny\r\n"}).count("\r") == 0


def test_colors_add_nothing_but_colors():
    colored = render_text([ERROR], {"my_algo.flowrl": SOURCE}, color=True)
    assert "\x1b[1;31m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == render_text([ERROR], {"my_algo.flowrl": SOURCE})


def test_json():
    assert json.loads(render_json([ERROR])) == [ERROR.as_json()]
    assert ERROR.as_json()["place"] == {
        "file": "my_algo.flowrl",
        "line": 2,
        "column": 11,
        "end_line": 2,
        "end_column": 27,
    }
    assert json.loads(render_json([Diagnostic("FRL0001", "no place")]))[0]["place"] is None


def test_a_bag_with_a_limit_keeps_the_first():
    bag = Diagnostics(limit=2)
    for n in range(5):
        bag.error("FRL0001", f"number {n}", None)
    assert bag.full
    assert [d.message for d in bag] == ["number 0", "number 1"]


def test_beyond_a_hundred_diagnostics_are_counted() -> None:
    found = [Diagnostic("FRL0207", f"number {n}", Span("f", n, 1, n, 2)) for n in range(1, 151)]
    shown = render_text(found, {})
    assert shown.count("error[FRL0207]") == 100 and shown.endswith("\n\n... and 50 more") and "number 101" not in shown
    assert not render_text(found[:100], {}).endswith("more")
