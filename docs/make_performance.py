"""Measure the speed of the shipped specs and write the tables of docs/performance.md.

``python docs/make_performance.py``, on an otherwise idle machine.  Results are kept in ``runs/performance``: remove a file
there to measure it again.  The update is measured for all specs, acting and training for some specs of each kind of policy,
because 2000 training steps take a quarter of an hour if an update takes 0.6 s.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from flowrl_dsl.bench.report import KINDS, from_json, markdown

DOCS = Path(__file__).parent
KEPT = DOCS.parent / "runs" / "performance"
SPECS = {
    "act": ("sac", "td3", "qsm", "dpmd", "fpmd", "edm_mirror", "driftpo", "nclql"),
    "train": ("sac", "td3", "redq", "qsm", "nclql", "diffusion_bptt", "driftpo"),
}
"""The measured specs of the kinds that do not cover all."""


def measure(kind: str) -> None:
    """Run one kind of benchmark in its own process; an interrupted result is discarded."""
    draft, path = KEPT / f"{kind}.draft.json", KEPT / f"{kind}.json"
    command = [sys.executable, "-m", "flowrl_dsl.cli", "bench", kind, *SPECS.get(kind, ()), "--json"]
    with draft.open("w") as output:
        subprocess.run(command, stdout=output, check=False)
    if draft.stat().st_size and not from_json(draft.read_text()).interrupted:
        draft.replace(path)


def filled(page: str, tables: dict[str, str]) -> str:
    """The page with each table inserted between the markers of its kind."""
    for kind, table in tables.items():
        before, _, rest = page.partition(f"<!-- {kind} -->")
        _, _, after = rest.partition(f"<!-- end of {kind} -->")
        page = f"{before}<!-- {kind} -->\n{table}\n<!-- end of {kind} -->{after}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-write", action="store_true", help="measure nothing; write the page from existing results")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    asked = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    paths = {kind: KEPT / f"{kind}.json" for kind in asked.kinds}
    for kind, path in paths.items():
        if not asked.only_write and not path.exists():
            measure(kind)
    tables = {kind: markdown(from_json(path.read_text())) for kind, path in paths.items() if path.exists()}
    page = DOCS / "performance.md"
    page.write_text(filled(page.read_text(), tables))


if __name__ == "__main__":
    main()
