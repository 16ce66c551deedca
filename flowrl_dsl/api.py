"""The package from Python: compile an algorithm, train it, read its records, and use its policy without an environment.

Errors are :class:`~flowrl_dsl.diagnostics.DiagnosticError` with the code, place and cure of each diagnostic.  The examples
of the docstrings run one after another in one folder, beginning with that of :func:`train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowrl_dsl import acting, driver, runs, streams
from flowrl_dsl.record import Layout
from flowrl_dsl.runtime.chunks import Chunks
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.settings import count

if TYPE_CHECKING:
    from flowrl_dsl.algorithm import Algorithm
    from flowrl_dsl.lowering.program import Program
    from flowrl_dsl.runtime.evaluation import Evaluation
    from flowrl_dsl.runtime.logs import RunFolder
    from flowrl_dsl.runtime.worlds.given import Environment

Record = dict[str, Any]
"""One line of metrics.jsonl: ``kind`` (``train``, ``eval`` or ``phase``), ``step``, and numbers by name."""
Callback = Callable[[Record], "bool | None"]


@dataclass(frozen=True)
class Compiled:
    """A checked algorithm, and its program: ``init(seed)``, ``step``, ``update`` and ``act`` as compiled functions.

    >>> compiled = flowrl_dsl.load("sac", sizes=(3, 1))
    >>> compiled
    <Compiled sac: 3 observations, 1 action components>
    >>> compiled.algorithm.title
    'Soft actor-critic'
    """

    algorithm: Algorithm
    program: Program

    def __repr__(self) -> str:
        """One line: the fields are pages long, and notebooks show the value of a cell."""
        sizes = f"{self.program.obs_size} observations, {self.program.action_size} action components"
        return f"<{type(self).__name__} {self.algorithm.name}: {sizes}>"


def load(
    spec: str, task: str | None = None, sets: Sequence[str] = (), sizes: tuple[int | Mapping[str, int], int] | None = None
) -> Compiled:
    """The algorithm and program of a spec, by path or shipped name, for a task or for given ``sizes``.

    ``sets`` are overrides such as ``"temperature=0.05"``; ``sizes`` are the components of an observation and an action, by
    default those of the task, or of HalfCheetah without one.  An observation of entries is a dictionary of their sizes.

    >>> compiled = flowrl_dsl.load("td3", sets=["critic.ensemble=3"], sizes=(3, 1))
    >>> compiled.algorithm.sections["critic"].ensemble, compiled.program.obs_size
    (3, 3)
    """
    algorithm, _ = driver.resolve_or_raise(spec, task, sets)
    obs, action = _counted_sizes(*sizes) if sizes else driver.task_sizes(task, algorithm)
    runs.prepare_jax()
    return Compiled(algorithm, driver.build_program(algorithm, obs, action))


def _counted_sizes(observation: int | Mapping[str, int], action: int) -> tuple[int | Layout, int]:
    if not isinstance(observation, Mapping):
        return count("sizes", observation), count("sizes", action)
    return Layout.of({name: count("sizes", size) for name, size in observation.items()}), count("sizes", action)


def train(
    spec: str,
    task: str | Environment,
    *,
    seed: int = 0,
    sets: Sequence[str] = (),
    steps: int | None = None,
    evaluate_every: int | None = None,
    episodes: int | None = None,
    log_every: int | None = None,
    data: str | None = None,
    begin: str | Path | None = None,
    out: str | Path | None = None,
    callback: Callback | None = None,
    quiet: bool = False,
) -> Run:
    """Train a spec on a task and return its run; the arguments are those of ``flowrl-dsl train``.

    ``task`` is an id, a :class:`gymnasium.Env`, of which copies are trained on, or a function that makes one.
    ``callback`` is called with each record, every ``log_every`` steps (1000) and after each evaluation; if it returns true,
    a checkpoint is written and the training stops.  ``quiet`` prints nothing.

    >>> small = ["policy.network=mlp([8])", "critic.network=mlp([8])", "train.warmup=50", "train.batch=8"]
    >>> run = flowrl_dsl.train("td3", "Pendulum-v1", sets=small, steps=60, episodes=1, out="quick", quiet=True)
    >>> [record["step"] for record in run.records() if record["kind"] == "eval"]
    [60]
    """
    name = task if isinstance(task, str) else _task_of(task)
    numbers = {"steps": steps, "evaluate_every": evaluate_every, "episodes": episodes, "log_every": log_every}
    replaced = {number: _counted(number, value) for number, value in numbers.items()}
    given = (spec, name, count("seed", seed, least=0), tuple(sets), replaced, None if out is None else Path(out), None, data)
    arguments = runs.TrainArguments(*given, begin=None if begin is None else str(begin))
    with streams.silenced(quiet):
        prepared = runs.prepare(arguments)
        folder = runs.new_folder(arguments, prepared)
        _run(prepared, folder, callback)
    return Run(folder.path)


def _counted(name: str, value: int | None) -> int | None:
    return None if value is None else count(name, value)


def _task_of(environment: Environment, task: str | None = None) -> str:
    from flowrl_dsl.runtime.worlds import given

    return given.task_of(environment, task)


def _run(prepared: runs.PreparedRun, folder: RunFolder, callback: Callback | None) -> None:
    try:
        runs.run(prepared, folder, callback)
    except Interrupted:
        if callback is None:
            raise  # nobody but the user's Ctrl-C can have stopped it


@dataclass(frozen=True)
class Run:
    """A run folder.

    >>> run = flowrl_dsl.Run("quick")
    >>> returns = [record["return_mean"] for record in run.records() if record["kind"] == "eval"]
    >>> len(returns), returns[0] < 0
    (1, True)
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def records(self) -> Iterator[Record]:
        """The records of the run in order."""
        from flowrl_dsl.runtime.logs import RunFolder

        yield from RunFolder(self.path).records()

    def resume(
        self, steps: int | None = None, callback: Callback | None = None, env: Environment | None = None, quiet: bool = False
    ) -> None:
        """Train on to the end, which ``steps`` moves; the other arguments are as in :func:`train`.

        ``env`` is the environment of a run whose task was one, where another process resumes it.
        """
        from flowrl_dsl import resuming

        folder = self._folder(env)
        with streams.silenced(quiet):
            _run(resuming.prepare(folder, _counted("steps", steps), restart=False), folder, callback)

    def evaluate(self, episodes: int | None = None, env: Environment | None = None, quiet: bool = False) -> Evaluation:
        """Evaluate the newest checkpoint: returns and lengths of the episodes; ``env`` as in :meth:`resume`."""
        with streams.silenced(quiet):
            return runs.evaluate_one(self._folder(env), _counted("episodes", episodes))

    def _folder(self, env: Environment | None) -> RunFolder:
        from flowrl_dsl.runtime.logs import RunFolder

        folder = RunFolder(self.path)
        if env is not None:
            _task_of(env, folder.said("task"))
        return folder

    def policy(self) -> Policy:
        """The policy of the newest checkpoint."""
        return load_policy(self.path)


class Policy:
    """A trained policy, without environment and training state; NumPy arrays in and out.

    Attributes:
        step: the training step of the checkpoint.
        observation_size, action_size: O and A in the shapes of :meth:`act`.
        entries: of dictionary observations, those that the policy reads; an observation consists of them, side by side in
            this order.  Empty where it reads whole observations.
        chunk: h, the number of successive actions that it chooses at once: ``act.chunk`` of the spec.
        low, high: the bounds of the task's actions [A].

    >>> policy = flowrl_dsl.load_policy("quick")
    >>> isinstance(policy, flowrl_dsl.Policy), policy.step, policy.act([1.0, 0.0, 0.0]).shape
    (True, 60, (1,))
    >>> policy.act([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], deterministic=False).shape
    (2, 1)
    """

    def __init__(self, program: Program, state: Any, step: int, low: Any, high: Any):
        self._program, self._state, self._counter = program, state, 0
        self.step, self.action_size = step, program.action_size
        self.observation_size, self.entries = program.acting_size("evaluate"), program.acting_entries("evaluate")
        self.chunk = program.chunk
        self.low, self.high = np.asarray(low, np.float64), np.asarray(high, np.float64)

    def act(self, obs: Any, deterministic: bool = True) -> np.ndarray:
        """Actions [A] within the bounds of the task for one observation [O]; [N, A] for several [N, O].

        A policy that chooses chunks returns all h actions, to be taken one after another: [h, A] or [N, h, A].
        ``deterministic`` selects the mode ``evaluate`` of the spec, which may sample; otherwise it is ``explore``.  Each
        number N of observations compiles once.  Raises FRL0404 for observations of another size.
        """
        rows, mode = np.asarray(obs, np.float32), "evaluate" if deterministic else "explore"
        size = self._program.acting_size(mode)
        if rows.ndim not in (1, 2) or rows.shape[-1] != size:
            message = f"the policy reads observations of {size} numbers, found shape {list(rows.shape)}"
            entries = self._program.acting_entries(mode)
            parts = f"its entries, in this order: {', '.join(entries)}" if entries else ""
            raise RunError("FRL0404", message, "pass one observation [O], or several [N, O]", parts)
        seen = self._program.placed(mode, np.atleast_2d(rows))
        found = self._program.act(self._state, seen, self._counter, mode, self._program.hyper)["action"]
        self._counter += 1
        shape = (len(found), self.action_size) if self.chunk == 1 else (len(found), self.chunk, self.action_size)
        actions = self.low + (np.asarray(found, np.float64).reshape(shape) + 1) / 2 * (self.high - self.low)
        actions = np.clip(actions, self.low, self.high).astype(np.float32)
        return actions[0] if rows.ndim == 1 else actions

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """The next action with the signature of Stable-Baselines3's ``predict``: its evaluation helpers take this policy.

        What is left of chunks is in the ``state`` that it returns, to be passed to the next call; a chunk ends where
        ``episode_start`` is true.  Without chunks the state is None.
        """
        if self.chunk == 1:
            return self.act(observation, deterministic), None
        obs = np.asarray(observation, np.float32)
        chunks = Chunks(self.chunk, len(np.atleast_2d(obs)), self.action_size)
        if state is not None:
            chunks.restore(state)
        if episode_start is not None:
            chunks.end(np.atleast_1d(episode_start))
        action = chunks.take(self.act(np.atleast_2d(obs), deterministic) if chunks.due else None)
        return action[0] if obs.ndim == 1 else action, chunks.snapshot()


def load_policy(run: str | Path) -> Policy:
    """The policy of the newest checkpoint of a run folder.

    >>> flowrl_dsl.load_policy("quick").high.tolist()
    [2.0]
    """
    from flowrl_dsl.runtime.logs import RunFolder

    found = acting.newest(RunFolder(Path(run)))
    return Policy(found.program, found.state, found.step, found.low, found.high)
