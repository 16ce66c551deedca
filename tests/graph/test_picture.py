"""Pictures of graphs: what they leave out, where boxes stand, and that Graphviz is given the same."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import pytest

from flowrl_dsl.graph import dot
from flowrl_dsl.graph.picture import Arrow, Box, Picture, picture
from flowrl_dsl.graph.svg import _rows, svg
from tests import helpers as h

NAMES = sorted(h.ALGORITHMS)


def _picture(name: str) -> Picture:
    return picture(h.graphs_of(h.ALGORITHMS[name](), passes=False)[0]["step"], f"<{name}> & more")


@pytest.mark.parametrize("name", NAMES)
def test_every_group_of_parameters_is_written_once(name: str) -> None:
    drawn = _picture(name)
    graph = h.graphs_of(h.ALGORITHMS[name](), passes=False)[0]["step"]
    groups = [o.removeprefix("state.") for o in graph.outputs if o.startswith("state.") and not o.endswith("_opt")]
    changed = [g for g in groups if graph.outputs[f"state.{g}"] != f"state.{g}" and g not in ("step", "bad_update")]
    assert sorted(group for box in drawn.boxes.values() for group in box.writes) == sorted(changed)
    assert all(arrow.source in drawn.boxes and arrow.target in drawn.boxes for arrow in drawn.arrows)
    assert not any(box.title in ("Key", "Constant", "Finite", "Item", "Stop", "Every") for box in drawn.boxes.values())


def test_stages_of_an_algorithm_and_what_passes_between_them() -> None:
    drawn = _picture("qsm")
    assert drawn.stages == ["critic", "targets", "policy"]
    between = [a for a in drawn.arrows if drawn.boxes[a.source].stage != drawn.boxes[a.target].stage]
    assert [(drawn.boxes[a.source].writes, drawn.boxes[a.target].title) for a in between] == [
        (("critic",), "EMA"),
        (("critic_target",), "QValue"),
    ]
    # a formula is one box, and no gradient passes from the target into the network
    target = drawn.boxes["policy.score_matching.target"]
    assert target.title == "Formula" and "policy.score_matching.mul" not in drawn.boxes
    assert Arrow(target.name, "policy.score_matching.loss", stopped=True) in drawn.arrows


def test_a_condition_names_what_it_changes() -> None:
    drawn = _picture("td3")
    (box,) = (box for box in drawn.boxes.values() if box.title.startswith("Every"))
    assert box.title == "Every 2" and "policy" in box.writes and box.stage == "targets"


@pytest.mark.parametrize("name", NAMES)
def test_boxes_of_the_plain_drawing_do_not_overlap(name: str) -> None:
    text = svg(_picture(name))
    root = ElementTree.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title").text == f"<{name}> & more"
    boxes = [tuple(map(int, found)) for found in re.findall(r"<rect x='(\d+)' y='(\d+)' width='160' height='(\d+)'", text)]
    assert len(boxes) == len(_picture(name).boxes)
    for k, (x, y, tall) in enumerate(boxes):
        assert all(abs(x - u) >= 160 or abs(y - v) >= tall for u, v, _ in boxes[:k])


@pytest.mark.parametrize("name", ["sac", "td7"])
def test_boxes_stand_below_what_they_read(name: str) -> None:
    drawn = _picture(name)
    for stage in drawn.stages:
        level = {box: k for k, row in enumerate(_rows(drawn, stage)) for box in row}
        assert all(level[a.source] < level[a.target] for a in drawn.arrows if a.source in level and a.target in level)


def test_graphviz_gets_text_that_it_can_read(monkeypatch) -> None:
    drawn = Picture('a "title"', {n: Box(n, "stage \\ 1", "value", 'x"y', "[batch]") for n in "ab"}, [Arrow("a", "b", True)])
    text = dot.dot(drawn)
    assert '"a" -> "b" [style=dashed]' in text and r'label="stage \\ 1"' in text and r'label="x\"y\n[batch]"' in text
    monkeypatch.setattr(dot.shutil, "which", lambda name: None)
    assert dot.laid_out(drawn) is None


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_every_box() -> None:
    drawn = _picture("sac")
    text = dot.laid_out(drawn)
    assert text.count('class="node"') == len(drawn.boxes) and text.count('class="edge"') == len(drawn.arrows)
    assert text.count('class="cluster"') == len(drawn.stages)
