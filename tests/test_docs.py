"""The documents say what is so: quoted specs, generated pages, programs of the tutorial, links."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl.arguments import parser
from flowrl_dsl.spec.resolve import resolve

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date() -> None:
    for path, text in _generator().pages().items():
        assert path.read_text() == text, f"{path} is out of date: run python docs/generate.py"


def _quoted(path: Path, start: str) -> list[str]:
    return re.findall(rf"^```(?:python)?\n({start}.*?)^```", path.read_text(), re.S | re.M)


@pytest.mark.parametrize("text", _quoted(ROOT / "README.md", "algorithm "), ids=lambda t: t.split()[1])
def test_the_readme_quotes_shipped_specs(text: str) -> None:
    source = (ROOT / "specs" / f"{text.split()[1]}.flowrl").read_text()
    assert source.endswith(text)


@pytest.mark.parametrize("text", _quoted(ROOT / "docs" / "tutorial.md", "algorithm "), ids=lambda t: t.split()[1])
def test_the_tutorials_specs_are_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.flowrl"
    path.write_text(text)
    resolution = resolve(str(path))
    assert not list(resolution.diagnostics), [d.message for d in resolution.diagnostics]


def test_the_tutorials_component_works(tmp_path: Path) -> None:
    """In a process of its own: registering it here would change what other tests see."""
    (source,) = _quoted(ROOT / "docs" / "tutorial.md", '"""Lion')
    (tmp_path / "lion.py").write_text(source)
    use = """
import lion
from flowrl_dsl.driver import build_graphs, resolve_or_raise
algorithm, _ = resolve_or_raise("qsm", None, ["policy.optimizer=lion(1e-4)"])
print(build_graphs(algorithm, 3, 1).hyper["policy.optimizer.learning_rate"])
"""
    command = [sys.executable, "-c", use]
    found = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True, text=True
    )
    assert found.stdout.strip() == "0.0001", found.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_commands_named_in_the_documents_exist() -> None:
    actions = parser()._subparsers._group_actions[0].choices
    for page in PAGES:
        for command in re.findall(r"(?:^|`)flowrl-dsl ([a-z]+)\b", page.read_text(), re.M):
            assert command in actions, f"{page}: flowrl-dsl {command}"
