"""The commands ``list``, ``diff`` and ``new``: specs, suites and components, differences of specs, and new specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import Any

from flowrl_dsl import driver
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import Component, families, find, names_of
from flowrl_dsl.resources import shipped_specs, shipped_suites
from flowrl_dsl.spec.compare import Difference, compare
from flowrl_dsl.spec.show import show
from flowrl_dsl.spec.suites.compare import compare_suites
from flowrl_dsl.spec.suites.suite import Suite

SPECS, SUITES, COMPONENTS, TASKS = "specs", "suites", "components", "tasks"


def listing(what: str | None) -> str:
    """Shipped specs and suites, and registered components by family, or the part selected by ``what``.

    Raises ``ValueError`` for an unknown family.
    """
    return "\n\n".join(
        f"{name.replace('_', ' ')}\n{_table([tuple(row.values()) for row in rows])}" for name, rows in listed(what).items()
    )


Rows = list[dict[str, str]]


def listed(what: str | None) -> dict[str, Rows]:
    """What :func:`listing` shows: rows of ``name``, ``summary``, ... for ``specs`` and for each family."""
    known = families()
    if what in known:
        return {what: _family(known[what])}
    if what == TASKS:
        # simulators are imported: only where they are asked for
        return {TASKS: [row for name in sorted(names_of("world")) for row in _tasks(name)]}
    if what not in (None, SPECS, SUITES, COMPONENTS):
        raise ValueError(f'unknown family "{what}"; {did_you_mean(str(what), [SPECS, SUITES, COMPONENTS, TASKS, *known])}')
    chosen = {SPECS: _specs()} if what in (None, SPECS) else {}
    chosen |= {SUITES: _suites()} if what in (None, SUITES) else {}
    return chosen | ({name: _family(known[name]) for name in sorted(known)} if what in (None, COMPONENTS) else {})


def _specs() -> Rows:
    rows = []
    for name in shipped_specs():
        algorithm, _ = driver.resolve_or_raise(name, None, ())
        rows.append({"name": name, "axes": _axes(algorithm), "title": algorithm.title or "", "paper": algorithm.paper or ""})
    return rows


def _suites() -> Rows:
    rows = []
    for name, path in shipped_suites().items():
        suite = driver.resolve_suite_or_raise(str(path))
        runs = sum(len(group.specs) * len([*group.places()]) * len(group.seeds) for group in suite.groups)
        rows.append({"name": name, "runs": f"{runs} runs", "title": suite.title or "", "paper": ""})
    return rows


def _tasks(world: str) -> Rows:
    """The tasks of a kind of world, each with what is not yet there of what it needs."""
    kind: Any = find("world", world)
    if any(find_spec(package) is None for package in kind.packages):
        return [{"name": f"{world}/*", "state": "not installed", "needs": kind.cure, "paper": kind.paper}]
    return [
        {"name": name, "state": "not installed" if needs else "installed", "needs": needs, "paper": ""}
        for name, needs in kind().tasks() or [(f"{world}/*", "")]
    ]


def _axes(algorithm: Algorithm) -> str:
    """Backbone and mechanisms: the place of a spec in the taxonomy."""
    backbone = algorithm.sections["policy"].backbone.name  # type: ignore[attr-defined]
    mechanisms = dict.fromkeys(block.mechanism.name for block in algorithm.improvements)
    return f"{backbone}, {' + '.join(mechanisms)}"


def _family(members: dict[str, type[Component]]) -> Rows:
    return [{"name": key, "summary": _summary(members[key]), "paper": members[key].paper} for key in sorted(members)]


def _summary(component: type[Component]) -> str:
    return (component.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("``", "").replace("     ", " ")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their content, except the last two, which share one column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 2)]
    lines = []
    for row in rows:
        *fixed, text, paper = row
        cells = [cell.ljust(width) for cell, width in zip(fixed, widths, strict=True)]
        lines.append("  " + "  ".join([*cells, f"{text} [{paper}]" if paper else text]).rstrip())
    return "\n".join(lines)


@dataclass(frozen=True)
class Differences:
    """The semantic differences between two specs, or two suites, setting by setting."""

    left: Algorithm | Suite
    right: Algorithm | Suite
    found: Sequence[Difference]

    def as_json(self) -> dict[str, Any]:
        """The names of both, and each setting by its path with both values."""
        return {"left": self.left.name, "right": self.right.name, "differences": [asdict(one) for one in self.found]}

    def text(self) -> str:
        """For a terminal."""
        if not self.found:
            return f"{self.left.name} and {self.right.name} are equivalent"
        lines = [f"- {self.left.name}: {self.left.title}", f"+ {self.right.name}: {self.right.title}"]
        for one in self.found:
            lines += ["", one.path, f"  - {one.left}", f"  + {one.right}"]
        return "\n".join(lines)


def differences(left: str, right: str, task: str | None, sets: Sequence[str]) -> Differences:
    """The differences between two specs as resolved for a task, or between two suites."""
    if any(map(driver.holds_suite, (left, right))):
        one, other = (driver.resolve_suite_or_raise(name) for name in (left, right))
        return Differences(one, other, compare_suites(one, other))
    a, b = (driver.resolve_or_raise(spec, task, sets)[0] for spec in (left, right))
    return Differences(a, b, compare(a, b))


def new(name: str, base: str, path: Path) -> None:
    """Write a spec that extends another and contains all its settings as comments.

    Raises ``ValueError`` for an invalid name or an existing file.
    """
    if not name.isidentifier():
        raise ValueError(f'"{name}" is not a valid name of an algorithm: use letters, digits and _, no leading digit')
    if path.exists():
        raise ValueError(f"{path} already exists: choose another name, or another file with -o")
    algorithm, _ = driver.resolve_or_raise(base, None, ())
    extended = f"{base}.flowrl" if base in shipped_specs() else base
    body = show(algorithm).split("{\n", 1)[1].rsplit("}", 1)[0]
    commented = indent(body, "# ", lambda line: True).replace("# \n", "#\n")
    text = (
        f"# Everything else is inherited from {extended}; `flowrl-dsl diff {base} {path}` shows the changes.\n"
        f'algorithm {name} extends "{extended}" {{\n'
        f"  # All inherited settings.  To change one, uncomment its line and the enclosing braces.\n"
        f"  #\n{indent(commented, '  ')}}}\n"
    )
    from flowrl_dsl.runtime import files

    with files.disk(path):
        files.replace(path, text.encode())
