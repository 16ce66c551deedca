"""The rooms of the house: each imports only from the rooms before it.  docs/architecture.md explains the table."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from flowrl_dsl import registry

PACKAGE = Path(__file__).parent.parent / "flowrl_dsl"

BASE = {"diagnostics", "resources", "lazy", "codes", "plugins", "reading"}
BASE |= {"axes", "formula", "formulas", "algorithm", "capabilities", "record", "registry", "copies", "names"}
"""Plain data that every room may share; these files import one another and pydantic, nothing else."""

ALLOWED: dict[str, set[str]] = {
    "base": BASE,
    "syntax": {"syntax", "diagnostics", "resources", "reading"},
    "spec": {"spec", "syntax"} | BASE,
    "editor": {"editor", "spec", "syntax", "__init__"} | BASE,
    "graph": {"graph", "diagnostics", "axes", "formula", "lazy"},
    "components": {"components", "graph"} | BASE,
    "passes": {"passes", "graph", "axes"},
    "lowering": {"lowering", "graph"} | BASE,
    "datasets": {"datasets", "diagnostics", "names", "reading"},
    "runtime": {"runtime", "lowering", "datasets", "diagnostics", "record", "registry", "reading", "__init__"},
    "export": {"export", "lowering", "runtime"},
    "testing": {"testing", "graph", "components", "passes", "lowering", "runtime", "export", "spec", "syntax", "driver"}
    | {"__init__"}
    | BASE,
    "bench": {"bench", "driver", "plan", "runs", "graph", "lowering", "runtime", "__init__"} | BASE,
    "report": {"report", "editor", "runtime", "diagnostics", "reading", "__init__"},
    "suites": {
        "suites",
        "spec",
        "syntax",
        "datasets",
        "runtime",
        "bench",
        "driver",
        "runs",
        "resuming",
        "populations",
        "exits",
    }
    | BASE,
    "top": {
        "driver",
        "plan",
        "catalogue",
        "cli",
        "commands",
        "arguments",
        "exits",
        "streams",
        "codehosts",
        "editor",
        "__init__",
    }
    | {"runs", "acting", "filming", "looking", "resuming", "populations", "data", "collecting", "api"}
    | {"exporting", "inheriting", "inventory", "doctor", "starting", "completing", "searching"}
    | {
        "syntax",
        "spec",
        "graph",
        "components",
        "passes",
        "lowering",
        "datasets",
        "runtime",
        "export",
        "bench",
        "report",
        "suites",
    }
    | BASE,
}
LIBRARIES: dict[str, set[str]] = {
    "base": {"pydantic"},
    "syntax": {"lark"},
    "spec": {"pydantic"},
    "editor": {"lsprotocol", "pygls", "pygments"},
    "graph": set(),
    "components": {"pydantic"},
    "passes": set(),
    "lowering": {"jax", "numpy"},
    "datasets": {"numpy", "gymnasium", "h5py", "matplotlib", "minari"},
    "runtime": {
        "jax",
        "numpy",
        "gymnasium",
        "brax",
        "dm_control",
        "isaaclab",
        "isaaclab_tasks",
        "mujoco",
        "mujoco_playground",
        "matplotlib",
        "rich",
        "tensorboardX",
        "torch",
        "wandb",
        "IPython",
    }
    | {"pydantic", "imageio_ffmpeg", "PIL"},
    "export": {"jax", "numpy", "jax2onnx", "onnxruntime"},
    "testing": {"jax", "numpy", "hypothesis"},
    "bench": {"jax", "numpy", "gymnasium"},
    "report": {"numpy", "pygments"},
    "suites": {"numpy", "matplotlib", "pydantic", "pyarrow", "ray", "submitit", "fsspec"},
    "top": {"jax", "numpy", "optuna", "shtab"},
}
LAZY = {"flax", "jax", "numpy", "optax"}
"""What ``lazy.py`` stands for, and imports for type checkers alone."""
EAGER_JAX_ALLOWED = ("export", "lowering", "runtime", "testing", "bench")


FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 40, 400
"""Lines that a reader sees at once, and lines about one subject."""


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    if len(parts) > 1:
        return {"codes": "base", "commands": "top"}.get(parts[0], parts[0])
    return "base" if path.stem in BASE else "top"


class Import(NamedTuple):
    """One imported name; ``late`` if a function imports it."""

    file: Path
    line: int
    name: str
    late: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE)}:{self.line} imports {self.name}"


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path) -> Iterator[Import]:
    early = set(map(id, _parsed(path).body))
    for node in ast.walk(_parsed(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        for name in names:
            yield Import(path, node.lineno, name, id(node) not in early)


IMPORTS = [found for path in FILES for found in _imports(path)]


def _target(name: str) -> str:
    """The room, or the file at the top, that an import of the package names."""
    first = f"{name}.".split(".")[1]
    return first if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists() else "__init__"


def _refused(found: Import) -> bool:
    room, target = _room(found.file), _target(found.name)
    return target not in ALLOWED[room] and not (room == "base" and target == "components")


def _own(found: Import) -> bool:
    return found.name.split(".")[0] == "flowrl_dsl"


def _libraries(file: Path) -> set[str]:
    return LIBRARIES[_room(file)] | (LAZY if file == PACKAGE / "lazy.py" else set())


def test_imports_are_absolute() -> None:
    assert [str(found) for found in IMPORTS if found.name.startswith(".")] == []


def test_rooms_import_only_from_rooms_before() -> None:
    assert [str(found) for found in IMPORTS if _own(found) and _refused(found)] == []


def test_libraries_belong_to_rooms() -> None:
    known = sys.stdlib_module_names | {"flowrl_dsl"}
    foreign = [(found, found.name.split(".")[0]) for found in IMPORTS]
    assert [str(f) for f, library in foreign if library not in known | _libraries(f.file)] == []


def test_optional_libraries_of_the_editor_room_belong_to_files() -> None:
    """The features are plain data: only the server speaks the protocol, and only the lexer for Pygments needs Pygments."""
    files = {"pygls": {"server.py"}, "lsprotocol": {"server.py", "wire.py"}, "pygments": {"pygmented.py"}}
    own = [found for found in IMPORTS if _room(found.file) == "editor"]
    found = [(found.file.name, library) for found in own if (library := found.name.split(".")[0]) in files]
    assert {library: {file for file, other in found if other == library} for library in files} == files


def test_component_families_do_not_import_one_another() -> None:
    found = []
    for imported in IMPORTS:
        parts, target = imported.file.relative_to(PACKAGE).parts, imported.name.split(".")
        if parts[0] == "components" and len(parts) > 2 and target[:2] == ["flowrl_dsl", "components"]:
            found += [str(imported)] if (PACKAGE / "components" / target[2]).is_dir() and target[2] != parts[1] else []
    assert found == []


def test_jax_is_imported_late() -> None:
    """Where jax is not the business of a room, its files import it inside of functions."""
    early = [found for found in IMPORTS if not found.late and _room(found.file) not in EAGER_JAX_ALLOWED]
    assert [str(f) for f in early if f.name.split(".")[0] in ("jax", "jaxlib", "flax", "optax")] == []


def test_rules_see_what_they_forbid(tmp_path: Path) -> None:
    """The reader of imports finds those of functions, of parts of the package, and relative ones."""
    file = tmp_path / "module.py"
    file.write_text("import jax.numpy as jnp\nfrom . import x\ndef f():\n    from flowrl_dsl.graph import expr\n")
    assert [(f.name, f.line, f.late) for f in _imports(file)] == [
        ("jax.numpy", 1, False),
        ("..x", 2, False),
        ("flowrl_dsl.graph.expr", 4, True),
    ]
    assert _refused(Import(PACKAGE / "syntax/lexer.py", 1, "flowrl_dsl.graph.expr", True))
    assert not _refused(Import(PACKAGE / "passes/dce.py", 1, "flowrl_dsl.graph.expr", True))


def test_functions_are_seen_at_once() -> None:
    functions = [(path, node) for path in FILES for node in ast.walk(_parsed(path)) if isinstance(node, ast.FunctionDef)]
    lengths = {f"{path.name}:{node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_files_have_one_subject() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_one_component_per_file() -> None:
    """Adding a component touches one file: every file of a family registers exactly one."""
    members = [path for path in (PACKAGE / "components").glob("*/*.py") if path.name != "__init__.py"]
    assert [path.name for path in members if path.read_text().count("\n@register\n") != 1] == []


def test_components_live_where_they_are_looked_for() -> None:
    """The registry imports ``components/<family>s/<name>.py`` and nothing else when a spec names a component."""
    for family, members in registry.families().items():
        for name, component in members.items():
            if component.__module__.startswith("flowrl_dsl."):
                assert component.__module__ == f"flowrl_dsl.components.{family}s.{name}"


@pytest.mark.parametrize("family", registry.HOMES)
def test_components_of_the_runtime_live_in_the_home_of_their_family(family: str) -> None:
    """Beside what they share, which registers nothing; their names are known before any of them is imported."""
    home = PACKAGE.parent.joinpath(*registry.HOMES[family].split("."))
    registering = {path.stem for path in home.glob("*.py") if path.read_text().count("\n@register\n") == 1}
    assert registering and registering <= registry.names_of(family)
    for name in registering:
        assert registry.find(family, name).__module__ == f"{registry.HOMES[family]}.{name}"
    assert registry.find(family, "base") is None and family not in registry.families()


def _cycle(edges: dict[str, set[str]]) -> list[str]:
    """The names that remain when those without edges to others are taken away until there are none."""
    left = dict(edges)
    while ends := [name for name, targets in left.items() if not targets & (set(left) - {name})]:
        for name in ends:
            del left[name]
    return sorted(left)


@pytest.mark.parametrize("package", ["runtime", *(home.removeprefix("flowrl_dsl.") for home in registry.HOMES.values())])
def test_files_of_the_runtime_import_in_one_direction(package: str) -> None:
    """Also inside functions and for types alone."""
    folder = PACKAGE.joinpath(*package.split("."))
    modules = {f"flowrl_dsl.{package}.{path.stem}": path for path in folder.glob("*.py") if path.name != "__init__.py"}
    edges = {
        name: {module for found in _imports(path) for module in modules if f"{found.name}.".startswith(f"{module}.")}
        for name, path in modules.items()
    }
    assert any(edges.values()) or len(modules) < 3
    assert _cycle(edges) == []


def test_cycles_are_found() -> None:
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "command",
    [
        "registry.families(), registry.names_of('world'), registry.names_of('turn')",
        "driver.check_files(['qsm'])",
        "importlib.import_module('flowrl_dsl.runtime.worlds.base')",
        "importlib.import_module('flowrl_dsl.runtime.turns.base')",
    ],
)
def test_simulators_are_imported_for_their_tasks_alone(command: str) -> None:
    """Neither by commands about specs, nor by what a plugin with a world or a turn imports."""
    code = f"""
import importlib, sys
from flowrl_dsl import driver, registry
{command}
heavy = {{"jax", "gymnasium", "dm_control", "mujoco"}} & set(sys.modules)
print(sorted(heavy) + [name for name in sys.modules if name.startswith("flowrl_dsl.runtime.worlds.") and "base" not in name])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_naming_a_component_imports_its_file_alone() -> None:
    code = """
import sys
from flowrl_dsl import registry
assert registry.find("sampler", "ddim") is not None
assert registry.find("sampler", "no_such_sampler") is None
print([m for m in sorted(sys.modules) if m.startswith("flowrl_dsl.components.samplers.")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['flowrl_dsl.components.samplers.ddim']"


def test_the_name_of_a_shipped_component_is_taken_before_it_is_imported() -> None:
    code = """
from flowrl_dsl.components.base import Sampler
from flowrl_dsl.registry import register
class Mine(Sampler):
    name = "ddim"
register(Mine)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'sampler "ddim" is already registered by flowrl_dsl.components.samplers.ddim' in done.stderr
