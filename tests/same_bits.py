"""Digests of what every shipped spec computes, to show that a change of the code changes no number.

    python -m tests.same_bits record before.json      # before the change
    python -m tests.same_bits compare before.json     # after it: every difference by name; exit status 1 if there is one

For each spec, shrunk to tiny networks: a digest of every group of the state and of every metric after 50 updates on fixed
data.  For two tasks: a digest of the metrics of a short training run.  Digests hold for one machine and one version of JAX,
because XLA compiles for the processor that it finds.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowrl_dsl import cli, driver, runs
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.testing.trials import tiny

UPDATES = 50
ROWS = 64
EPISODE = 10
SIZES = (5, 2)
SMALL = ("policy.network=mlp([16])", "critic.network=mlp([16])", "train.batch=32")
TRAININGS = {
    "qsm on InvertedPendulum-v5": ("qsm", "InvertedPendulum-v5"),
    "td7 on dm_control/cartpole-swingup": ("td7", "dm_control/cartpole-swingup"),
}

Digests = dict[str, dict[str, str]]


def digest(tree: Any) -> str:
    """A digest of the names, types and bytes of a tree's arrays."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


def after_updates(spec: str) -> dict[str, str]:
    """Digests of a spec's state and metrics after :data:`UPDATES` updates on fixed data."""
    program = driver.build_program(tiny(spec), *SIZES, capacity=ROWS)
    state, metrics = program.update(program.init(0), fixed_replay(program), UPDATES, program.hyper)
    parts = {f"state.{name}": group for name, group in state.items()}
    parts |= {f"metric.{name}": metrics[name] for name in program.metric_names}
    return {name: digest(part) for name, part in parts.items()}


def fixed_replay(program: Any) -> Any:
    """A replay of :data:`ROWS` random transitions, in episodes of :data:`EPISODE` steps of which every second ends truly."""
    random, (obs, action) = np.random.default_rng(0), SIZES
    s, a = random.normal(size=(ROWS + 1, obs)), random.uniform(-1, 1, (ROWS, action))
    end = np.arange(ROWS) % EPISODE == EPISODE - 1
    d = end & (np.arange(ROWS) // EPISODE % 2 == 0)
    replay = Replay.of(program)
    replay.add(s=s[:-1], a=a, r=random.normal(size=ROWS), d=d, end=end, s_next=s[1:])
    return replay.view()


def after_training(spec: str, task: str) -> dict[str, str]:
    """Digests of the records of a short run, its evaluations included."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", spec, "--task", task, "--steps", "400", "--evaluate-every", "200", "--episodes", "2"]
        words += [f"--out={folder}/run", "--set=train.warmup=50", *(f"--set={line}" for line in SMALL)]
        assert cli.main(words) in (0, None), f"{' '.join(words)} failed"
        records = Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    return {f"record {number}": hashlib.sha256(line.encode()).hexdigest()[:16] for number, line in enumerate(records)}


def digests() -> Digests:
    """All digests, by spec or run and by name."""
    runs.prepare_jax()
    found = {name: after_updates(name) for name in shipped_specs()}
    return found | {name: after_training(*words) for name, words in TRAININGS.items()}


def differences(before: Digests, after: Digests) -> list[str]:
    """What differs, a line for each name."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        lines += [f"{name}: {key} is gone" for key in old if key not in new]
        lines += [f"{name}: {key} is new" for key in new if key not in old]
        lines += [f"{name}: {key} differs" for key in old if key in new and old[key] != new[key]]
    return lines


def main(words: list[str]) -> int:
    if len(words) != 2 or words[0] not in ("record", "compare"):
        print(__doc__)
        return 2
    command, path = words[0], Path(words[1])
    found = digests()
    if command == "record":
        path.write_text(json.dumps(found, indent=1))
        return 0
    lines = differences(json.loads(path.read_text()), found)
    print("\n".join(lines) or f"all {sum(map(len, found.values()))} digests are the same")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
