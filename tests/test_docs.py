"""The documents say what is so: quoted specs, generated pages, programs of the tutorial, links."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flowrl_dsl.cli import parser
from flowrl_dsl.spec.resolve import resolve

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _generator():
    sys.path.append(str(ROOT / "docs"))  # where its taxonomy is
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date() -> None:
    for path, text in _generator().pages().items():
        assert path.read_text() == text, f"{path} is out of date: run python docs/generate.py"


def test_tables_of_options_have_the_order_of_positional_arguments() -> None:
    page = (ROOT / "docs" / "reference" / "components.md").read_text()
    table = page.split("\n### fourier\n")[1].split("\n### ")[0]
    # fourier(64) is a size, not the width that is declared by the base class
    assert re.findall(r"^\| `(\w+)`", table, re.M) == ["size", "scale", "hidden"]
    assert "| `reverse` | whole number ≥ 1 | `none` |" in page


def _quoted(path: Path, start: str) -> list[str]:
    return re.findall(rf"^```(?:python|flowrl)?\n({start}.*?)^```", path.read_text(), re.S | re.M)


@pytest.mark.parametrize("text", _quoted(ROOT / "README.md", "algorithm "), ids=lambda t: t.split()[1])
def test_the_readme_quotes_shipped_specs(text: str) -> None:
    source = (ROOT / "specs" / f"{text.split()[1]}.flowrl").read_text()
    assert source.endswith(text)


@pytest.mark.parametrize("name", ["worlds/cart.py", "turns/rounds.py"])
def test_the_page_about_worlds_quotes_files_that_tests_run(name: str) -> None:
    assert f"```python\n{(ROOT / 'tests/runtime' / name).read_text()}```\n" in (ROOT / "docs" / "worlds.md").read_text()


TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
RUN = """
import contextlib, io, json, sys
from flowrl_dsl.cli import main
results = []
for words in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        try:
            code = main(words)
        except SystemExit as stopped:
            code = stopped.code
    results.append((code, out.getvalue()))
json.dump(results, sys.stdout)
"""
"""Runs commands one after the other in one process, which imports jax once."""


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the tutorial under the names it gives them, and its package installed as by pip."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name, body in re.findall(r"`([\w.]+)`[^\n`]*:\n\n```\w*\n(.*?)^```", TUTORIAL, re.S | re.M):
        (folder / name).write_text(body)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{key} = {value}" for key, value in project["entry-points"]["flowrl_dsl.components"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[flowrl_dsl.components]", *lines, ""]))
    return folder


def _in_folder(folder: Path, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (folder, folder / "site", ROOT)))
    env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=env, input=given, capture_output=True, text=True, check=False)


def _without_training(words: list[str]) -> list[str]:
    """The command, where it would train or compile: up to the graph that would be compiled."""
    if words[0] == "train":
        words = ["compile", *words[1:]]
    return [*words, "--emit", "graph"] if words[0] == "compile" and "--emit" not in words else words


def test_the_tutorials_commands_do_what_it_says(readers_folder: Path) -> None:
    written = (readers_folder / "hybrid.flowrl").read_text()
    forgetful = written.replace("mean(Q_target(s, a), over = ensemble)", "Q_target(s, a)")
    (readers_folder / "wrong.flowrl").write_text(forgetful)
    (refused,) = re.findall(r"^```\n(error\[.*?)^```", TUTORIAL, re.S | re.M)
    assert len(written.strip().splitlines()) == 10
    shown = re.findall(r"^flowrl-dsl (.*)$|`flowrl-dsl ([^`]* [^`]*)`", TUTORIAL, re.M)
    commands = [_without_training(shlex.split(block or inline)) for block, inline in shown]
    commands = [*commands, ["check", "wrong.flowrl"], ["compile", "quick.flowrl", "--emit", "spec"]]
    done = _in_folder(readers_folder, "-c", RUN, given=json.dumps(commands))
    results = {" ".join(c): result for c, result in zip(commands, json.loads(done.stdout), strict=True)}
    assert results.pop("check wrong.flowrl") == [1, refused]
    assert [command for command, (code, _) in results.items() if code != 0] == []
    assert all(out == "" for command, (_, out) in results.items() if command.startswith("check"))
    assert "log_snr" in results["list noise_schedule"][1]
    assert "def log_snr_alpha(t, most, least):" in (readers_folder / "quick.py").read_text()


PROGRAM = "check_program(invariants.trial(text))"


@pytest.mark.parametrize("check", ["check_valid(text)", pytest.param(PROGRAM, marks=pytest.mark.slow)])
def test_the_tutorials_test_passes(readers_folder: Path, check: str) -> None:
    """As it is written only among the slow tests, since to build programs takes a while; else on the texts alone.

    The random specs are the same in every run: those of tests/properties vary.
    """
    text = (readers_folder / "test_log_snr.py").read_text()
    assert PROGRAM in text
    (readers_folder / "test_it.py").write_text(text.replace(PROGRAM, check))
    options = ("-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")
    done = _in_folder(readers_folder, "-m", "pytest", *options, "test_it.py")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?: \"[^\"]*\")?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


def test_commands_named_in_the_documents_exist() -> None:
    actions = parser()._subparsers._group_actions[0].choices
    for page in PAGES:
        for command in re.findall(r"(?:^|`)flowrl-dsl ([a-z]+)\b", page.read_text(), re.M):
            assert command in actions, f"{page}: flowrl-dsl {command}"


def test_every_command_is_in_the_documents_and_in_the_readme() -> None:
    texts = [page.read_text() for page in PAGES if page.name not in ("README.md", "CHANGELOG.md")]
    for command in parser()._subparsers._group_actions[0].choices:
        named = re.compile(rf"\bflowrl-dsl {command}\b|^`{command}` ", re.M)
        assert named.search((ROOT / "README.md").read_text()), f"README.md: flowrl-dsl {command}"
        assert any(named.search(text) for text in texts), f"docs: flowrl-dsl {command}"


def test_algorithms_in_the_documents_are_valid(tmp_path: Path) -> None:
    """Those that are complete, an ellipsis stands for something left out; of plugins, their own tests check them."""
    pages = [page for page in PAGES if page.parent.name != "reference"]  # error codes have examples of errors
    found = [text for page in pages for text in _quoted(page, "algorithm ") if "..." not in text]
    own = [text for text in found if not any(name in text for name in ("log_snr", "gated_mlp"))]
    assert len(own) >= 4 and len(found) == len(own) + 2
    for text in own:
        (tmp_path / "quoted.flowrl").write_text(text)
        errors = [d for d in resolve(str(tmp_path / "quoted.flowrl")).diagnostics.found if d.severity == "error"]
        assert errors == [], text
