"""Reference returns of tasks: of random actions, measured here, and of a good policy, each with its source.

A score is 0 at the first and 1 at the second; it may lie outside of [0, 1].  References are of other versions of the tasks
than v5 where no source has those: they set a scale, and are not a result to be reached.
"""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """Undiscounted returns of random actions and of the reference, and where the latter is from."""

    random: float
    reference: float
    source: str


SAC = "SAC, 1 M steps, 10 seeds, tasks of version 2 or 3: github.com/thu-ml/tianshou, examples/mujoco/README.md"
TD3 = "TD3, 1 M steps, task of version 4: github.com/vwxyzjn/cleanrl, docs/rl-algorithms/td3.md"
RPO = "RPO, 8 M steps, task of version 4: github.com/vwxyzjn/cleanrl, docs/rl-algorithms/rpo.md"
KNOWN = "the value of the best action, and the mean value of uniform ones, on a grid of 100 x 100 actions"
CONTROL = "the largest possible return: 1 000 frames of rewards in [0, 1] (Tassa et al., arXiv:1801.00690)"

RANDOM = {
    "known/ring": -0.5438,
    "known/moons": -1.3103,
    "known/uneven": -0.7266,
    "known/checkerboard": 0.0,
    "InvertedPendulum-v5": 4.86,
    "InvertedDoublePendulum-v5": 44.56,
    "Reacher-v5": -42.99,
    "Pusher-v5": -150.3,
    "Swimmer-v5": -0.8143,
    "Hopper-v5": 18.16,
    "Walker2d-v5": 1.73,
    "HalfCheetah-v5": -284.7,
    "Ant-v5": -53.98,
    "Humanoid-v5": 107.9,
    "HumanoidStandup-v5": 33865.0,
    "dm_control/acrobot-swingup": 2.53,
    "dm_control/ball_in_cup-catch": 135.4,
    "dm_control/cartpole-balance": 319.5,
    "dm_control/cartpole-balance_sparse": 41.85,
    "dm_control/cartpole-swingup": 51.68,
    "dm_control/cartpole-swingup_sparse": 0.0,
    "dm_control/cheetah-run": 6.459,
    "dm_control/dog-run": 5.836,
    "dm_control/dog-stand": 25.87,
    "dm_control/dog-trot": 7.052,
    "dm_control/dog-walk": 8.282,
    "dm_control/finger-spin": 1.45,
    "dm_control/finger-turn_easy": 199.8,
    "dm_control/finger-turn_hard": 76.15,
    "dm_control/fish-swim": 82.17,
    "dm_control/hopper-hop": 0.1721,
    "dm_control/hopper-stand": 3.286,
    "dm_control/humanoid-run": 0.8539,
    "dm_control/humanoid-stand": 4.942,
    "dm_control/humanoid-walk": 1.107,
    "dm_control/pendulum-swingup": 1.35,
    "dm_control/quadruped-run": 82.36,
    "dm_control/quadruped-walk": 82.63,
    "dm_control/reacher-easy": 59.8,
    "dm_control/reacher-hard": 9.4,
    "dm_control/walker-run": 25.51,
    "dm_control/walker-stand": 140.1,
    "dm_control/walker-walk": 40.26,
}
"""``flowrl-dsl suite random gym_mujoco --episodes 100`` and ``flowrl-dsl suite random dm_control --episodes 20``."""

_REFERENCES = {
    "known/ring": (-0.0002, KNOWN),
    "known/moons": (0.0471, KNOWN),
    "known/uneven": (-0.0923, KNOWN),
    "known/checkerboard": (0.199, KNOWN),
    "InvertedPendulum-v5": (1000.0, SAC),
    "InvertedDoublePendulum-v5": (9359.5, SAC),
    "Reacher-v5": (-2.6, SAC),
    "Pusher-v5": (-30.92, TD3),
    "Swimmer-v5": (44.4, SAC),
    "Hopper-v5": (3542.2, SAC),
    "Walker2d-v5": (5007.0, SAC),
    "HalfCheetah-v5": (12138.8, SAC),
    "Ant-v5": (5850.2, SAC),
    "Humanoid-v5": (5488.5, SAC),
    "HumanoidStandup-v5": (150972.11, RPO),
}


def reference_of(task: str) -> Reference | None:
    """The references of a task, whose name may have arguments; None for a task without any."""
    name = task.partition("(")[0]
    if name not in RANDOM:
        return None
    reference, source = (1000.0, CONTROL) if name.startswith("dm_control/") else _REFERENCES[name]
    return Reference(RANDOM[name], reference, source)
