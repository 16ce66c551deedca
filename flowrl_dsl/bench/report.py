"""Results of a benchmark: collected row by row, printed as a table or as JSON, which is read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import import_module
from typing import Any

from flowrl_dsl.bench import machine
from flowrl_dsl.bench.kind import Asked, Fact, Failed, Kind
from flowrl_dsl.runtime.errors import Interrupted

KINDS = ("step", "act", "env", "train")


@dataclass
class Report:
    """The rows measured so far; ``interrupted`` if the benchmark was stopped early."""

    asked: Asked
    repeat: int
    rows: list[Any] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False


def kind_of(name: str) -> Kind:
    """One of :data:`KINDS`; imported when it is asked for, because most need jax."""
    return import_module(f"flowrl_dsl.bench.{name}").KIND


def collect(asked: Asked) -> Report:
    """Measure; Ctrl-C stops and keeps the results so far."""
    kind = kind_of(asked.kind)
    report = Report(asked, asked.repeat or kind.repeat)
    try:
        for found in kind.measure(asked, report.repeat):
            if isinstance(found, Fact):
                report.facts[found.name] = found.value
            else:
                (report.failed if isinstance(found, Failed) else report.rows).append(found)
    except (KeyboardInterrupt, Interrupted):
        report.interrupted = True
    # last, because it starts jax, which the environments do not need
    report.machine = machine.facts()
    return report


def summary(report: Report) -> dict[str, float]:
    """The kind's means over all rows; empty without rows."""
    return kind_of(report.asked.kind).summary(report.rows) if report.rows else {}


def text(report: Report) -> str:
    """The table for a terminal, with failures as rows, means and machine below."""
    titles, rows = _cells(report)
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    name = max([widths[0], *(len(one.what) for one in report.failed)])
    lines = [kind_of(report.asked.kind).title]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, [name, *widths[1:]], strict=True)).rstrip()
              for row in [titles, *rows]]  # fmt: skip
    lines += [f"{one.what.ljust(name)}  failed: {one.reason}" for one in report.failed]
    return "\n".join([*lines, *_below(report)])


def markdown(report: Report) -> str:
    """The same as Markdown."""
    titles, rows = _cells(report)
    lines = [_row(titles), "|---" * len(titles) + "|", *map(_row, rows)]
    lines += [_row([one.what, f"failed: {one.reason}", *[""] * (len(titles) - 2)]) for one in report.failed]
    return "\n".join([*lines, "", *(f"- {line}" for line in _below(report))])


def _cells(report: Report) -> tuple[list[str], list[list[str]]]:
    columns = kind_of(report.asked.kind).columns
    return list(columns), [[shown(row) for shown in columns.values()] for row in report.rows]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _below(report: Report) -> list[str]:
    lines = [f"{name}: {value:.3g}" for name, value in (summary(report) | report.facts).items()]
    lines.append(", ".join(f"{name} {value}" for name, value in report.machine.items()) + f"; {_how(report)}")
    return lines + (["interrupted: results so far"] if report.interrupted else [])


def _how(report: Report) -> str:
    asked = report.asked
    words = [f"task {asked.task}"] if asked.task else []
    words += [f"--set {one}" for one in asked.sets]
    return ", ".join([f"samples {report.repeat}", *words])


def as_json(report: Report) -> dict[str, Any]:
    """The numbers of the table, with the description of the machine."""
    return {
        "bench": report.asked.kind,
        "asked": asdict(report.asked),
        "repeat": report.repeat,
        "machine": report.machine,
        "facts": report.facts,
        "rows": [asdict(row) for row in report.rows],
        "failed": [asdict(one) for one in report.failed],
        "summary": summary(report),
        "interrupted": report.interrupted,
    }


def from_json(text: str) -> Report:
    """The report of the JSON that ``--json`` prints."""
    said = json.loads(text)
    asked = Asked(**_fields(Asked, said["asked"]))
    row = kind_of(asked.kind).row
    return Report(
        asked,
        said["repeat"],
        [row(**_fields(row, one)) for one in said["rows"]],
        [Failed(**one) for one in said["failed"]],
        said["facts"],
        said["machine"],
        said["interrupted"],
    )


def _fields(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples: its lists are converted to the types of the dataclass."""
    found = {one.name: values[one.name] for one in fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
