"""What a person sees."""

from __future__ import annotations

import io
import sys
import time
import types

import pytest
from rich.console import Console

from flowrl_dsl.runtime.population import SharedDisplay
from flowrl_dsl.runtime.progress import Bar, Lines, Notebook, Pace, Speed, display


def test_lines_come_at_most_every_few_seconds(capsys, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Lines(100_000) as lines:
        for step in range(1000, 13_000, 1000):
            now[0] += 1
            lines.show(step, 12.34, Speed(250.4, 1_000.0))
        lines.say("evaluation")
    assert capsys.readouterr().out.splitlines() == [
        "step 5000/100000  return 12.3  1000 frames/s  250 updates/s  1m35s left",
        "step 10000/100000  return 12.3  1000 frames/s  250 updates/s  1m30s left",
        "evaluation",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "10s"), (2.0, "3m18s"), (90.0, "2h28m")])
def test_the_time_left_follows_the_pace(monkeypatch, seconds: float, text: str) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace(100)
    assert pace.left(0) == "-"
    now[0] += seconds
    assert pace.left(1) == text


def test_the_bar_is_plain_text_without_colour() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, no_color=True, width=100)
    with Bar(console, "qsm on [a]", 1000) as bar:
        bar.advance(50)
        bar.show(100, 5.0, Speed(10.0))
        bar.say("return [1.0] said")
    text = out.getvalue()
    assert "return [1.0] said" in text and "100/1000" in text and "qsm on [a]" in text and "\x1b[3" not in text


def test_lines_and_the_bar_name_the_phase(capsys, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = Lines(100)
    lines.enter("values (1 of 2)")
    lines.enter("extract (2 of 2)", 40)
    now[0] = 10.0
    lines.show(50, 1.0, Speed(2.0))
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "phase extract (2 of 2) begins at update 40",
        "extract (2 of 2): step 50/100  return 1.0  2 updates/s  - left",
    ]
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, no_color=True, width=120), "iql", 100) as bar:
        bar.enter("extract (2 of 2)", 40)
    assert "phase extract (2 of 2) begins at update 40" in out.getvalue() and "iql, extract (2 of 2)" in out.getvalue()


def test_a_population_enters_a_phase_once(capsys) -> None:
    shared = SharedDisplay(Lines(100))
    for name in ("a", "b"):
        shared.of(name).enter("extract (2 of 2)", 40)
    assert capsys.readouterr().out == "phase extract (2 of 2) begins at update 40\n"


def test_a_notebook_has_one_line_that_changes(monkeypatch) -> None:
    """With a stand-in for IPython, whose display returns a handle that replaces what is shown."""
    shown: list[str] = []
    handle = types.SimpleNamespace(update=lambda text: shown.append(repr(text)))

    def show(text: object, display_id: bool) -> object:
        assert display_id
        shown.append(repr(text))
        return handle

    kernel = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=show))
    found = display("qsm on Pendulum-v1", 100)
    assert isinstance(found, Notebook)
    with found:
        found.show(50, None, Speed(10.0))
    assert shown == ["qsm on Pendulum-v1  step 0/100", "qsm on Pendulum-v1  step 50/100  return -  10 updates/s  - left"]
