"""Fill the part of docs/comparisons.md about sensitivities: four specs, each with one of four numbers changed at a time.

``python docs/make_sensitivities.py`` runs what the suites `sensitivity_SPEC` have and neither ``docs/results.jsonl`` nor
``docs/results_sensitivity.jsonl`` does, adds the new results to the latter, and writes the tables and the figure.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import make_results
import numpy as np
from records import DOCS, fill, table
from studies import Study, recorded, run_suite

from flowrl_dsl import driver
from flowrl_dsl.runtime.curves import Curve
from flowrl_dsl.runtime.figures import COLORS, PAGE, save
from flowrl_dsl.suites.jobs import jobs_of

HOME = DOCS.parent / "runs" / "sensitivity"
RECORDS = DOCS / "results_sensitivity.jsonl"
PICTURE = "sensitivity.png"
TASK = "HalfCheetah-v5"

FACTORS = {
    "temperature": ("colder", "warmer"),
    "denoising steps": ("fewer_steps", "more_steps"),
    "candidates": ("fewer_candidates", "more_candidates"),
    "network size": ("smaller", "larger"),
}
"""What is changed, and the groups of the suites that have less and more of it."""
MIDDLE = "middle"
SPECS = {
    "qsm": {"temperature": ("0.03", "0.1", "0.3"), "candidates": ("2", "10", "50")},
    "sdac": {"temperature": ("0.015", "0.05", "0.15"), "candidates": ("8", "32", "128")},
    "dpmd": {"temperature": ("1.8", "1.0", "0.3"), "candidates": ("4", "8", "32")},
    "qvpo": {"temperature": ("0.001", "0.01", "0.1"), "candidates": ("4", "16", "64")},
}
"""The values of what each spec calls in its own way: less, those in the middle, and more."""
SHARED = {"denoising steps": ("2", "5", "20"), "network size": ("half", "1", "double")}


def values_of(spec: str) -> dict[str, tuple[str, str, str]]:
    """The values of each factor of a spec."""
    own = SPECS[spec] | SHARED
    return {factor: own[factor] for factor in FACTORS}


@cache
def study(spec: str) -> Study:
    """The suite of a spec with the results of both files."""
    suite = driver.resolve_suite_or_raise(f"sensitivity_{spec}")
    return Study(jobs_of(suite), [*recorded(make_results.RECORDS), *recorded(RECORDS)])


def curves(spec: str, factor: str) -> list[Curve | None]:
    """The curves with less, with the value in the middle, and with more; None for what is not run."""
    less, more = FACTORS[factor]
    found = study(spec).curves
    return [found.get((f"{spec} ({group})", TASK)) for group in (less, MIDDLE, more)]


def begun() -> list[str]:
    """The specs with a result besides that in the middle."""
    return [spec for spec in SPECS if any(MIDDLE not in label for label, _ in study(spec).curves)]


def returns(spec: str) -> str:
    """The final inter-quartile means of a spec with their intervals: a row for each factor."""
    rows = []
    for factor, values in values_of(spec).items():
        cells = (_final(curve, value) for curve, value in zip(curves(spec, factor), values, strict=True))
        rows.append([factor, *cells])
    return table([spec, "less", "in the middle", "more"], rows)


def _final(curve: Curve | None, value: str) -> str:
    if curve is None:
        return f"{value}: not run"
    return f"{value}: {curve.center[-1]:.0f} [{curve.low[-1]:.0f}, {curve.high[-1]:.0f}]"


def draw(output: Path) -> None:
    """Small multiples: a row for each spec, a column for each factor; final means with their intervals."""
    save(_multiples, output)


def _multiples() -> Any:
    from matplotlib.figure import Figure

    specs = begun()
    figure = Figure(figsize=(PAGE, 1.3 * len(specs) + 0.2), layout="constrained")
    panels = figure.subplots(len(specs), len(FACTORS), squeeze=False, sharey=True)
    for row, spec in zip(panels, specs, strict=True):
        row[0].set_ylabel(spec)
        for panel, (factor, values) in zip(row, values_of(spec).items(), strict=True):
            _panel(panel, curves(spec, factor), values)
            if spec == specs[0]:
                panel.set_title(factor)
    return figure


def _panel(panel: Any, drawn: list[Curve | None], values: tuple[str, str, str]) -> None:
    known = [(place, curve) for place, curve in enumerate(drawn) if curve is not None]
    panel.set_xticks(range(len(values)), values)
    panel.set_xlim(-0.3, len(values) - 0.7)
    if known:
        places = [place for place, _ in known]
        center, low, high = (
            np.array([getattr(curve, name)[-1] for _, curve in known]) for name in ("center", "low", "high")
        )
        panel.errorbar(places, center, [center - low, high - center], fmt="o-", color=COLORS[0], capsize=2, linewidth=1)


def write() -> None:
    """Write the tables and the figure."""
    draw(DOCS / PICTURE)
    fill("comparisons.md", "sensitivity", "\n\n".join([f"![returns]({PICTURE})", *map(returns, begun())]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="run nothing; write the page from the recorded runs")
    parser.add_argument("--specs", nargs="+", default=list(SPECS), choices=list(SPECS))
    parser.add_argument("--jobs", help="how many populations run at a time")
    asked = parser.parse_args()
    words = ["--population", *(["--jobs", asked.jobs] if asked.jobs else [])]
    for spec in asked.specs if not asked.only_write else ():
        run_suite(f"sensitivity_{spec}", HOME, RECORDS, words, borrowed=recorded(make_results.RECORDS))
    write()


if __name__ == "__main__":
    main()
