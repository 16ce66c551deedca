"""What a person sees."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from flowrl_dsl.runtime.progress import Bar, Lines, Pace


def test_lines_come_at_most_every_few_seconds(capsys, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Lines(100_000) as lines:
        for step in range(1000, 13_000, 1000):
            now[0] += 1
            lines.show(step, 12.34, 250.4)
        lines.say("evaluation")
    assert capsys.readouterr().out.splitlines() == [
        "step 5000/100000  return 12.3  250 updates/s  1m35s left",
        "step 10000/100000  return 12.3  250 updates/s  1m30s left",
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
        bar.show(100, 5.0, 10.0)
        bar.say("return [1.0] said")
    text = out.getvalue()
    assert "return [1.0] said" in text and "100/1000" in text and "qsm on [a]" in text and "\x1b[3" not in text
