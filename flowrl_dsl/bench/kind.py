"""The interface of a kind of benchmark, and the loop over the specs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.runtime.errors import Interrupted

DEFAULT_TASK = "HalfCheetah-v5"
"""The default task of benchmarks that step environments."""


@dataclass(frozen=True)
class Asked:
    """Arguments of a ``bench`` command; no specs means all shipped ones, ``repeat`` None the default of the kind."""

    kind: str
    specs: tuple[str, ...] = ()
    task: str | None = None
    sets: tuple[str, ...] = ()
    repeat: int | None = None


class CannotMeasure(Exception):
    """Raised by a kind of benchmark; its message is the complete reason."""


@dataclass(frozen=True)
class Failed:
    """A failed measurement, with the reason in one line."""

    what: str
    reason: str


@dataclass(frozen=True)
class Fact:
    """A property of the machine with which the rows are compared."""

    name: str
    value: float


@dataclass(frozen=True)
class Kind:
    """``measure(asked, repeat)`` yields rows, instances of the dataclass ``row``, as soon as each is measured.

    ``columns`` are the table's titles and cells; ``summary`` is over all rows, of which there is at least
    one.
    """

    title: str
    row: type
    columns: Mapping[str, Callable[[Any], str]]
    measure: Callable[[Asked, int], Iterator[Any]]
    repeat: int
    summary: Callable[[Sequence[Any]], dict[str, float]] = lambda rows: {}


def each_spec(asked: Asked, measure: Callable[[str], Iterable[Any]]) -> Iterator[Any]:
    """The rows of every spec; one that cannot be measured is a :class:`Failed`, and the others are still measured."""
    specs = asked.specs or tuple(shipped_specs())
    for position, spec in enumerate(specs, 1):
        yield from attempt(spec, f"{asked.kind}: {spec}, {position} of {len(specs)}", partial(measure, spec))


def attempt(what: str, doing: str, measure: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """The rows of one measurement, or :class:`Failed`; ``doing`` is printed on standard error before it starts."""
    print(f"measuring {doing}", file=sys.stderr, flush=True)
    try:
        yield from measure()
    except Interrupted:
        raise
    except Exception as error:
        # an error of XLA, a task or a user's component must not lose the rest of a long table
        yield Failed(what, reason(error))


def reason(error: Exception) -> str:
    """An exception in one line; for diagnostics the first one with its notes."""
    if isinstance(error, DiagnosticError) and error.diagnostics:
        first = error.diagnostics[0]
        text = "; ".join([f"{first.code}: {first.message}", *first.notes])
        more = len(error.diagnostics) - 1
        return text + (f" (and {more} more)" if more else "")
    if isinstance(error, CannotMeasure):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
