"""Worlds: copies of one task, stepped together, with the semantics required by value learning.

- Same-step reset: a finished episode is followed immediately by the first observation of the next one.
- ``next_obs`` is the observation that followed the action, never that of the next episode.
- ``terminal`` marks a true end; an episode cut off by its time limit is ``truncated``, and values bootstrap through it.
- Actions lie in [-1, 1] and are rescaled to the bounds of the task; observations are flat float32 vectors.
- Snapshots: if :attr:`World.exact` is true, a restored world continues bit for bit.

Every plugin that adds a world imports this file, also in ``flowrl-dsl check``; it imports neither jax nor a simulator.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np

from flowrl_dsl.registry import Component
from flowrl_dsl.runtime.errors import RunError

if TYPE_CHECKING:
    import jax

Array: TypeAlias = "np.ndarray | jax.Array"

FAILURES = (Exception, SystemExit)
"""What a task may raise.  Licence checks and simulators leave by ``sys.exit``; Ctrl-C remains the user's."""

# MuJoCo uses 1e10 for a missing bound
_UNBOUNDED = 1e9


class World(Protocol):
    """``count`` copies of a task.

    Attributes:
        task: the name the user gave.
        count, observation_size, action_size: N, O and A in the shapes below.
        exact: whether :meth:`restore` continues bit for bit.
        reusable: whether an episode after :meth:`reset` depends on its seed alone, whatever happened before, so that the
            world may serve several evaluations.
        layout: an attribute where observations are dictionaries: the entries of the vector made of them
            (:class:`~flowrl_dsl.record.Layout`).
        pure: the episodes of one copy as pure functions, so that acting and stepping can be compiled into one executable;
            None for a world that is stepped on the host.
    """

    task: str
    count: int
    observation_size: int
    action_size: int
    exact: bool
    reusable: bool

    @property
    def pure(self) -> Pure | None: ...

    def reset(self) -> Array:
        """Start every copy from its own seed and return the observations [N, O]; the same seeds give the same episodes."""
        ...

    def step(self, actions: Array, active: np.ndarray | None = None) -> Stepped:
        """Step every copy with its row of ``actions`` [N, A]; copies that are not ``active`` [N] are not stepped.

        Raises FRL0405 if the task raises an exception, FRL0404 or FRL0409 if a result breaks its interface, FRL0406 for a
        non-finite observation or reward.
        """
        ...

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns [N] and lengths [N] so far of the current episodes."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Plain values (see :mod:`flowrl_dsl.runtime.plain`) from which :meth:`restore` continues."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> Array:
        """Continue from a snapshot, or, if the world is not exact, start a new episode in every copy.

        The seed of a new episode depends only on the snapshot, so resuming twice yields the same run twice.
        """
        ...

    def notices(self) -> list[str]:
        """Facts about the task, found while stepping it, that its user should learn."""
        ...

    def close(self) -> None: ...


class NoWorld:
    """The world of a run that steps none: it has no copies, and nothing to save."""

    task, count, observation_size, action_size, exact, reusable, pure = "", 0, 0, 0, True, True, None

    def reset(self) -> Array:
        return np.zeros((0, 0), np.float32)

    def step(self, actions: Array, active: np.ndarray | None = None) -> Stepped:
        raise TypeError("there is no environment to step; the turn of the run should not act")

    def running(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(0), np.zeros(0, np.int64)

    def snapshot(self) -> dict[str, Any]:
        return {}

    def restore(self, snapshot: dict[str, Any]) -> Array:
        return self.reset()

    def notices(self) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing is open."""


class Episode(NamedTuple):
    """One copy of a pure world between two steps, a tree of JAX arrays.

    ``state`` is the world's, ``obs`` [O] the next observation to act on.  ``total`` and ``length`` (in frames) are those of
    the current episode so far; ``last_total`` and ``last_length`` those of the episode that finished last.
    """

    state: Any
    obs: jax.Array
    total: jax.Array
    length: jax.Array
    last_total: jax.Array
    last_length: jax.Array


class Pure(Protocol):
    """Episodes of one copy, one after the other, as pure functions for ``jax.vmap``, ``jax.jit`` and ``lax.scan``."""

    def init(self, key: jax.Array) -> Episode:
        """The start of the first episode."""
        ...

    def step(
        self, episode: Episode, action: jax.Array, key: jax.Array
    ) -> tuple[Episode, jax.Array, jax.Array, jax.Array, jax.Array]:
        """After an action [A] in [-1, 1]: episode, next observation [O], reward [], terminal [], truncated [].

        The next observation is the one that followed the action.  At the end of an episode, the returned episode is the
        start of the next one.
        """
        ...


class Filmed(NamedTuple):
    """A world of one copy with a camera: ``frame`` returns its image [H, W, 3], 8 bits, ``rate`` of them a second."""

    world: World
    frame: Callable[[], Any]
    rate: float


class Task(NamedTuple):
    """A task that a kind of world has, and what it needs beside the packages of the kind."""

    name: str
    needs: str = ""


class WorldKind(Component):
    """The provider of the tasks ``NAME/...``, where NAME is the registered name of the kind.

    One file with a registered kind adds a world: ``flowrl_dsl/runtime/worlds/NAME.py``, or a module of a plugin.  Its module
    is imported for the first task with its prefix (a plugin's with every command, so it imports simulators in ``make``).
    """

    family: ClassVar[str] = "world"
    configurable: ClassVar[bool] = False
    """Whether ``make`` has a fourth parameter ``arguments``, a mapping of constructor arguments of the task."""
    selects: ClassVar[bool] = False
    """Whether ``make`` has a parameter ``entries``: those of dictionary observations that a spec names, of which its worlds
    otherwise contain the usual ones alone."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The modules that its tasks need."""
    cure: ClassVar[str] = ""
    """The command that installs the packages, where the plain install has not done so."""

    def tasks(self) -> list[Task]:
        """The tasks it has, in order; called where its packages are installed.  Empty where there is no list of them."""
        return []

    @abstractmethod
    def make(self, task: str, seeds: Sequence[int], action_repeat: int) -> World:
        """A copy of the task for each seed (below 2³²), each action held for ``action_repeat`` frames.

        Raises FRL0401 for an unknown task; any other exception is reported as FRL0405.
        """

    def before_filming(self) -> None:
        """Called before a simulator is imported, for those that choose their renderer then."""

    def film(self, task: str, seed: int, action_repeat: int, size: tuple[int, int], arguments: Mapping[str, Any]) -> Filmed:
        """One copy of the task with a camera of ``size`` (width, height), which a world may ignore.

        Raises FRL0482 where the tasks of this kind have no pictures, as here.
        """
        raise RunError("FRL0482", f"{task} has no pictures", f"the world {self.name} does not draw its tasks")


@dataclass(frozen=True, slots=True)
class Stepped:
    """Result of one step of N copies.

    Shapes: ``obs`` (where to act next) and ``next_obs`` [N, O], the others [N].  ``finished`` contains (return, length in
    frames) of each copy that is ``done``, in their order.
    """

    obs: Array
    next_obs: Array
    reward: Array
    terminal: Array
    truncated: Array
    finished: list[tuple[float, int]]

    @property
    def done(self) -> Array:
        return self.terminal | self.truncated


def close_quietly(task: str, close: Callable[[], None]) -> None:
    """Close a task; one that cannot be closed costs nothing but a line on standard error."""
    try:
        close()
    except FAILURES as error:
        print(f"{task} could not be closed ({type(error).__name__}: {error}); nothing is lost", file=sys.stderr)


def seed_of(seed: int, k: int) -> int:
    """The seed of copy ``k`` while training: below 2³¹, and never an evaluation seed."""
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0] >> 1)


def evaluation_seed(k: int) -> int:
    """The seed of evaluation episode ``k``: the same in every run, and never a training seed."""
    return 2**31 + k


def signed_seed(seed: int) -> int:
    """The seed of an episode for simulators that take signed 32-bit numbers: below 2³¹.

    The largest 2²⁰ are those of evaluation episodes, so that these stay apart from those of training.
    """
    return 2**32 - 1 - seed if seed >= 2**31 else seed % (2**31 - 2**20)


class Rescale:
    """Maps [-1, 1] onto the box [low, high]; a box of [-1, 1] keeps every bit."""

    def __init__(self, task: str, low: np.ndarray, high: np.ndarray, dtype: Any):
        low, high = np.ravel(low).astype(np.float64), np.ravel(high).astype(np.float64)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (np.abs(high - low) < _UNBOUNDED).all()):
            raise RunError(
                "FRL0403",
                f"{task} has actions without finite bounds",
                f"lowest {low.tolist()}, highest {high.tolist()}",
                "actions in [-1, 1] are rescaled to the bounds: wrap the task so that it has finite ones",
            )
        self._center, self._half = (high + low) / 2, (high - low) / 2
        self._low, self._high, self._dtype = low, high, dtype

    def __call__(self, action: np.ndarray) -> np.ndarray:
        scaled = self._center + self._half * action
        return np.clip(scaled, self._low, self._high).astype(self._dtype)
