"""The page of a report in a browser without a network: what it draws, and how it answers to a hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrl_dsl.report.content import read
from flowrl_dsl.report.page import page
from flowrl_dsl.report.serving import Server
from tests import browser
from tests.browser import Browser
from tests.report.folders import run_folder
from tests.report.test_page import HOSTILE

pytestmark = browser.needed


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.opened(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    runs = [run_folder(folder / f"{seed}", seed, (1.0, 2.0 + seed, 9.0, -5.0)) for seed in range(3)]
    runs.append(run_folder(folder / "other", discount=0.5, returns=(1.0, 100.0, 40.0, 10.0)))
    (folder / "report.html").write_text(page(read(runs)))
    return folder / "report.html"


def _box(chromium: Browser) -> dict[str, float]:
    return chromium.get("document.querySelector('#returns svg').getBoundingClientRect().toJSON()")


def _labels(chromium: Browser) -> list[str]:
    return chromium.get("[...document.querySelectorAll('#returns svg text')].map(text => text.textContent)")


def test_every_metric_is_drawn(chromium: Browser, written: Path) -> None:
    chromium.open(written.as_uri())
    assert chromium.get("document.querySelectorAll('#returns path').length") == 4  # a line and a band for each of two
    titles = chromium.get("[...document.querySelectorAll('#metrics figcaption')].map(one => one.textContent)")
    assert titles == ["critic_loss", "return_std", "return_min", "episodes"]
    assert chromium.get("[...document.querySelectorAll('#legend button')].map(one => one.textContent)") == [
        "mine #1 (3 seeds)",
        "mine #2",
    ]
    assert chromium.problems == []


def test_a_hand_sees_values_and_magnifies(chromium: Browser, written: Path) -> None:
    chromium.open(written.as_uri())
    box = _box(chromium)
    y, whole = box["y"] + 100, _labels(chromium)
    chromium.mouse("mouseMoved", box["x"] + box["width"] * 0.55, y)
    tip = chromium.get("document.querySelector('#returns .tip').innerText").splitlines()
    assert tip[0] == "20 environment steps" and tip[1].startswith("mine #1: 3 [") and tip[2] == "mine #2: 100 [99.5, 100.5]"
    left, right = box["x"] + box["width"] * 0.4, box["x"] + box["width"] * 0.8
    chromium.mouse("mousePressed", left, y, button="left", buttons=1, clickCount=1)
    chromium.mouse("mouseMoved", right, y, button="left", buttons=1)
    chromium.mouse("mouseReleased", right, y, button="left", clickCount=1)
    assert chromium.get("document.querySelectorAll('#returns circle[r=\"2.6\"]').length") == 4  # two points of each are left
    chromium.get("document.getElementById('reset').click()")
    assert _labels(chromium) == whole


def test_axes_and_curves_can_be_chosen(chromium: Browser, written: Path) -> None:
    chromium.open(written.as_uri())
    chosen = "axis.value = 'seconds'; axis.dispatchEvent(new Event('change'))"
    chromium.get(f"(() => {{ const axis = document.getElementById('axis'); {chosen}; }})()")
    assert "seconds of training" in _labels(chromium)
    chromium.get("document.getElementById('logy').click()")
    assert "100" in _labels(chromium) and not any(label.startswith("-") for label in _labels(chromium))
    assert "NaN" not in chromium.get("document.getElementById('returns').innerHTML")
    chromium.get("document.querySelectorAll('#legend button')[1].click()")
    assert chromium.get("document.querySelectorAll('#returns path').length") == 2
    chromium.get("document.getElementById('logx').click()")
    assert chromium.problems == []


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_a_desktop_and_a_phone(chromium: Browser, written: Path, width: int) -> None:
    chromium.open(written.as_uri(), width)
    assert chromium.get("document.documentElement.scrollWidth") == width
    wide = chromium.get("[...document.querySelectorAll('figure svg')].every(one => one.clientWidth > 120)")
    assert wide and _box(chromium)["width"] > 300


def test_text_of_run_folders_runs_nothing(chromium: Browser, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", spec=HOSTILE, task=HOSTILE, device=HOSTILE, versions={HOSTILE: HOSTILE})
    (tmp_path / "report.html").write_text(page(read([run])))
    chromium.open((tmp_path / "report.html").as_uri())
    assert chromium.get("document.querySelectorAll('img, iframe, main script').length") == 0
    assert chromium.get("document.querySelector('#returns figcaption').textContent") == HOSTILE
    assert chromium.problems == []


def test_the_live_page_takes_over_what_is_new(chromium: Browser, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run")
    with Server([run]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        chromium.open(server.address)
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"kind": "eval", "step": 30, "return_mean": 77.0, "return_std": 0.5}\n')
        there = "document.getElementById('evaluations').innerText.includes('77.0')"
        look = f"const look = () => ({there} || !left--) ? done({there}) : setTimeout(look, 50)"
        found = chromium.get(f"new Promise(done => {{ let left = 300; {look}; look(); }})")
        points = chromium.get("document.querySelectorAll('#returns circle').length")
        server.shutdown()
        thread.join()
    assert found and points == 3 and chromium.problems == []
