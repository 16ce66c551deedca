"""On-policy runs: rollouts are used whole, a run goes on exactly from inside one, and joined members learn alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl import cli
from tests.test_offline import records
from tests.whole_runs import check_joined, check_resumed

TASK = "InvertedPendulum-v5"
SPEC = """
algorithm small extends "ppo.flowrl" {
  rollout { steps = 8  epochs = 2  minibatches = 2 }
  policy { network = mlp([8]) }
  value { network = mlp([8]) }
  train { envs = 2  steps = 80  evaluate_every = 32  episodes = 2 }
}
"""
STEPS = 80
"""Five rollouts of 16 transitions, each with four updates."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("on_policy")
    (folder / "small.flowrl").write_text(SPEC)
    return folder


def train(home: Path, out: str, *words: str) -> int:
    return cli.main(["train", str(home / "small.flowrl"), "--task", TASK, "--out", str(home / out), *words])


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    assert train(home, "whole") == 0
    return home / "whole"


def test_every_rollout_is_followed_by_its_updates_and_kept_alone(whole: Path) -> None:
    last = [record for record in records(whole) if record["kind"] == "train"][-1]
    assert (last["step"], last["updates"]) == (STEPS, 5 * 4)
    assert np.isfinite([last[name] for name in ("kl", "policy_loss", "value_loss")]).all()
    manifest = json.loads((whole / f"checkpoints/step-{STEPS:09d}/manifest.json").read_text())
    assert (manifest["total"], manifest["kept"]) == (STEPS, 16)


@pytest.mark.parametrize("at", [32, 38])
def test_resume_is_exact_between_rollouts_and_inside_one(home: Path, whole: Path, at: int) -> None:
    out = f"half{at}"
    assert train(home, out, "--steps", str(at)) == 0
    check_resumed(whole, home / out, STEPS)


ITERATIVE = """
algorithm small extends "{base}.flowrl" {{
  rollout {{ steps = 16  epochs = 2  minibatches = 2 {rollout} }}
  policy {{ backbone = {backbone}  network = mlp([8])  sampler = {sampler} }}
  value {{ network = mlp([8]) }}
  train {{ steps = 48  evaluate_every = 48  episodes = 1 }}
}}
"""
POLICIES = {
    "dppo": ("", "diffusion(time = fourier(4), obs = [])", "ddpm(3, floor = 0.1)"),
    "fpo": ("draws = 3", "flow(time = fourier(4), obs = [])", "euler(2, clip = none)"),
    "reinflow": ("", "flow(time = raw, obs = [])", "noisy_euler(2, network = mlp([4]))"),
    "genpo": ("", "coupled_flow(steps = 2, time = fourier(4))", "none"),
}


@pytest.mark.parametrize("base", POLICIES)
def test_iterative_policies_go_on_exactly_from_inside_a_rollout(base: str, tmp_path: Path) -> None:
    rollout, backbone, sampler = POLICIES[base]
    spec = ITERATIVE.format(base=base, rollout=rollout, backbone=backbone, sampler=sampler)
    (tmp_path / "small.flowrl").write_text(spec)
    assert train(tmp_path, "whole") == 0 and train(tmp_path, "half", "--steps", "38") == 0
    check_resumed(tmp_path / "whole", tmp_path / "half", 48)


def test_joined_members_learn_what_they_learn_alone(whole: Path) -> None:
    check_joined(whole, STEPS)


def test_a_policy_of_it_acts_and_is_evaluated(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", str(whole), "--episodes", "1"]) == 0
    assert f"at step {STEPS}: return" in capsys.readouterr().out


def test_an_update_that_is_not_finite_is_found_in_the_middle_of_a_rollout(home: Path, capsys) -> None:
    assert train(home, "boom", "--set", "rate=1e30") == 3
    assert "FRL0420" in capsys.readouterr().err
    assert cli.main(["diagnose", str(home / "boom")]) == 3


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("regime = off_policy", "FRL0212", 'section "rollout" needs on_policy'),
        ("value { old = none }", "FRL0212", 'section "rollout" needs old_value'),
        ("policy { old = none }", "FRL0220", "which the policy does not keep"),
    ],
)
def test_what_rollouts_need(tmp_path: Path, capsys, statement: str, code: str, said: str) -> None:
    spec = tmp_path / "odd.flowrl"
    spec.write_text(f'algorithm odd extends "ppo.flowrl" {{\n  {statement}\n}}\n')
    assert cli.main(["check", str(spec)]) == 1
    found = capsys.readouterr()
    assert code in found.out + found.err and said in found.out + found.err


def test_values_of_rollouts_are_refused_without_them(tmp_path: Path, capsys) -> None:
    spec = tmp_path / "odd.flowrl"
    spec.write_text('algorithm odd extends "iql.flowrl" {\n  value { fit = square(V(s) - returns) }\n}\n')
    assert cli.main(["check", str(spec)]) == 1
    found = capsys.readouterr()
    assert "returns needs rollouts" in found.out + found.err
