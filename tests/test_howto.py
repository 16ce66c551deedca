"""The how-to pages: their files work, their specs are valid, and every command that they show can be given."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flowrl_dsl.cli import parser

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))


def _files(page: str, folder: Path) -> Path:
    """Write the files that a page names to a folder."""
    text = (ROOT / "docs" / "howto" / f"{page}.md").read_text()
    for name, body in re.findall(r"`([\w.]+)`[^\n`]*:\n\n```\w*\n(.*?)^```", text, re.S | re.M):
        (folder / name).write_text(body)
    return folder


def _python(folder: Path, code: str) -> str:
    path = os.pathsep.join(map(str, (folder, ROOT)))
    env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_can_be_given(page: Path) -> None:
    shown = re.findall(r"^(?:  srun )?flowrl-dsl (.*)$", page.read_text(), re.M)
    assert shown
    for words in shown:
        parser().parse_args([word.replace("$run", "run") for word in shlex.split(words, comments=True)])


def test_the_environment_is_one_that_can_be_trained_on_and_filmed(tmp_path: Path) -> None:
    found = _python(
        _files("environment", tmp_path),
        """
import numpy as np
from flowrl_dsl.runtime.worlds import arguments, catalogue
task = arguments.named("reach:Reach-v0", ["speed=0.2"])
filmed = catalogue.film(task, 0, 1, (64, 64))
before = filmed.world.reset()[0]
after = filmed.world.step(np.array([[1.0, -1.0]])).next_obs[0]
moved, limit = np.abs(after - before).max().round(3), catalogue.spaces("reach:Reach-v0").time_limit
print(moved, filmed.frame().shape, filmed.rate, limit)
""",
    )
    assert found == "0.2 (128, 128, 3) 20.0 100\n"


def test_the_network_is_one_that_specs_can_use(tmp_path: Path) -> None:
    folder = _files("network", tmp_path)
    info = folder / "gated_network-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gated-network\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[flowrl_dsl.components]\ngated = gated\n")
    found = _python(
        folder,
        """
from flowrl_dsl.cli import main
from flowrl_dsl.driver import compile_report
assert main(["check", "with_gates.flowrl"]) == 0
print(compile_report("with_gates.flowrl", "graph", None, ()).count("module critic_net = gated_mlp(inputs="))
assert "class GatedMLP" in compile_report("with_gates.flowrl", "python", None, ())
""",
    )
    assert found == "2\n"  # in the graphs that read values: step and evaluate


def _stub(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def test_the_job_begins_continues_and_asks_to_be_run_again(tmp_path: Path) -> None:
    """With commands in place of Slurm's, and a flowrl-dsl that is interrupted once."""
    _files("cluster", tmp_path)
    commands = tmp_path / "bin"
    commands.mkdir()
    _stub(commands, "srun", '"$@"')
    _stub(commands, "scontrol", 'echo "scontrol $@" >> log')
    _stub(commands, "flowrl-dsl", 'echo "$1" >> log; mkdir -p runs/hopper_qsm_seed0; touch runs/hopper_qsm_seed0/run.json\n'
          '[ "$1" = resume ] || exit 130')  # fmt: skip
    env = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    for _ in range(2):
        subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=env, check=True)
    assert (tmp_path / "log").read_text().splitlines() == ["train", "scontrol requeue 7", "resume"]
