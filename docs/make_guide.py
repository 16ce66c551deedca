"""Fill docs/guide.md with the results of the studies: its table, and each figure in its text.

``python docs/make_guide.py`` trains nothing; it reads the results of the other scripts of this folder and the table of
docs/performance.md.  A figure in the text is a link to the page whose command repeats it, and its title names the figure::

    qvpo ends at [1754](results.md "return of qvpo on HalfCheetah-v5")

The kinds of figures are the entries of :data:`FIGURES`.  A title that is none of them raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

import make_known_answers
import make_offline_answers
import make_offline_results
import make_on_policy_results
import make_results
import taxonomy
from records import DOCS, Record, fill, table
from studies import Study

PAGE = "guide.md"
LINK = re.compile(r'\[([^][]*)\]\((\w+\.md) "([^"]+)"\)')
"""A link with a title: the text, the page and the title."""
TASKS = ("InvertedPendulum-v5", "dm_control/cartpole-swingup", "HalfCheetah-v5")
"""The tasks of the table."""


def final_return(spec: str, task: str) -> str:
    """The inter-quartile mean over seeds of the return of the final policy."""
    return _final(make_results.study(), spec, task)


def on_policy_return(spec: str, task: str) -> str:
    """The same on a task of MuJoCo Playground."""
    return _final(make_on_policy_results.study("playground"), spec, task)


def _final(of: Study, spec: str, task: str) -> str:
    curve = of.curves.get((spec, task))
    if curve is None:
        return "not run"
    return f"{curve.center[-1]:.0f}" if abs(curve.center[-1]) >= 10 else f"{curve.center[-1]:.1f}"


def _answer(spec: str, shape: str) -> Record:
    found = make_known_answers.RECORDS.shown(make_known_answers.key_of(spec, shape))
    if found is None:
        raise ValueError(f"{spec} has no known answer on {shape}")
    return found


def regions(spec: str, shape: str) -> str:
    """The share of good regions that receive at least half of their probability."""
    return f"{_answer(spec, shape)['covered']:.0%}"


def floors(spec: str, shape: str) -> str:
    """The distance to the density, in multiples of that of a sampler with the exact score."""
    found = _answer(spec, shape)
    return f"{found['distance'] / found['floor']:.1f}"


def offline_floors(spec: str, problem: str) -> str:
    """As :func:`floors`, for the density that an offline spec is after."""
    found = make_offline_answers.RECORDS.shown(make_offline_answers.key_of(spec, problem))
    if found is None:
        raise ValueError(f"{spec} has no known answer on {problem}")
    return f"{found['distance'] / found['floor']:.1f}"


def fine_tuned_steps(spec: str, how: str, task: str) -> str:
    """The environment steps until the good policy, with a middling data set or alone."""
    place = next(one for one in make_offline_results.TASKS if one.name == task)
    label, where = make_offline_results.pair(*make_offline_results.FINE_TUNED[spec], place)[how == "alone"]
    steps = make_offline_results.steps_to_good(make_offline_results.study("fine_tuning"), label, place, where)
    return "never" if steps is None else str(steps)


@cache
def _updates() -> dict[str, list[str]]:
    """The rows of the table of updates in docs/performance.md by spec, without the mark of many actions."""
    text = (DOCS / "performance.md").read_text().split("<!-- step -->")[1].split("<!-- end of step -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    return {row[0].removesuffix(" *"): row for row in rows[1:]}


def milliseconds(spec: str) -> str:
    """The duration of one update with all passes, at the sizes of HalfCheetah-v5 and the settings of the spec."""
    return f"{float(_updates()[spec][3]):.3g}"


def sharing(spec: str) -> str:
    """How many times as long an update takes without passes."""
    return _updates()[spec][1]


FIGURES: dict[str, tuple[str, Callable[..., str]]] = {
    r"return of (\w+) on (playground/\w+)": ("results_on_policy.md", on_policy_return),
    r"return of (\w+) on (\S+)": ("results.md", final_return),
    r"regions of (\w+) on (\w+)": ("known_answers.md", regions),
    r"floors of (\w+) on (\w+)": ("known_answers.md", floors),
    r"floors of (\w+) offline on (\w+)": ("known_answers_offline.md", offline_floors),
    r"steps of (\w+) (with data|alone) on (\S+)": ("results_offline.md", fine_tuned_steps),
    r"milliseconds of (\w+)": ("performance.md", milliseconds),
    r"sharing of (\w+)": ("performance.md", sharing),
}
"""Patterns of titles; each with the page of the figure and the function that computes it from the groups of the pattern."""


def figure(title: str) -> tuple[str, str]:
    """The page and the text of the figure with this title.  Raises ValueError for a title of no kind."""
    for pattern, (page, compute) in FIGURES.items():
        if found := re.fullmatch(pattern, title):
            return page, compute(*found.groups())
    raise ValueError(f"no figure has the title {title!r}")


def with_figures(text: str) -> str:
    """The text with each figure computed anew."""

    def computed(link: re.Match[str]) -> str:
        page, value = figure(link[3])
        return f'[{value}]({page} "{link[3]}")'

    return LINK.sub(computed, text)


def rows() -> Iterator[list[str]]:
    """A row for each spec with results: its mechanisms, what an update costs, and its final returns, from the cheapest."""
    mechanisms = {place.spec: " + ".join(place.mechanisms) for place in taxonomy.places()}
    marked = make_results.study().marked
    aims = {spec: entry.aim for spec, entry in make_known_answers.SPECS.items()}
    words = {"density": "the density", "value": "the best action", "own": "its own"}
    for spec in sorted(make_results.SPECS, key=lambda spec: float(milliseconds(spec))):
        name = marked(spec).replace(spec, f"[{spec}](../specs/{spec}.flowrl)", 1)
        returns = [final_return(spec, task) for task in TASKS]
        yield [name, mechanisms[spec], words[aims[spec]], milliseconds(spec), *returns]


def specs() -> str:
    """The table of all specs with results."""
    return table(["spec", "mechanism", "after", "ms an update", *TASKS], list(rows()))


def write() -> None:
    """Write the table and the figures of the page."""
    fill(PAGE, "specs", specs())
    path = DOCS / PAGE
    path.write_text(with_figures(path.read_text()))


if __name__ == "__main__":
    write()
