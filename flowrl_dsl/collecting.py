"""The command ``flowrl-dsl collect``: a Minari data set of trained policies, or of the replays of their runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrl_dsl import __version__, runs
from flowrl_dsl.datasets import writing
from flowrl_dsl.datasets.writing import Episode
from flowrl_dsl.runtime.checkpoint import Checkpoints
from flowrl_dsl.runtime.errors import RunError
from flowrl_dsl.runtime.worlds.base import seed_of

if TYPE_CHECKING:
    from flowrl_dsl.runtime.checkpoint import Loaded
    from flowrl_dsl.runtime.logs import RunFolder

_PACKAGES = ("jax", "numpy", "gymnasium", "mujoco", "minari", "h5py")


@dataclass(frozen=True)
class CollectArguments:
    """Arguments of ``flowrl-dsl collect``.

    Attributes:
        runs: run folders, folders of populations, or folders of single checkpoints in them.
        name: the id of the new data set.
        steps: steps of all policies together; of replays, the newest rows of each, or all (None).
        seed: of the environments and of the noise; the same seed gives the same data.
        envs: environments that are stepped together.
        noise: standard deviation of the noise that is added to actions in [-1, 1].
        replay: whether the data is that of the replays.
    """

    runs: Sequence[Path]
    name: str
    steps: int | None
    seed: int = 0
    envs: int = 1
    noise: float = 0.0
    replay: bool = False


@dataclass(frozen=True)
class Behavior:
    """The origin of a part of a data set: a run, rebuilt, and one of its checkpoints (None: the newest)."""

    folder: RunFolder
    prepared: runs.PreparedRun
    checkpoint: str | None

    @staticmethod
    def at(path: Path) -> Behavior:
        """The behavior of a run folder, or of a checkpoint ``RUN/checkpoints/STEP``."""
        from flowrl_dsl.runtime.logs import RunFolder

        run, name = path, None
        if path.resolve().parent.name == "checkpoints" and not (path / "run.json").exists():
            run, name = path.resolve().parent.parent, path.resolve().name
        folder = RunFolder(run)
        return Behavior(folder, runs.rebuild(folder), name)

    def load(self) -> tuple[Loaded, Any]:
        """The checkpoint, and the state of the learner in it; FRL0412 if there is none that can be read."""
        import jax

        from flowrl_dsl.runtime import learner
        from flowrl_dsl.runtime.replay import Replay

        program, seed = self.prepared.program, self.prepared.settings.seed
        template = jax.eval_shape(lambda: program.init(seed))
        checkpoints = _Chosen(self.folder.path, self.checkpoint)
        loaded = checkpoints.load(learner.expected(template, Replay.of(program)))
        if loaded is None:
            name = "" if self.checkpoint is None else f" {self.checkpoint}"
            raise RunError("FRL0412", f"{self.folder.path} has no usable checkpoint{name}", *checkpoints.notices)
        return loaded, learner.from_arrays(template, loaded.state)


class _Chosen(Checkpoints):
    """The checkpoints of a run, or one of them alone."""

    def __init__(self, run: Path, name: str | None):
        super().__init__(run)
        self._name = name

    def steps(self) -> list[Path]:
        return [path for path in super().steps() if self._name in (None, path.name)]


def check(arguments: CollectArguments) -> None:
    """Raises ``ValueError`` for arguments that exclude each other."""
    if arguments.steps is None and not arguments.replay:
        raise ValueError("--steps is needed: how many steps the policies take together")
    if arguments.noise and arguments.replay:
        raise ValueError("--noise is added to the actions of policies; --replay takes what the run stored")


def collect(arguments: CollectArguments) -> dict[str, Any]:
    """Write the data set; prints the returns of each behavior and of the whole.

    Returns the name of the data set, its folder, its size, and what its metadata state.
    """
    from flowrl_dsl.runtime.logs import expanded
    from flowrl_dsl.runtime.worlds import catalogue

    folder = writing.claim(arguments.name)
    behaviors = [Behavior.at(path) for path in expanded(arguments.runs)]
    task, repeat = _task(behaviors)
    spaces = catalogue.spaces(task)
    parts = list(_parts(arguments, behaviors))
    episodes = [episode for part in parts for episode in part.episodes]
    if not episodes:
        raise RunError("FRL0462", "the replays are empty: these runs store no transitions in their checkpoints")
    about = {
        "source": "replay" if arguments.replay else "policy",
        "task": task,
        "action_repeat": repeat,
        "seed": arguments.seed,
        "envs": arguments.envs,
        "noise": arguments.noise,
        "returns": writing.returns_of(episodes),
        "behaviors": [part.about for part in parts],
        "versions": {"flowrl-dsl": __version__} | {name: version(name) for name in _PACKAGES},
    }
    names = ", ".join(dict.fromkeys(part.about["spec"] for part in parts))
    environment = catalogue.specification(task) if repeat == 1 else None
    metadata = {"algorithm_name": names, "flowrl_dsl": about}
    writing.write(arguments.name, episodes, spaces.low, spaces.high, metadata, environment)
    print(f"{arguments.name}: {_shown(episodes)}\nfolder: {folder}")
    size = {"steps": sum(map(len, episodes)), "episodes": len(episodes)}
    return {"name": arguments.name, "folder": str(folder), **size, **about}


def _task(behaviors: Sequence[Behavior]) -> tuple[str, int]:
    """The task of all runs and its action repeat; FRL0463 if they differ."""
    settings = {one.folder.path: one.prepared.settings for one in behaviors}
    found = {(one.task, one.action_repeat): path for path, one in settings.items()}
    if len(found) > 1:
        tasks = [f"{path}: {task}, each action {repeat} times" for (task, repeat), path in found.items()]
        raise RunError("FRL0463", "a data set has one task, these runs have several", *tasks)
    return next(iter(found))


@dataclass(frozen=True)
class _Part:
    """The episodes of one behavior, with actions in [-1, 1], and what the metadata state about it."""

    episodes: list[Episode]
    about: dict[str, Any]


def _parts(arguments: CollectArguments, behaviors: Sequence[Behavior]) -> Iterator[_Part]:
    for number, behavior in enumerate(behaviors):
        loaded, state = behavior.load()
        if arguments.replay:
            episodes = _of_replay(behavior.prepared, loaded, arguments.steps)
        else:
            steps = _share(arguments.steps or 0, len(behaviors), number)
            # the policies of one data set meet other episodes each
            seed = seed_of(arguments.seed, number)
            episodes = _of_policy(behavior.prepared, state, arguments, seed, steps) if steps else []
        print(f"{behavior.folder.path} at step {loaded.step}: {_shown(episodes)}", flush=True)
        yield _Part(episodes, _about(behavior.folder, loaded.step, episodes))


def _share(steps: int, parts: int, number: int) -> int:
    """An even share of the steps; the first parts have one more where they do not divide."""
    return steps // parts + (number < steps % parts)


def _of_replay(prepared: runs.PreparedRun, loaded: Loaded, steps: int | None) -> list[Episode]:
    from flowrl_dsl.runtime.recording import replayed

    program = prepared.program
    rows = loaded.rows if steps is None else loaded.rows[-steps:]
    return replayed(rows, loaded.total, prepared.settings.envs, program.data.stored, program.axis_sizes)


def _of_policy(prepared: runs.PreparedRun, state: Any, arguments: CollectArguments, seed: int, steps: int) -> list[Episode]:
    from flowrl_dsl.runtime.recording import record
    from flowrl_dsl.runtime.worlds import catalogue

    program, settings = prepared.program, prepared.settings
    count, repeat = min(arguments.envs, steps), settings.action_repeat
    world = catalogue.make(settings.task, count, seed, repeat, entries=program.entries)
    try:
        return record(program, state, program.hyper, world, steps, arguments.noise, seed)
    finally:
        world.close()


def _about(folder: RunFolder, step: int, episodes: Sequence[Episode]) -> dict[str, Any]:
    return {
        "spec": folder.said("spec"),
        "spec_sha256": hashlib.sha256(folder.resolved()).hexdigest(),
        "sets": folder.said("sets"),
        "seed": folder.said("seed"),
        "checkpoint": step,
        "steps": sum(map(len, episodes)),
        "returns": writing.returns_of(episodes),
    }


def _shown(episodes: Sequence[Episode]) -> str:
    returns, steps = writing.returns_of(episodes), sum(map(len, episodes))
    text = f"{steps:,} steps, {len(episodes):,} episodes, {returns['episodes']:,} of them whole"
    return f"{text} with return {returns['mean']:.1f} ± {returns['std']:.1f}" if returns["episodes"] else text
