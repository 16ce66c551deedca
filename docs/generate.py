"""Write the generated pages of the documentation: ``python docs/generate.py``.

``docs/reference/components.md`` comes from the component registry, ``docs/reference/formulas.md`` from the tables of
functions and axes, ``docs/reference/errors.md`` from the table of codes, ``docs/reference/taxonomy.md`` from the specs.
A test fails while they are out of date.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import taxonomy

from flowrl_dsl.axes import AXES
from flowrl_dsl.capabilities import CAPABILITIES
from flowrl_dsl.codes import CODES
from flowrl_dsl.components import base, based, changing, data, section
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import Component, families, functions
from flowrl_dsl.spec.kinds import kinds
from flowrl_dsl.spec.reference import default_text, kind_text

ORDER = ["regime", "section", "backbone", "network", "embedding", "noise_schedule", "sampler", "mechanism", "critic"]
PRIMITIVE_KINDS = {
    "elementwise": "Arithmetic",
    "reduction": "Reductions",
    "along": "Along one axis",
    "towards": "Towards other points",
    "members": "Members of an ensemble",
}
REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[Path, str]:
    """The text of every generated page and picture."""
    places = taxonomy.places()
    return {
        REFERENCE / "components.md": components_page(),
        REFERENCE / "formulas.md": formulas_page(),
        REFERENCE / "errors.md": errors_page(),
        REFERENCE / "taxonomy.md": taxonomy.page(places),
        REFERENCE / "taxonomy.svg": taxonomy.picture(places),
    }


def components_page() -> str:
    known = {family: _shipped(members) for family, members in families().items()}
    order = ORDER + sorted(set(known) - set(ORDER))
    lines = ["# Components", "", "Generated from the registry by `python docs/generate.py`.", ""]
    for family in order:
        lines += [f"## {family.replace('_', ' ')}", "", f"{_family_doc(family)}", ""]
        for name in sorted(known[family]):
            lines += _component(known[family][name])
    lines += [
        "## Capabilities",
        "",
        "What components provide and require of one another.",
        "",
        "| capability | meaning | provided by |",
    ]
    lines.append("|---|---|---|")
    for capability, meaning in CAPABILITIES.items():
        owners = [f"`{n}`" for members in known.values() for n, c in members.items() if capability in c.provides]
        lines.append(f"| `{capability}` | {meaning} | {', '.join(sorted(owners)) or 'a section that keeps it'} |")
    return "\n".join(lines) + "\n"


def _shipped(members: Mapping[str, type[Component]]) -> dict[str, type[Component]]:
    """The package's own components, without those of plugins that this process has imported."""
    return {name: cls for name, cls in members.items() if cls.__module__.startswith("flowrl_dsl.")}


def _family_doc(family: str) -> str:
    """The first line of the contract that the family's members share."""
    contracts = [
        member for room in (base, based, changing, data, section) for _, member in inspect.getmembers(room, inspect.isclass)
    ]
    contract = next(c for c in contracts if issubclass(c, Component) and c.family == family and c.name == "")
    return (inspect.getdoc(contract) or "").split("\n")[0]


def _component(component: type[Component]) -> Iterator[str]:
    yield f"### {component.name}"
    yield ""
    yield inspect.getdoc(component) or ""
    yield ""
    facts = []
    if component.paper:
        facts.append(f"Paper: {component.paper}.")
    for word, names in (("Provides", component.provides), ("Requires", component.requires)):
        if names:
            facts.append(f"{word} {', '.join(f'`{n}`' for n in sorted(names))}.")
    if facts:
        yield from (" ".join(facts), "")
    if component.model_fields:
        yield from ("| option | kind | default | |", "|---|---|---|---|")
        for name in kinds(component):
            info = component.model_fields[name]
            yield f"| `{name}` | {kind_text(info)} | {default_text(info)} | {info.description or ''} |"
        yield ""


def formulas_page() -> str:
    lines = ["# Formulas", "", "Generated from the checker's tables by `python docs/generate.py`.", "", "## Axes", ""]
    lines += ["| axis | meaning |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in AXES.items())]
    lines += ["", "## Functions of the networks", "", "| function | needs | result | |", "|---|---|---|---|"]
    for f in functions().values():
        arguments = ", ".join(a or "value" for a in f.arguments)
        result = "the arguments' axes" + (f" without {', '.join(f.drops)}" if f.drops else "")
        result += f", with {', '.join(f.adds)}" if f.adds else ""
        lines.append(f"| `{f.name}({arguments})` | `{f.needs}` | {result} | {f.doc} |")
    for kind, title in PRIMITIVE_KINDS.items():
        lines += ["", f"## {title}", "", "| function | arguments | |", "|---|---|---|"]
        lines += [f"| `{p.name}` | {p.arity} | {p.doc} |" for p in PRIMITIVES.values() if p.kind == kind]
    return "\n".join(line.replace("|x|", "\\|x\\|") for line in lines) + "\n"


def errors_page() -> str:
    lines = [
        "# Error codes",
        "",
        "Generated from the table of codes by `python docs/generate.py`; `flowrl-dsl explain CODE` prints one.",
        "",
    ]
    for code in CODES.values():
        lines += [f"## {code.code}: {code.title}", "", code.explanation, ""]
        if code.example:
            lines += ["```", code.example.strip("\n"), "```", ""]
        lines += [f"**Cure.** {code.cure}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
        print(path)
