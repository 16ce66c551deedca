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
    """Installs a module as a plugin for subprocesses, and runs the command line, or some code, there."""
    info = tmp_path / "site" / "my_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flowrl_dsl.components]\nmine = my_plugin\n")
    (tmp_path / "mine.flowrl").write_text(SPEC)

    def run(source: str, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
        (tmp_path / "site" / "my_plugin.py").write_text(source)
        path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parent.parent)])
        command = [sys.executable, *(["-c", code] if code else ["-m", "flowrl_dsl.cli", *words])]
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


WARNING = """
    def warnings(self, at):
        if self.steps > 10:
            yield warning("MINE01", f"{self.steps} steps are many for a sampler that steps twice", at.written("steps"))
"""


def test_a_component_of_a_plugin_brings_its_own_warnings(installed, tmp_path: Path) -> None:
    source = SAMPLER.replace("from pydantic", "from flowrl_dsl.diagnostics import warning\nfrom pydantic") + WARNING
    assert installed(source, "check", "mine.flowrl").stdout == ""
    (tmp_path / "mine.flowrl").write_text(SPEC.replace("steps = 3", "steps = 11"))
    done = installed(source, "check", "mine.flowrl")
    assert done.returncode == 0
    assert "warning[MINE01]: 11 steps are many for a sampler that steps twice\n --> mine.flowrl:2:36\n" in done.stdout
    (tmp_path / "mine.flowrl").write_text(SPEC.replace("steps = 3", ""))
    assert installed(source, "check", "mine.flowrl").stdout == "", "the 20 steps are a default, which nobody wrote"


def test_a_plugin_that_cannot_be_imported_is_a_diagnostic_with_its_place(installed) -> None:
    done = installed("import jsno\n", "check", "mine.flowrl")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "error[FRL0407]" in done.stderr and "No module named 'jsno'" in done.stderr and "my_plugin.py:1" in done.stderr


def test_a_plugin_cannot_take_the_name_of_a_shipped_component(installed) -> None:
    done = installed(SAMPLER.replace('name = "twice"', 'name = "ddpm"'), "check", "mine.flowrl")
    assert (
        done.returncode == 3 and 'sampler "ddpm" is already registered by flowrl_dsl.components.samplers.ddpm' in done.stderr
    )


def test_a_plugin_with_an_incomplete_component_is_a_diagnostic_with_its_place(installed) -> None:
    lines = SAMPLER.replace("    clip:", "    bound:").splitlines(keepends=True)
    done = installed("".join(lines), "check", "mine.flowrl")
    place = next(number for number, line in enumerate(lines, 1) if line == "@register\n")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert 'sampler "twice" is incomplete: it lacks the option or class variable clip' in done.stderr
    assert f"my_plugin.py:{place}" in done.stderr


WORLD = (Path(__file__).parent / "runtime/worlds/cart.py").read_text()
TURN = (Path(__file__).parent / "runtime/turns/rounds.py").read_text()


def test_a_world_of_a_plugin_is_one_like_any_other(installed, tmp_path: Path) -> None:
    small = ["--set", "policy.network=mlp([4])", "--set", "critic.network=mlp([4])", "--set", "train.batch=4"]
    done = installed(
        WORLD, "train", "td3", "--task", "cart/walls", "--steps", "40", "--out", "run", "--episodes", "1", *small
    )
    assert done.returncode == 0, done.stderr
    assert '"step": 40' in (tmp_path / "run/metrics.jsonl").read_text()
    unknown = installed(WORLD, "train", "td3", "--task", "carts/walls")
    assert unknown.returncode == 3 and 'neither a namespace of Gymnasium nor a world; did you mean "cart"?' in unknown.stderr


def test_a_plugin_cannot_take_the_name_of_a_shipped_world(installed) -> None:
    taken = installed(
        WORLD.replace('name = "cart"', 'name = "dm_control"'), "train", "td3", "--task", "dm_control/cartpole-swingup"
    )
    assert taken.returncode == 3
    assert 'world "dm_control" is already registered by flowrl_dsl.runtime.worlds.dm_control' in taken.stderr


def test_a_turn_of_a_plugin_is_found_and_check_stays_light(installed) -> None:
    code = """
import sys
from flowrl_dsl import cli
from flowrl_dsl.runtime.turns.base import named
assert cli.main(["check", "mine.flowrl"]) == 1
print(type(named("rounds")).__module__, sorted({"jax", "gymnasium", "mujoco"} & set(sys.modules)))
"""
    assert installed(TURN, code=code).stdout.splitlines()[-1] == "my_plugin []"
    light = installed(WORLD, code=code.replace('named("rounds")', 'named("off_policy")'))
    assert light.stdout.splitlines()[-1] == "flowrl_dsl.runtime.turns.off_policy []"
