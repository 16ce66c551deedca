"""A picture of a graph in the language of Graphviz, and its layout by the program ``dot`` where that is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

from flowrl_dsl.graph.picture import Box, Picture
from flowrl_dsl.graph.svg import FILLS

_FONT = 'fontname="Helvetica"'
_PATIENCE = 60.0
"""Seconds that a layout may take."""


def dot(picture: Picture) -> str:
    """The picture as a Graphviz graph with a cluster for each stage."""
    return "\n".join(_lines(picture)) + "\n"


def laid_out(picture: Picture) -> str | None:
    """The picture as SVG by Graphviz; None where it is not installed or fails."""
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=dot(picture), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _lines(picture: Picture) -> Iterator[str]:
    yield "digraph update {"
    yield f"  graph [label={_text(picture.title)} labelloc=t labeljust=l fontsize=15 {_FONT} nodesep=0.2 ranksep=0.35]"
    yield f'  node [shape=box style="filled,rounded" {_FONT} fontsize=10 color="#999999" height=0.4 margin="0.1,0.05"]'
    yield '  edge [color="#777777" arrowsize=0.6]'
    for number, stage in enumerate(picture.stages):
        yield f"  subgraph cluster_{number} {{"
        yield f'    graph [label={_text(stage)} fontsize=13 style=rounded color="#c8c8c8" bgcolor="#fcfcfc"]'
        yield from (f"    {_node(box)}" for box in picture.boxes.values() if box.stage == stage)
        yield "  }"
    for arrow in picture.arrows:
        crosses = picture.boxes[arrow.source].stage != picture.boxes[arrow.target].stage
        styles = (["style=dashed"] if arrow.stopped else []) + (['color="#009E73" penwidth=1.4'] if crosses else [])
        yield f"  {_text(arrow.source)} -> {_text(arrow.target)}" + (f" [{' '.join(styles)}]" if styles else "")
    yield "}"


def _node(box: Box) -> str:
    border = ' color="#009E73" penwidth=1.6' if box.writes else ""
    shape = " shape=ellipse style=filled" if box.kind == "input" else ""
    return f'{_text(box.name)} [label={_text(box.title, box.detail)} fillcolor="{FILLS[box.kind]}"{border}{shape}]'


def _text(*lines: str) -> str:
    return json.dumps("\n".join(lines), ensure_ascii=False)
