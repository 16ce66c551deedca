"""The rooms of the house: each imports only from the rooms before it.  docs/architecture.md explains the table."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl import registry

PACKAGE = Path(__file__).parent.parent / "flowrl_dsl"

BASE = {"diagnostics", "registry", "axes", "formula", "algorithm", "resources", "lazy", "codes", "record"}
"""Plain data that every room may share; these files import one another and pydantic, nothing else."""

ALLOWED: dict[str, set[str]] = {
    "base": BASE,
    "syntax": {"syntax", "diagnostics", "resources"},
    "spec": {"spec", "syntax"} | BASE,
    "graph": {"graph", "diagnostics", "axes", "formula", "lazy"},
    "components": {"components", "graph"} | BASE,
    "passes": {"passes", "graph"},
    "lowering": {"lowering", "graph"} | BASE,
    "runtime": {"runtime", "lowering", "diagnostics", "record", "registry", "__init__"},
    "testing": {"testing", "graph", "components", "passes", "lowering", "runtime", "spec", "syntax", "driver", "__init__"}
    | BASE,
    "bench": {"bench", "driver", "plan", "runs", "graph", "lowering", "runtime", "__init__"} | BASE,
    "top": {"driver", "plan", "catalogue", "cli", "arguments", "runs", "populations", "__init__"}
    | {"syntax", "spec", "graph", "components", "passes", "lowering", "runtime", "bench"}
    | BASE,
}
LIBRARIES: dict[str, set[str]] = {
    "base": {"pydantic"},
    "syntax": {"lark"},
    "spec": {"pydantic"},
    "graph": set(),
    "components": {"pydantic"},
    "passes": set(),
    "lowering": {"jax", "numpy"},
    "runtime": {"jax", "numpy", "gymnasium", "dm_control", "mujoco", "matplotlib", "rich", "tensorboardX", "wandb"},
    "testing": {"jax", "numpy", "hypothesis"},
    "bench": {"jax", "numpy", "gymnasium"},
    "top": {"jax"},
}
EAGER_JAX_ALLOWED = ("lowering", "runtime", "testing", "bench")


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    if len(parts) > 1:
        return "base" if parts[0] == "codes" else parts[0]
    return "base" if path.stem in BASE else "top"


def _imports(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write absolute imports"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def _eager_imports(path: Path) -> set[str]:
    """Modules imported when the file is, not inside a function."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_from_rooms_before(path: Path) -> None:
    room = _room(path)
    for name, line in _imports(path):
        parts = name.split(".")
        if parts[0] == "flowrl_dsl":
            target = parts[1] if (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists() else "__init__"
            own_base = room == "base" and target == "components"
            assert target in ALLOWED[room] or own_base, f"{path}:{line}: room {room} must not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_belong_to_rooms(path: Path) -> None:
    room = _room(path)
    for name, line in _imports(path):
        library = name.split(".")[0]
        if library != "flowrl_dsl" and library not in sys.stdlib_module_names:
            assert library in LIBRARIES[room], f"{path}:{line}: room {room} must not use {library}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_component_families_do_not_import_one_another(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    if parts[0] != "components" or len(parts) < 3:
        return
    for name, line in _imports(path):
        target = name.split(".")
        if target[:2] == ["flowrl_dsl", "components"] and (PACKAGE / "components" / target[2]).is_dir():
            assert target[2] == parts[1], f"{path}:{line}: family {parts[1]} must not import {target[2]}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_jax_is_imported_late(path: Path) -> None:
    if _room(path) not in EAGER_JAX_ALLOWED:
        assert not _eager_imports(path) & {"jax", "jaxlib", "flax", "optax"}, f"{path} imports jax when it is imported"


def test_one_component_per_file() -> None:
    """Adding a component touches one file: every file of a family registers exactly one."""
    for path in FILES:
        parts = path.relative_to(PACKAGE).parts
        if parts[0] == "components" and len(parts) == 3 and path.name != "__init__.py":
            assert path.read_text().count("\n@register\n") == 1, path


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
        name: {module for found, _ in _imports(path) for module in modules if f"{found}.".startswith(f"{module}.")}
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
