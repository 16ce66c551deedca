"""The tables and figures of a suite, as text and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.runtime import files
from flowrl_dsl.suites import figures, tables
from flowrl_dsl.suites.errors import SuiteError
from flowrl_dsl.suites.jobs import Job
from flowrl_dsl.suites.scores import Measured, measured
from flowrl_dsl.suites.store import Store
from flowrl_dsl.suites.tables import Table


def made(jobs: Sequence[Job], store: Store, against: str | None) -> list[Table]:
    """Every table; raises FRL0508 for a spec ``against`` which there is no result."""
    return _tables(measured(jobs, store.counted()), against)


def text(jobs: Sequence[Job], store: Store, against: str | None, form: str) -> str:
    """Every table in one form, one below the other."""
    return "\n".join(tables.FORMS[form](table) for table in made(jobs, store, against))


def write(jobs: Sequence[Job], store: Store, against: str | None, folder: Path) -> list[Path]:
    """Write every table in every form, every figure in every format, and a page with all of them; returns the files."""
    found = measured(jobs, store.counted())
    every = _tables(found, against)
    paths = [
        _written(folder / f"{table.name}{tables.SUFFIXES[form]}", tables.FORMS[form](table))
        for table in every
        for form in ("csv", "latex")
    ]
    drawn = figures.draw_all(found, folder)
    pictures = [f"![{path.stem}]({path.name})" for path in drawn if path.suffix == ".png"]
    page = "\n".join([*map(tables.markdown, every), *pictures, _unscored(found)])
    return [_written(folder / "report.md", page.rstrip() + "\n"), *paths, *drawn]


def _tables(found: Measured, against: str | None) -> list[Table]:
    baseline = against or next(iter(found))
    if baseline not in found:
        raise SuiteError("FRL0508", f'there is no result of "{baseline}"', did_you_mean(baseline, found))
    return tables.tables_of(found, baseline)


def _unscored(found: Measured) -> str:
    """The tasks that enter no score, which a reader would otherwise not miss."""
    missing = dict.fromkeys(one.task for own in found.values() for one in own if one.reference is None)
    return f"\nWithout reference scores, and so in no score: {', '.join(missing)}." if missing else ""


def _written(path: Path, content: str) -> Path:
    with files.disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, content.encode())
    return path
