"""Each kind of thing is added by one file outside of the package, announced by an entry point, with no edit of the package.

A baseline with a stage, a fit and a function; a record field that acting fills; a source of batches; a pure world and one
of NumPy; a second policy; an encoder with a loss of its own; a turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPECS = Path(__file__).parent / "specs"
ROOT = Path(__file__).parent.parent.parent
MODULES = {
    **{name: f"tests.house.{name}" for name in ("baseline", "remembered", "shuffled", "features", "point")},
    "cart": "tests.runtime.worlds.cart",
    "rounds": "tests.runtime.turns.rounds",
}
CASES = [
    ("baseline", "point/origin"),
    ("remembered", "point/origin"),
    ("shuffled", "cart/walls"),
    ("rounds", "cart/walls"),
    ("features", "point/origin"),
    ("two_policies", "point/origin"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the plugins are installed."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "the_house-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: the-house\nVersion: 1.0\n")
    entries = "".join(f"{name} = {module}\n" for name, module in MODULES.items())
    (info / "entry_points.txt").write_text(f"[flowrl_dsl.components]\n{entries}")
    return folder


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=site, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def driven(site: Path) -> subprocess.CompletedProcess[str]:
    """All cases in one process: each alone would start jax, and trace what they share, again."""
    return run(site, "tests.house.drive", *(word for spec, task in CASES for word in (str(SPECS / f"{spec}.flowrl"), task)))


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_what_a_plugin_adds_does_all_that_the_package_does(
    driven: subprocess.CompletedProcess[str], spec: str, task: str
) -> None:
    held = f"everything holds of {spec} on {task}" in driven.stdout.splitlines()
    assert driven.returncode == 0 and held, driven.stdout + driven.stderr


def test_messages_know_what_plugins_declare(site: Path, tmp_path: Path) -> None:
    """A misspelt stage, a function whose section is missing, a copy that is not kept."""
    spec = tmp_path / "bad.flowrl"
    text = (SPECS / "baseline.flowrl").read_text()
    spec.write_text(text.replace("order = baseline", "order = basline"))
    assert 'did you mean "baseline"?' in run(site, "flowrl_dsl.cli", "check", str(spec)).stdout
    spec.write_text('algorithm bad extends "td3.flowrl" { critic { backup = r + B(s_next) } }')
    found = run(site, "flowrl_dsl.cli", "check", str(spec)).stdout
    assert "FRL0212" in found and "baseline" in found and "section baseline provides it" in found
    assert "baseline" in run(site, "flowrl_dsl.cli", "list", "section").stdout


def test_imports_of_the_command_line_stay_light(site: Path) -> None:
    code = (
        "import sys\nfrom flowrl_dsl import cli\n"
        f"cli.main(['check', {str(SPECS / 'baseline.flowrl')!r}])\n"
        "assert not {'jax', 'gymnasium', 'mujoco'} & set(sys.modules), sorted(sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], cwd=site, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
