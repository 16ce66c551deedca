"""``flowrl-dsl look``: what a policy does at some states, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowrl_dsl.acting import Acting
from flowrl_dsl.reading import Unreadable, read_regular
from flowrl_dsl.runtime.errors import RunError

if TYPE_CHECKING:
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.portrait import Portrait

MOST_STATES = 6
_LONGEST = 1000
"""Steps of an episode of which some are looked at."""
_USUAL = (0.0, 0.25, 0.5)
"""The parts of an episode at which a policy is looked at, unless steps are named."""
_GRID = 61
_MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class LookArguments:
    """Arguments of ``flowrl-dsl look``: ``at`` are steps of an episode, ``observations`` a file of NumPy instead of them."""

    run: Path
    at: tuple[int, ...] = ()
    observations: Path | None = None
    components: tuple[int, ...] = ()
    samples: int = 500
    paths: int = 12
    seed: int = 0


def look(arguments: LookArguments, output: Path | None) -> Path:
    """Draw the samples of the newest checkpoint's policy; the picture is by default ``look.png`` in the run folder.

    Raises FRL0484 for states and components that are not there.
    """
    from flowrl_dsl.runtime import figures, portrait
    from flowrl_dsl.runtime.logs import RunFolder

    output = output or arguments.run / "look.png"
    figures.check(output)
    folder = RunFolder(arguments.run)
    acting = Acting(folder)
    names, obs = _states(arguments, acting)
    found = _portrait(arguments, acting, folder, names, obs)
    title = f"{folder.said('spec')} on {folder.said('task')}, {acting.step:,} steps"
    figures.save(lambda: portrait.figure(found, title), output)
    return output


def _states(arguments: LookArguments, acting: Acting) -> tuple[list[str], np.ndarray]:
    """Names of the states, and their observations [S, O]."""
    if arguments.observations is not None:
        rows = _read(arguments.observations, acting.program.obs_size)
        return [f"observation {k}" for k in range(len(rows))], rows
    if len(arguments.at) > MOST_STATES:
        raise RunError("FRL0484", f"{len(arguments.at)} steps are too many for one picture", f"at most {MOST_STATES}")
    longest = max(arguments.at) + 1 if arguments.at else _LONGEST
    episode = acting.episode(arguments.seed, longest)
    steps = arguments.at or tuple(dict.fromkeys(int(part * len(episode)) for part in _USUAL))
    beyond = [step for step in steps if step >= len(episode)]
    if beyond:
        message = f"the episode has no step {beyond[0]}"
        raise RunError("FRL0484", message, f"the policy's episode with --seed {arguments.seed} has {len(episode)} steps")
    return [f"step {step}" for step in steps], episode[list(steps)]


def _read(path: Path, size: int) -> np.ndarray:
    """Observations [S, O] of a file of NumPy."""
    from flowrl_dsl.runtime.arrays import read_npy

    try:
        found = read_npy(read_regular(path, _MOST_BYTES))
    except (OSError, Unreadable) as error:
        raise RunError("FRL0484", f"{path} is no file of observations: {error}", "numpy.save writes one") from error
    rows = np.atleast_2d(found)
    if rows.dtype.kind not in "fiu" or rows.ndim != 2 or rows.shape[1] != size or not 1 <= len(rows) <= MOST_STATES:
        message = f"{path} has {found.dtype}{list(found.shape)}"
        raise RunError("FRL0484", message, f"expected numbers [n, {size}], with n from 1 to {MOST_STATES}")
    return rows.astype(np.float32)


def _portrait(arguments: LookArguments, acting: Acting, folder: RunFolder, names: list[str], obs: np.ndarray) -> Portrait:
    from flowrl_dsl.components.inspection import rates_actions
    from flowrl_dsl.runtime.portrait import Portrait

    view = _View(acting, folder)
    samples, steps = view.samples(obs, max(arguments.samples, arguments.paths), arguments.seed)
    components = _components(arguments.components, samples)
    # the last point is the action itself
    paths = np.stack([*steps, samples], axis=1)[:, :, : arguments.paths]
    grid = np.linspace(-1, 1, _GRID)
    if not rates_actions(acting.algorithm):
        return Portrait(names, samples, paths, grid, None, None, components)
    best = samples[np.arange(len(obs)), view.values(obs, samples).argmax(axis=1)]
    values = view.values(obs, _slice(best, components, grid)).reshape(len(obs), *[_GRID] * len(components))
    return Portrait(names, samples, paths, grid, values, best, components)


def _components(given: Sequence[int], samples: np.ndarray) -> tuple[int, ...]:
    """The components to draw: those given, or the two in which the samples differ most."""
    size = samples.shape[-1]
    if any(component >= size for component in given):
        message = f"the action has no component {next(c for c in given if c >= size)}"
        raise RunError("FRL0484", message, f"what the policy chooses at once has {size}, counted from 0")
    if len(given) > 2:
        raise RunError("FRL0484", f"{len(given)} components are too many for a picture", "name one or two")
    if given:
        return tuple(given)
    spread = samples.std(axis=1).mean(axis=0)
    return tuple(sorted(int(k) for k in np.argsort(-spread, kind="stable")[:2]))


def _slice(best: np.ndarray, components: tuple[int, ...], grid: np.ndarray) -> np.ndarray:
    """The best actions [S, A] with the components replaced by all combinations of the grid: [S, G^C, A]."""
    axes = np.stack(np.meshgrid(*[grid] * len(components), indexing="ij"), axis=-1).reshape(-1, len(components))
    found = np.repeat(best[:, None], len(axes), axis=1)
    found[..., list(components)] = axes
    return found


class _View:
    """The newest checkpoint of a run, seen through graphs of its own."""

    def __init__(self, acting: Acting, folder: RunFolder):
        from flowrl_dsl.components.sizes import Sizes

        self._program, self._folder, self._algorithm = acting.program, folder, acting.algorithm
        program = acting.program
        self._sizes = Sizes(program.obs_size, program.chunk * program.action_size, layout=program.layout)

    def samples(self, obs: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Actions [S, N, A] of the policy, and the noisy actions before each step of its sampler."""
        import jax

        from flowrl_dsl.components.inspection import samples_graph
        from flowrl_dsl.lowering.paths import sampled_with_paths

        graph = samples_graph(self._algorithm, self._sizes, count)
        inputs = self._inputs(graph) | {"obs": obs, "key": jax.random.PRNGKey(seed)}
        outputs, steps = sampled_with_paths(graph, inputs)
        return np.asarray(outputs["action"]), steps

    def values(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The critic's values [S, N] of actions [S, N, A]."""
        import jax

        from flowrl_dsl.components.inspection import values_graph
        from flowrl_dsl.lowering.evaluate import node_by_node

        graph = values_graph(self._algorithm, self._sizes)
        inputs = self._inputs(graph) | {"obs": obs, "action": actions.astype(np.float32)}
        return np.asarray(jax.jit(lambda inputs: node_by_node(graph, inputs)["value"])(inputs))

    def _inputs(self, graph: Any) -> dict[str, Any]:
        """The groups of the state and the numbers that the graph reads."""
        from flowrl_dsl.lowering.program import groups_read
        from flowrl_dsl.runtime.loading import load_groups

        _, state = load_groups(self._program, self._folder, groups_read(graph))
        numbers = {f"hyper.{name}": np.float32(self._program.hyper[name]) for name in graph.leaves("hyper.")}
        return numbers | {f"state.{name}": value for name, value in state.items()}
