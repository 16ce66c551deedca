"""A long study of random specs: their enumeration, the checks of each, and a file of results that survives interruptions.

The specs of a study are numbered.  Number n is the same spec in every run, so that a study can be sharded and resumed::

    study = Study(Path("study.jsonl"))
    for number in study.missing(range(1000)):
        study.check(number)
    print(study.summary())
    study.raise_failures()

Every spec passes through all quick checks; the long checks rotate over the specs: see :func:`turn`.
"""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
from hypothesis import HealthCheck, Phase, given, seed, settings

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.registry import Component, families
from flowrl_dsl.testing import invariants
from flowrl_dsl.testing.invariants import PROGRAM_CHECKS, Check, Trial
from flowrl_dsl.testing.strategies import STYLES, batch_of, hyper_of, specs

BLOCK = 25
"""Specs that are drawn together, from one seed."""
TURNS: dict[Check, tuple[int, int]] = {
    invariants.check_printed: (4, 0),
    invariants.check_printed_for_reading: (4, 2),
    invariants.check_passes_keep_values: (2, 1),
    invariants.check_update_is_repeated_step: (8, 3),
}
"""Checks that take long: (n, k) lets every n-th spec have it, beginning with number k."""
COMPILED: dict[tuple[str, ...], tuple[int, int]] = {("update",): (8, 3), ("explore", "evaluate"): (8, 5), ("init",): (8, 7)}
"""Functions that XLA compiles for every n-th spec and NumPy computes for the others, in the same way."""


_DRAWS = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def components_of(algorithm: Algorithm) -> frozenset[str]:
    """All components of an algorithm, at any depth, as ``family:name``, without sections."""
    found: set[str] = set()

    def look(part: Any) -> None:
        if isinstance(part, Component) and part.family != "section":
            found.add(f"{part.family}:{part.name}")
        for name in getattr(type(part), "model_fields", ()):
            look(getattr(part, name))

    for part in (*algorithm.sections.values(), algorithm.regime, *algorithm.improvements, *algorithm.parameters.values()):
        look(part)
    return frozenset(found)


@lru_cache(maxsize=4)
def _block(number: int) -> list[str]:
    """The specs of one block.  The first draw of Hypothesis is always the simplest one and is omitted."""
    found: list[str] = []

    @seed(number)
    @settings(_DRAWS, max_examples=BLOCK + 1)
    @given(specs())
    def draw(text: str) -> None:
        found.append(text)

    draw()
    return found[1 : BLOCK + 1]


def spec(number: int) -> str | None:
    """The text of a spec of studies; None if its block is shorter because Hypothesis rejected some."""
    block = _block(number // BLOCK)
    return block[number % BLOCK] if number % BLOCK < len(block) else None


def turn(number: int) -> tuple[list[str], list[Check]]:
    """The functions of this spec's program that are compiled besides the step, and the checks it passes through."""
    compiled = [name for names, (n, k) in COMPILED.items() if number % n == k for name in names]
    skipped = {check for check, (n, k) in TURNS.items() if number % n != k}
    return compiled, [check for check in PROGRAM_CHECKS if check not in skipped]


def check_composition(text: str, number: int) -> Trial:
    """Run the checks of this turn; then run the compiled step with other numbers and with batches of all styles."""
    compiled, checks = turn(number)
    trial = invariants.trial(text, seed=number, compiled=compiled)
    invariants.check_program(trial, checks)
    invariants.check_changed_number_does_not_recompile(trial, hyper_of(trial.program, trial.algorithm, number))
    for style in STYLES:
        invariants.check_finite(trial, batch_of(trial.program, number, style))
        trial.did[f"batch: {style}"] += 1
    return trial


class Study:
    """Results of checked specs, passed or failed, as lines of JSON in a file.

    Each line has the spec's ``number``, its ``components``, the counts ``did``, and for a failure ``how`` and the ``text``.
    If a number has several lines, the last one counts.  ``others`` are result files of other shards to include.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()):
        self.path = path
        self.results: dict[int, dict[str, Any]] = {}
        for file in (*others, path):
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            self.results |= {result["number"]: result for result in map(json.loads, lines)}

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """The numbers without a result, and those that failed, which are checked again after a correction."""
        return [number for number in numbers if number not in self.results or "how" in self.results[number]]

    def check(self, number: int) -> None:
        """Check a spec and record the result; a failure is recorded and does not abort the study."""
        failed = self.results.get(number, {}).get("text")
        text = failed if failed is not None else spec(number)
        if text is not None:
            self.check_text(number, text)

    def check_text(self, number: int, text: str) -> None:
        """As :meth:`check`, for a given text."""
        start = time.process_time()
        result: dict[str, Any] = {"number": number, "components": [], "did": {}}
        try:
            algorithm = invariants.check_valid(text)
            result["components"] = sorted(components_of(algorithm))
            result["did"] = dict(check_composition(text, number).did)
        except Exception as error:
            notes = " ".join(getattr(error, "__notes__", ()))
            result |= {"how": f"{type(error).__name__} {notes}: {str(error)[:2000]}", "text": text}
        result["seconds"] = round(time.process_time() - start, 2)
        self.note(result)
        if len(self.results) % BLOCK == 0:
            # jax caches compiled programs as long as it references their source functions
            jax.clear_caches()
            gc.collect()

    def note(self, result: dict[str, Any]) -> None:
        """Add a result to the file."""
        self.results[result["number"]] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [result for result in self.results.values() if "how" in result]

    @property
    def compositions(self) -> set[frozenset[str]]:
        """The distinct sets of components."""
        return {frozenset(result["components"]) for result in self.results.values()}

    @property
    def components(self) -> set[str]:
        """All components in the checked specs."""
        return set().union(*self.compositions)

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Unordered pairs of different components that occurred in one spec."""
        return {pair for together in self.compositions for pair in combinations(sorted(together), 2)}

    @property
    def did(self) -> Counter[str]:
        """The number of checks of each kind, in specs that did not fail."""
        return sum((Counter(result["did"]) for result in self.results.values()), Counter())

    def summary(self) -> str:
        registered = sum(len(members) for family, members in families().items() if family != "section")
        return (
            f"{len(self.results)} specs, {len(self.compositions)} distinct sets of components; "
            f"{len(self.components)} of {registered} components, {len(self.pairs)} distinct pairs of them; "
            f"{len(self.failures)} failures; {sum(result['seconds'] for result in self.results.values()):.0f} s"
        )

    def table(self) -> str:
        """The number of checks of each kind, one per line, as Markdown."""
        rows = "\n".join(f"| {name} | {count} |" for name, count in sorted(self.did.items()))
        return f"| checked | times |\n|---|---|\n{rows}"

    def raise_failures(self) -> None:
        """Raise ``AssertionError`` with all failures, if there are any."""
        shown = [f"number {result['number']}: {result['how']}\n\n{result['text']}" for result in self.failures]
        assert not shown, f"{self.summary()}\n\n" + "\n\n--------\n\n".join(shown)
