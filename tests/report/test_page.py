"""The page of a report without a browser: what is in it, that it needs nothing else, and that text stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from flowrl_dsl import cli
from flowrl_dsl.report.coloring import colored
from flowrl_dsl.report.content import read
from flowrl_dsl.report.page import page, policy
from flowrl_dsl.report.settings import differing, settings
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.runtime.errors import RunError
from tests.report.folders import RESOLVED, SPEC, run_folder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text inside of each section."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag == "section":
            self._inside = dict(attributes)["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == "section" else self._inside

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def _data(text: str) -> dict[str, Any]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_the_command_writes_one_page(tmp_path: Path, capsys) -> None:
    runs = [run_folder(tmp_path / f"{seed}", seed, (1.0, 2.0 + seed)) for seed in range(3)]
    runs.append(run_folder(tmp_path / "other", discount=0.5))
    assert cli.main(["report", *map(str, runs), "-o", str(tmp_path / "r.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'r.html'}\n"
    text = (tmp_path / "r.html").read_text()
    elements = Elements(text)
    assert list(elements.texts)[1:] == [
        "curves", "evaluations", "differences", "losses", "timing", "repeat", "settings", "environment"
    ]  # fmt: skip
    assert "mine #2Pendulum-v10203.0 ± 0.50.023.0 at 20" in elements.texts["evaluations"]
    assert "critic.discount0.90.5" in elements.texts["differences"]
    assert "temperature" not in elements.texts["differences"]  # it is the same in both
    assert "# a comment" in elements.texts["settings"] and "diffusion" in elements.texts["settings"]
    assert "jax0.6" in elements.texts["environment"]
    assert f"flowrl-dsl train {runs[0]}/spec/mine.flowrl --task Pendulum-v1 --seed 0 --steps 100" in elements.texts["repeat"]


def test_curves_are_those_of_plots(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / f"{seed}", seed, (1.0, 2.0 + seed)) for seed in range(3)]
    curves = _data(page(read(runs)))["curves"]
    assert [curve["metric"] for curve in curves] == ["return_mean", "critic_loss", "return_std", "return_min", "episodes"]
    first = curves[0]
    assert (first["seeds"], first["y"]) == (3, [1.0, 3.0]) and first["low"][1] < 3 < first["high"][1]
    assert first["begins"]["steps"] == []
    # ten updates at two a second
    assert first["x"] == {"steps": [10, 20], "updates": [5, 10], "seconds": [2.5, 5]}


def test_phases_begin_at_their_places(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a")
    begun = [{"kind": "phase", "step": step, "phase": number} for number, step in ((1, 0), (2, 10))]
    records = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in begun) + records)
    assert _data(page(read([run])))["curves"][0]["begins"] == {"steps": [10], "updates": [5], "seconds": [2.5]}


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    curves = _data(page(read([run_folder(tmp_path / "a", returns=tuple(range(1000)))])))["curves"]
    assert len(curves[0]["y"]) == 400 and (curves[0]["y"][0], curves[0]["y"][-1]) == (0, 999)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """No address of another file or site: nothing to load, and a policy that would refuse it."""
    text = page(read([run_folder(tmp_path / "a")]))
    elements = Elements(text)
    named = {"src", "href", "srcset", "poster", "action", "background"}
    assert not [item for item in elements.found if named & item[1].keys()]
    without_namespace = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.|url\(|@import|import\s*\(", without_namespace)
    (security,) = [meta["content"] for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert security == policy(live=False) and security.startswith("default-src 'none'") and "connect-src" not in security
    assert len(text) < 60_000


def test_the_policy_names_the_script_of_the_page(tmp_path: Path) -> None:
    import base64
    import hashlib

    text = page(read([run_folder(tmp_path / "a")]))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text.replace("&#x27;", "'")


def test_text_of_run_folders_stays_text(tmp_path: Path) -> None:
    run = run_folder(
        tmp_path / "a",
        spec=HOSTILE,
        task=HOSTILE,
        sets=[f"x={HOSTILE}"],
        device=HOSTILE,
        python=HOSTILE,
        versions={HOSTILE: HOSTILE},
        settings={HOSTILE: HOSTILE, "steps": HOSTILE},
    )
    (run / "resolved.flowrl").write_text(f"algorithm {HOSTILE} {{\n policy {{ x = {HOSTILE} }}\n}}\n")
    (run / "spec" / "mine.flowrl").write_text(f'# {HOSTILE}\n"{HOSTILE}" improve = {HOSTILE}(1)')
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": HOSTILE, "step": 30, HOSTILE: 1.0}) + "\n")
    text = page(read([run]))
    elements = Elements(text)
    assert len(elements.of("script")) == 2 and elements.of("img") == []
    assert text.count("</script>") == 2 and HOSTILE not in text
    curves = _data(text)["curves"]
    assert all(HOSTILE[:20] in curve["label"] for curve in curves)
    assert HOSTILE in [curve["metric"] for curve in curves]
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", returns=())
    (run / "metrics.jsonl").unlink()
    text = page(read([run]))
    assert _data(text)["curves"] == [] and "none yet" in text


def test_seeds_without_a_common_step_have_no_curve_yet(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / "a", 0), run_folder(tmp_path / "b", 1, returns=())]
    (runs[1] / "metrics.jsonl").write_text('{"kind": "eval", "step": 11, "return_mean": 1.0, "return_std": 1.0}\n')
    assert "return_mean" not in [curve["metric"] for curve in read(runs).curves]


def test_what_is_no_run_is_an_error(tmp_path: Path, capsys) -> None:
    with pytest.raises(RunError, match="FRL0411"):
        read([tmp_path])
    run = run_folder(tmp_path / "a")
    (run / "metrics.jsonl").write_text("[]\n")
    assert cli.main(["report", str(run), "-o", str(tmp_path / "r.html")]) == 3
    assert "FRL0411" in capsys.readouterr().err and not (tmp_path / "r.html").exists()


def test_settings_of_a_resolved_spec() -> None:
    assert settings(RESOLVED.format(discount=0.5)) == {
        "policy.backbone": "diffusion( schedule = cosine(s = 0.008), obs = [8, 8], )",
        "critic.discount": "0.5",
        "param temperature": "0.1 in (0, 10]",
    }
    assert settings("} } x = ( \n {") == {}
    assert differing([{"a": "1", "b": "2"}, {"a": "1", "c": "3"}]) == ["b", "c"]


@pytest.mark.parametrize("name", ["qsm", "dacer", "idql"])
def test_colours_change_no_letter(name: str) -> None:
    from html import unescape

    text = shipped_specs()[name].read_text()
    shown = colored(text)
    assert unescape(re.sub(r"</?span[^>]*>", "", shown)) == text
    kinds = set(re.findall(r'class="t-(\w+)"', shown))
    assert {"comment", "string", "keyword", "function", "section", "operator"} <= kinds
    assert '<span class="t-comment"># a comment</span>' in colored(SPEC)
