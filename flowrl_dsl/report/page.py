"""The page of a report: one HTML file that needs nothing else, no network either.

All that comes from run folders is escaped; the script reads its curves from a block of JSON and writes text alone.  The
policy in the page's head lets the browser run that script and no other.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path

from flowrl_dsl import __version__
from flowrl_dsl.report.coloring import colored
from flowrl_dsl.report.content import Facts, Report
from flowrl_dsl.report.settings import differing
from flowrl_dsl.runtime.curves import RETURN
from flowrl_dsl.runtime.figures import COLORS

_HERE = Path(__file__).parent
_ABSENT = "-"


def page(report: Report, live: bool = False) -> str:
    """The page as HTML; a ``live`` one reads itself again every few seconds."""
    title = _title(report.runs)
    # in a block of JSON, only a closing tag could end the block
    data = json.dumps({"curves": report.curves, "returns": RETURN, "live": live}, allow_nan=False).replace("<", "\\u003c")
    parts = [_head(title, live), f"<header><h1>{escape(title)}</h1>{_summary(report.runs)}</header><main>"]
    parts += (_section(name, heading, body) for name, heading, body in _sections(report) if body)
    parts.append(f"</main><footer>flowrl-dsl {escape(__version__)}</footer>")
    parts.append(f'<script type="application/json" id="data">{data}</script><script>{_script()}</script></body></html>\n')
    return "\n".join(parts)


def policy(live: bool) -> str:
    """What the browser may load: the styles and the script of the page, and, of a live page, the page itself."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    allowed = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return f"{allowed}; connect-src 'self'" if live else allowed


@cache
def _script() -> str:
    colors = json.dumps(COLORS[:-1])
    return (_HERE / "page.js").read_text(encoding="utf-8").replace("/* colors */ []", colors)


def _head(title: str, live: bool) -> str:
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(live))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
    )


def _title(runs: Sequence[Facts]) -> str:
    specs, tasks = (list(dict.fromkeys(getattr(run, name) for run in runs)) for name in ("spec", "task"))
    return f"{', '.join(specs)} on {', '.join(tasks)}"


def _summary(runs: Sequence[Facts]) -> str:
    count = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    return f'<p class="quiet">{count}; <span id="state"></span></p>'


def _section(name: str, heading: str, body: str) -> str:
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{body}</section>'


def _sections(report: Report) -> Iterable[tuple[str, str, str]]:
    """Identifiers, headings and contents; an empty one is left out."""
    runs = report.runs
    noscript = "<noscript><p>The curves are drawn by a script; the tables below need none.</p></noscript>"
    yield "curves", "Returns", f'{_CONTROLS}<div class="charts" id="returns"></div>{noscript}'
    yield "evaluations", "Evaluations", _evaluations(runs)
    yield "differences", "What the runs differ in", _differences(runs)
    yield "losses", "Losses and other metrics", '<div class="charts small" id="metrics"></div>'
    yield "timing", "Timing", _timing(runs)
    yield "repeat", "Commands that repeat the runs", _commands(runs)
    yield "settings", "Settings and specs", _settings(runs)
    yield "environment", "Versions", _versions(runs)


_CONTROLS = """<div class="controls" id="controls" hidden>
<label>over <select id="axis"><option value="steps">environment steps</option><option value="updates">updates</option>
<option value="seconds">seconds of training</option></select></label>
<label><input type="checkbox" id="logx"> log x</label> <label><input type="checkbox" id="logy"> log y</label>
<button id="reset" type="button">whole range</button><span class="quiet wide">drag over a chart to magnify</span></div>
<div class="legend" id="legend"></div>"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of texts, all of them escaped; the columns of ``numbers`` are set flush right."""

    def cell(tag: str, column: int, text: str) -> str:
        return f"<{tag}{' class=n' if column in numbers else ''}>{escape(text)}</{tag}>"

    def row(tag: str, cells: Sequence[str]) -> str:
        return f"<tr>{''.join(cell(tag, column, text) for column, text in enumerate(cells))}</tr>"

    body = "".join(row("td", cells) for cells in rows)
    return f'<div class="scroll"><table><thead>{row("th", head)}</thead><tbody>{body}</tbody></table></div>'


def _evaluations(runs: Sequence[Facts]) -> str:
    head = ("run", "task", "seed", "step", "return", "from", "to", "episodes", "best")
    rows = [_evaluated(run) for run in runs]
    return table(head, rows, numbers=(2, 3, 4, 5, 6, 7, 8))


def _evaluated(run: Facts) -> list[str]:
    start = [run.label, run.task, str(run.seed)]
    if not run.evaluations:
        return [*start, f"{run.step:,}", "none yet", "", "", "", ""]
    last, best = run.evaluations[-1], max(run.evaluations, key=lambda one: one.mean)
    ends = ["" if end is None else f"{end:.1f}" for end in (last.least, last.most)]
    count = "" if last.episodes is None else str(last.episodes)
    return [
        *start,
        f"{last.step:,}",
        f"{last.mean:.1f} ± {last.spread:.1f}",
        *ends,
        count,
        f"{best.mean:.1f} at {best.step:,}",
    ]


def _differences(runs: Sequence[Facts]) -> str:
    """The settings that are not the same in all runs, a column for each kind of run."""
    kinds = _kinds(runs)
    if len(kinds) < 2:
        return ""
    values = [{"spec": run.spec} | run.settings | {f"training: {k}": v for k, v in _training(run).items()} for run in kinds]
    rows = [(name, *(value.get(name, _ABSENT) for value in values)) for name in differing(values)]
    return table(("setting", *(run.label for run in kinds)), rows) if rows else ""


def _kinds(runs: Sequence[Facts]) -> list[Facts]:
    """The first run of each label and task."""
    found: dict[tuple[str, str], Facts] = {}
    for run in runs:
        found.setdefault((run.label, run.task), run)
    return list(found.values())


def _training(run: Facts) -> dict[str, str]:
    return {name: value for name, value in run.training.items() if name != "seed"}


def _timing(runs: Sequence[Facts]) -> str:
    head = ("run", "seed", "step", "of", "seconds of training", "updates a second", "device")
    rows = [
        (
            run.label,
            str(run.seed),
            f"{run.step:,}",
            "" if run.steps is None else f"{run.steps:,}",
            f"{run.seconds:,.0f}",
            f"{run.speed:,.0f}",
            run.device,
        )
        for run in runs
    ]
    return table(head, rows, numbers=(1, 2, 3, 4, 5))


def _commands(runs: Sequence[Facts]) -> str:
    lines = "\n".join(run.command for run in runs)
    return f'<pre class="wrap">{escape(lines)}</pre>'


def _settings(runs: Sequence[Facts]) -> str:
    return "".join(_details(run) for run in _kinds(runs))


def _details(run: Facts) -> str:
    rows = table(("setting of the training", "value"), _training(run).items())
    parts = [("the spec as written", f"<pre>{colored(run.written)}</pre>")] if run.written else []
    parts += [("the spec with all options", f"<pre>{colored(run.resolved)}</pre>"), ("settings of the training", rows)]
    inside = "".join(
        f"<details{' open' if number == 0 else ''}><summary>{title}</summary>{body}</details>"
        for number, (title, body) in enumerate(parts)
    )
    return f"<h3>{escape(run.label)} on {escape(run.task)}</h3>{inside}"


def _versions(runs: Sequence[Facts]) -> str:
    """Versions by package, a column for each set of them that occurs."""
    sets: dict[str, dict[str, str]] = {}
    for run in runs:
        known = {"python": run.python, **run.versions, "device": run.device}
        sets.setdefault(json.dumps(known, sort_keys=True), known)
    names = dict.fromkeys(name for known in sets.values() for name in known)
    rows = [(name, *(known.get(name, _ABSENT) for known in sets.values())) for name in names]
    return table(("package", *(f"set {number}" for number in range(1, len(sets) + 1))), rows)
