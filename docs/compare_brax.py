"""Compare an iteration of ppo with that of Brax's own PPO, and fill the table of docs/performance.md.

``python docs/compare_brax.py``, with the extra `playground`, which brings Brax, on an otherwise idle machine.  Both train on
the same tasks at the same settings: environments, steps of a rollout, minibatches, epochs, networks, running moments of
observations.  Each is measured in a process of its own, in turns; a figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from records import fill, table

from flowrl_dsl.bench.timing import seconds
from flowrl_dsl.runtime.worlds.arguments import split

TASKS = ("playground/CartpoleBalance", "playground/CheetahRun", "brax/ant(backend='spring')")
ENVS, STEPS, MINIBATCHES, EPOCHS = 64, 24, 4, 5
WIDTHS = (256, 256, 256)
ITERATIONS = 20
"""Of a measurement; the first such stretch compiles and is not counted."""
STRETCHES, ROUNDS, UNROLLS = 4, 3, 20


def environment(task: str) -> tuple[Any, Callable[..., Any]]:
    """A task of Playground or Brax as Brax's training takes it, and how it is wrapped for training."""
    world, _, name = task.partition("/")
    if world == "playground":
        from mujoco_playground import registry, wrapper

        return registry.load(name, config_overrides={"impl": "jax"}), wrapper.wrap_for_brax_training
    from brax import envs

    name, arguments = split(task)
    return envs.get_environment(name.removeprefix("brax/"), **arguments), envs.training.wrap


def brax(task: str) -> dict[str, float]:
    """Frames a second of Brax's training without compilation, and the share of its rollouts, timed on their own."""
    import jax
    import jax.numpy as jnp
    from brax.training.agents.ppo import networks, train

    # Brax 0.14 calls a function that jax 0.10 no longer has
    jax.device_put_replicated = lambda tree, devices: jax.tree.map(lambda x: jnp.stack([x] * len(devices)), tree)
    widths = {"policy_hidden_layer_sizes": WIDTHS, "value_hidden_layer_sizes": WIDTHS}
    factory = partial(networks.make_ppo_networks, **widths)
    made, wrap = environment(task)
    speeds: list[float] = []
    train.train(
        environment=made,
        num_timesteps=ENVS * STEPS * ITERATIONS * STRETCHES,
        num_envs=ENVS,
        episode_length=1000,
        unroll_length=STEPS,
        batch_size=ENVS // MINIBATCHES,
        num_minibatches=MINIBATCHES,
        num_updates_per_batch=EPOCHS,
        normalize_observations=True,
        discounting=0.99,
        network_factory=factory,
        wrap_env_fn=wrap,
        num_evals=STRETCHES + 1,
        run_evals=False,
        progress_fn=lambda step, metrics: speeds.append(metrics.get("training/sps", 0.0)),
    )
    frames = median(speeds[1 - STRETCHES :])
    return {"frames": float(frames), "acting": unroll(made, wrap, factory) * frames / (ENVS * STEPS)}


def unroll(made: Any, wrap: Callable[..., Any], factory: Any) -> float:
    """Seconds of one of Brax's rollouts, compiled on its own."""
    import jax
    from brax.training import acting
    from brax.training.acme import running_statistics
    from brax.training.agents.ppo import networks

    env = wrap(made, episode_length=1000, action_repeat=1)
    network = factory(made.observation_size, made.action_size, preprocess_observations_fn=running_statistics.normalize)
    keys = jax.random.split(jax.random.PRNGKey(0), ENVS)
    state = jax.jit(env.reset)(keys)
    moments = running_statistics.init_state(jax.tree.map(lambda x: x[0], state.obs))
    params = (moments, network.policy_network.init(keys[0]), network.value_network.init(keys[1]))
    policy = networks.make_inference_fn(network)(params)
    fields = ("truncation", "episode_metrics", "episode_done")
    one = jax.jit(lambda state, key: acting.generate_unroll(env, state, policy, key, STEPS, extra_fields=fields))
    jax.block_until_ready(one(state, keys[0]))  # compiles
    return median(seconds(lambda: jax.block_until_ready(one(state, keys[1]))) for _ in range(UNROLLS))


def ours(task: str) -> dict[str, float]:
    """Frames a second of ppo, and the share of its rollouts, timed on their own, by ``flowrl-dsl bench train``."""
    mlp = f"mlp([{', '.join(map(str, WIDTHS))}], activation = silu)"
    frames = ENVS * STEPS * ITERATIONS * STRETCHES
    numbers = {"train.envs": ENVS, "train.steps": frames, "rollout.steps": STEPS, "rollout.epochs": EPOCHS}
    numbers |= {"rollout.minibatches": MINIBATCHES, "policy.network": mlp, "value.network": mlp}
    words = [word for name, value in numbers.items() for word in ("--set", f"{name}={value}")]
    command = ["bench", "train", "ppo", "--task", task, "--json", "--repeat", "1", *words]
    done = subprocess.run([sys.executable, "-m", "flowrl_dsl", *command], capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)["rows"][0]
    acting = sum(row["shares"][part] for part in ("act", "environment", "replay"))
    return {"frames": row["steps_per_second"], "acting": acting}


def measured(task: str) -> dict[str, dict[str, float]]:
    """Medians of the rounds, of both."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "brax": []}
    for _ in range(ROUNDS):
        for side in found:
            words = [sys.executable, __file__, "--side", side, "--tasks", task]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(task, side, found[side][-1], flush=True)
    return {side: {name: median(one[name] for one in all_) for name in all_[0]} for side, all_ in found.items()}


def row(task: str, found: dict[str, dict[str, float]]) -> list[str]:
    """Frames a second and seconds of learning in an iteration, with ratios."""
    learning = {side: (1 - one["acting"]) * ENVS * STEPS / one["frames"] for side, one in found.items()}
    speeds = [f"{found[side]['frames']:.0f}" for side in ("ours", "brax")]
    times = [f"{1000 * learning[side]:.0f}" for side in ("ours", "brax")]
    ratios = found["ours"]["frames"] / found["brax"]["frames"], learning["brax"] / learning["ours"]
    return [task, *speeds, f"{ratios[0]:.2f}", *times, f"{ratios[1]:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--side", choices=("ours", "brax"), help="measure one side once, and print it")
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps({"ours": ours, "brax": brax}[asked.side](asked.tasks[0])))
        return
    titles = ["task", "frames/s", "Brax", "ratio", "learning, ms", "Brax", "ratio"]
    fill("performance.md", "brax", table(titles, [row(task, measured(task)) for task in asked.tasks]))


if __name__ == "__main__":
    main()
