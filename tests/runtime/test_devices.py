"""A run whose environments are split among several devices: the same run up to rounding, with equal shares of the memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flowrl_dsl.runtime import devices
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.logs import RunFolder
from tests.runtime.on_devices import COUNTS, STEPS
from tests.runtime.toy_program import toy_program, toy_settings
from tests.whole_runs import states

Found = tuple[str, Path, dict[str, list[int]]]


@pytest.fixture(scope="module", params=["ppo", pytest.param("td3", marks=pytest.mark.slow)])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The runs of a process with four virtual devices, and the bytes that each of them holds."""
    spec, home = request.param, tmp_path_factory.mktemp("devices")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    env = os.environ | {"XLA_FLAGS": flags.strip()}
    command = [sys.executable, "-m", "tests.runtime.on_devices", spec, str(home)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return spec, home, json.loads(done.stdout.splitlines()[-1])


def test_the_run_is_that_of_one_device_up_to_rounding(found: Found) -> None:
    home = found[1]
    one, four = states(home / "one", STEPS), states(home / "four", STEPS)
    for name, array in one.items():
        np.testing.assert_allclose(four[name], array, rtol=2e-3, atol=2e-4, err_msg=name)
    first, second = (RunFolder(home / name).records() for name in ("one", "four"))
    for ours, theirs in zip(first, second, strict=True):
        assert ours["step"] == theirs["step"] and ours.get("length") == theirs.get("length")


def test_a_resumed_run_has_the_bits_of_one_that_was_not_cut(found: Found) -> None:
    four, half = (states(found[1] / name, STEPS) for name in ("four", "half"))
    assert all(np.array_equal(four[name], half[name]) for name in four)


def test_devices_hold_equal_parts_of_the_replay_and_of_the_world(found: Found) -> None:
    spec, _, held = found
    assert all(len(shares) == 4 and len(set(shares)) == 1 for shares in held.values())
    # observations of three numbers, an action (and as it was drawn), three numbers of a step; two counters on each device
    row = 3 + 1 + 3 + 3 + (spec == "ppo")
    assert held["storage"][0] == COUNTS[spec]["replay"] // 4 * 4 * row + 8


@pytest.mark.parametrize(
    ("counts", "pure", "said"),
    [
        ({"devices": 9, "envs": 9}, True, "devices = 9, but JAX has 8"),
        ({"devices": 3, "envs": 3}, False, "is stepped on the host"),
        ({"devices": 3, "envs": 4}, True, "envs = 4 cannot be split among 3 devices"),
        ({"devices": 7, "envs": 7}, True, "the capacity of the replay = 300 cannot be split among 7"),
    ],
)
def test_what_cannot_be_split_is_refused(
    counts: dict[str, int], pure: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.jax, "devices", lambda: [None] * 8)
    with pytest.raises(RunError, match=f"FRL0428.*{said}"):
        devices.spread(toy_program(3, 1), toy_settings("cart/walls", **counts), pure)
