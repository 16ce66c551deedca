"""Trains in a world of carts on one and on four devices: ``python -m tests.runtime.on_devices SPEC FOLDER``.

JAX counts the devices of a process when it starts, so this is a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax

from flowrl_dsl import driver
from flowrl_dsl.lowering.program import Program
from flowrl_dsl.runtime.logs import RunFolder
from flowrl_dsl.runtime.train import Training
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.pure import PureVector
from tests.runtime.toy_program import toy_settings
from tests.runtime.toy_run import Quiet
from tests.runtime.worlds.cart import Cart, Carts

TASK, ENVS, STEPS = "cart/walls", 8, 96
SETS = {
    "ppo": ("value.network=mlp([8])", "rollout.steps=4", "rollout.epochs=1", "rollout.minibatches=2"),
    "td3": ("critic.network=mlp([8])", "train.batch=8"),
}
COUNTS = {
    "ppo": {"rollout": 4, "updates": 2, "warmup": 0, "replay": 4 * ENVS},
    "td3": {"warmup": 16, "replay": 1024},
}
SHARED = {"envs": ENVS, "evaluate_every": STEPS, "checkpoint_every": 64, "episodes": 2}


def train(spec: str, program: Program, folder: Path, devices: int, steps: int = STEPS) -> Training:
    if not folder.exists():
        RunFolder.create(folder.parent, spec, TASK, 0, {}, out=folder)
    settings = toy_settings(TASK, 1, **SHARED | COUNTS[spec] | {"steps": steps, "devices": devices})
    turn = "on_policy" if settings.rollout else "off_policy"
    training = Training(program, settings, RunFolder(folder), Quiet(steps), turn=turn)
    training.run()
    return training


def shares(tree: Any) -> list[int]:
    """The bytes on each device."""
    held: dict[int, int] = {}
    for leaf in jax.tree.leaves(tree):
        for part in leaf.addressable_shards:
            held[part.device.id] = held.get(part.device.id, 0) + part.data.nbytes
    return list(held.values())


def main(spec: str, home: Path) -> None:
    sets = (*SETS[spec], "policy.network=mlp([8])", f"train.envs={ENVS}")
    algorithm, _ = driver.resolve_or_raise(spec, TASK, sets)
    dynamics, program = Cart(), driver.build_program(algorithm, *catalogue.sizes(TASK), capacity=COUNTS[spec]["replay"])
    Carts.make = lambda self, task, seeds, repeat: PureVector(task, dynamics, seeds, repeat)
    train(spec, program, home / "one", 1)
    training = train(spec, program, home / "four", 4)
    train(spec, program, home / "half", 4, STEPS // 2)
    train(spec, program, home / "half", 4)
    held = {"storage": training.replay.own(), "episodes": training.world.episodes, "state": training.state}
    print(json.dumps({name: shares(tree) for name, tree in held.items()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
