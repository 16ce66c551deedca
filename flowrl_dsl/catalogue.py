"""What there is to choose from, and a file to start from: the commands ``list``, ``diff`` and ``new``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from flowrl_dsl import driver
from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.diagnostics import did_you_mean
from flowrl_dsl.registry import Component, families
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.compare import compare
from flowrl_dsl.spec.show import show

SPECS, COMPONENTS = "specs", "components"


def listing(what: str | None) -> str:
    """Shipped specs and registered components by family; one of them where ``what`` says so.

    Raises ``ValueError`` for a family there is not.
    """
    known = families()
    if what in known:
        return _family(what, known[what])
    if what not in (None, SPECS, COMPONENTS):
        raise ValueError(f'there is no family "{what}"; {did_you_mean(str(what), [SPECS, COMPONENTS, *known])}')
    parts = [_specs()] if what != COMPONENTS else []
    parts += [_family(name, known[name]) for name in sorted(known)] if what != SPECS else []
    return "\n\n".join(parts)


def _specs() -> str:
    rows = []
    for name in shipped_specs():
        algorithm, _ = driver.resolve_or_raise(name, None, ())
        rows.append((name, _axes(algorithm), algorithm.title, algorithm.paper))
    return "specs\n" + _table(rows)


def _axes(algorithm: Algorithm) -> str:
    """Backbone and mechanisms: where a spec stands in the taxonomy."""
    backbone = algorithm.sections["policy"].backbone.name  # type: ignore[attr-defined]
    mechanisms = dict.fromkeys(block.mechanism.name for block in algorithm.improvements)
    return f"{backbone}, {' + '.join(mechanisms)}"


def _family(name: str, members: dict[str, type[Component]]) -> str:
    rows = [(key, _summary(members[key]), members[key].paper) for key in sorted(members)]
    return name.replace("_", " ") + "\n" + _table(rows)


def _summary(component: type[Component]) -> str:
    return (component.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("``", "").replace("     ", " ")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their content, except the last two, which follow each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 2)]
    lines = []
    for row in rows:
        *fixed, text, paper = row
        cells = [cell.ljust(width) for cell, width in zip(fixed, widths, strict=True)]
        lines.append("  " + "  ".join([*cells, f"{text} [{paper}]" if paper else text]).rstrip())
    return "\n".join(lines)


def difference(left: str, right: str, task: str | None, sets: Sequence[str]) -> str:
    """What two specs differ in, one setting after the other."""
    algorithms = [driver.resolve_or_raise(spec, task, sets)[0] for spec in (left, right)]
    found = compare(*algorithms)
    if not found:
        return f"{algorithms[0].name} and {algorithms[1].name} mean the same"
    head = [f"- {algorithms[0].name}: {algorithms[0].title}", f"+ {algorithms[1].name}: {algorithms[1].title}"]
    for one in found:
        head += ["", one.path, f"  - {one.left}", f"  + {one.right}"]
    return "\n".join(head)


def new(name: str, base: str, path: Path) -> None:
    """A file that extends a spec and shows all its settings, to be changed one by one.

    Raises ``ValueError`` for a name that cannot be one, or a file that is there already.
    """
    if not name.isidentifier():
        raise ValueError(f'"{name}" cannot be the name of an algorithm: letters, digits and _, not beginning with a digit')
    if path.exists():
        raise ValueError(f"{path} exists already: take another name, or another file by -o")
    algorithm, _ = driver.resolve_or_raise(base, None, ())
    extended = f"{base}.flowrl" if base in shipped_specs() else base
    body = show(algorithm).split("{\n", 1)[1].rsplit("}", 1)[0]
    commented = indent(body, "# ", lambda line: True).replace("# \n", "#\n")
    text = (
        f"# What is not said here is said by {extended}; what is changed here, `flowrl-dsl diff {base} {path}` shows.\n"
        f'algorithm {name} extends "{extended}" {{\n'
        f"  # All settings as they are.  Take the mark away from those to change, with the braces around them.\n"
        f"  #\n{indent(commented, '  ')}}}\n"
    )
    from flowrl_dsl.runtime import files

    with files.disk(path):
        files.replace(path, text.encode())
