"""Small specs for the tests of this room."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import render_text
from flowrl_dsl.spec.resolve import Resolution, resolve

GAUSSIAN = "policy { backbone = tanh_gaussian }"
DIFFUSION = "policy { backbone = diffusion  sampler = ddpm(steps = 20)  old = copy(every = 1000) }"
CRITIC = "critic {}"
IMPROVE = "improve reparameterized {}"


def spec(*statements: str) -> str:
    """An algorithm around statements."""
    return "algorithm example {\n" + "\n".join(f"  {s}" for s in statements) + "\n}\n"


def gaussian(*statements: str) -> str:
    """The smallest complete algorithm, and further statements."""
    return spec(*statements, GAUSSIAN, CRITIC, IMPROVE)


def resolve_text(folder: Path, text: str, name: str = "spec.flowrl", **how: Any) -> Resolution:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return resolve(str(path), **how)


def calls_of(action: Callable[[], object]) -> int:
    """The work of an action, in function calls, of Python and of C: the same at every run, unlike its time."""
    count = 0

    def each(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(each)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def algorithm_of(found: Resolution) -> Algorithm:
    """The algorithm; with errors, the test fails and shows them."""
    assert found.algorithm is not None, render_text(found.diagnostics, found.sources)
    return found.algorithm


def codes(found: Resolution) -> list[str]:
    """The codes of all errors, sorted."""
    return sorted(d.code for d in found.diagnostics.errors)


def place(found: Resolution, code: str) -> str:
    """The text under the carets of the one diagnostic with this code."""
    (diagnostic,) = [d for d in found.diagnostics if d.code == code]
    span = diagnostic.span
    assert span is not None and span.line == span.end_line
    return found.sources[span.file].splitlines()[span.line - 1][span.column - 1 : span.end_column - 1]


def without_places(algorithm: Algorithm) -> dict[str, Any]:
    """What an algorithm means: everything but where it was written."""
    plain: Sequence[str] = ("name", "title", "paper", "regime", "order", "sections")
    return {
        **{name: getattr(algorithm, name) for name in plain},
        "parameters": [p.model_copy(update={"span": None}) for p in algorithm.parameters.values()],
        "improvements": [i.model_copy(update={"span": None}) for i in algorithm.improvements],
    }
