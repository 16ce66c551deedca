"""Components of other packages, announced by an entry point, as if they were installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLER = '''
"""Half a step of DDIM, twice."""
from typing import ClassVar
from pydantic import Field
from flowrl_dsl.components.base import Sampler
from flowrl_dsl.components.samplers.ddim import ddim
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def twice(eps, alpha, a_T, times, clip=None):
    """ddim, and its result once more through the last step."""
    return ddim(eps, alpha, ddim(eps, alpha, a_T, times, clip), times[-2:], clip)


@register
class Twice(Sampler):
    """``ddim`` with its last step taken twice."""
    name = "twice"
    provides = frozenset({"diffusion_sampler"})
    requires = frozenset({"noise_process"})
    steps: int = Field(20, ge=1, description="steps")
    clip: Scalar | None = option("bound on the predicted clean action", "1.0", POSITIVE)
    kernel: ClassVar[str] = "twice"
    draws: ClassVar[bool] = False
'''
SPEC = """algorithm mine extends "qsm.flowrl" {
  policy { sampler = twice(steps = 3) }
}
"""


@pytest.fixture
def installed(tmp_path: Path):
    """Installs a module as a plugin for subprocesses, and runs the command line there."""
    info = tmp_path / "site" / "my_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flowrl_dsl.components]\nmine = my_plugin\n")
    (tmp_path / "mine.flowrl").write_text(SPEC)

    def run(source: str, *words: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "site" / "my_plugin.py").write_text(source)
        path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parent.parent)])
        command = [sys.executable, "-m", "flowrl_dsl.cli", *words]
        env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    return run


def test_a_component_of_a_plugin_is_one_like_any_other(installed) -> None:
    assert installed(SAMPLER, "check", "mine.flowrl").stdout == ""
    assert "  twice " in installed(SAMPLER, "list", "sampler").stdout
    printed = installed(SAMPLER, "compile", "mine.flowrl", "--emit", "python").stdout
    assert "def twice(eps, alpha, a_T, times, clip=None):" in printed and "def ddim(" in printed


def test_a_misspelt_one_is_offered(installed) -> None:
    done = installed(SAMPLER.replace('name = "twice"', 'name = "twices"'), "check", "mine.flowrl")
    assert done.returncode == 1 and 'did you mean "twices"' in done.stdout


def test_a_plugin_that_cannot_be_imported_is_a_diagnostic_with_its_place(installed) -> None:
    done = installed("import jsno\n", "check", "mine.flowrl")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "error[FRL0407]" in done.stderr and "No module named 'jsno'" in done.stderr and "my_plugin.py:1" in done.stderr


def test_a_plugin_cannot_take_the_name_of_a_shipped_component(installed) -> None:
    done = installed(SAMPLER.replace('name = "twice"', 'name = "ddpm"'), "check", "mine.flowrl")
    assert (
        done.returncode == 3 and 'sampler "ddpm" is already registered by flowrl_dsl.components.samplers.ddpm' in done.stderr
    )
