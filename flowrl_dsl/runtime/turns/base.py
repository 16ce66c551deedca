"""Turns: the order of acting, updating and stepping, and the number of each.

One :class:`Turn` is taken by several players: a training, the joined members of a population, and the rerun of logged
transitions that leads to a non-finite update.  Each of them implements acting, updating and stepping; the order and
the counts are defined once, in the turn, so a joined run and a rerun repeat the original.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Protocol, cast

from flowrl_dsl import registry
from flowrl_dsl.registry import Component
from flowrl_dsl.runtime.settings import Settings


class Player(Protocol):
    """The interface that a turn drives.  Its actions have any type that :meth:`interact` accepts."""

    @property
    def settings(self) -> Settings: ...

    @property
    def step(self) -> int:
        """Environment steps done."""
        ...

    @property
    def fills(self) -> bool:
        """Whether acting fills fields of the record, which random actions lack."""
        ...

    def act(self) -> Any:
        """The policy's actions for the current observations; the device computes them asynchronously."""
        ...

    def random_actions(self) -> Any:
        """Uniformly random actions."""
        ...

    def update(self, count: int) -> None:
        """``count`` updates on the stored transitions."""
        ...

    def interact(self, actions: Any) -> None:
        """Step every environment with these actions and store the transitions."""
        ...

    def iterate(self, steps: int, *, between: int | None = None, after: int | None = None) -> bool:
        """``steps`` times act, ``between`` updates and interact, then ``after`` updates, all in one dispatch.

        None is for updates that the turn never has.  False, and nothing is done, if the player steps its environments on
        the host.
        """
        ...

    def count_step(self) -> None:
        """Count a step in which no environment is stepped."""
        ...


class Turn(Component):
    """The order and the counts of acting, updating and stepping.

    One file with a registered turn adds one: ``flowrl_dsl/runtime/turns/NAME.py``, or a module of a plugin.
    """

    family: ClassVar[str] = "turn"

    def steps_to_update(self, settings: Settings) -> int:
        """The number of steps of the shortest run with an update."""
        return 1

    @abstractmethod
    def advance(self, player: Player) -> None:
        """Take one turn, which contains at least one step.

        It depends only on the player's settings and counters, so a resumed or replayed run does the same.
        """


def act_and_learn(player: Player, updates: int) -> None:
    """Act, ``updates`` and step; in a pure world as often as it can be done before something is due."""
    if player.iterate(player.settings.turns_until_due(player.step), between=updates):
        return
    actions = player.act()
    if updates:
        player.update(updates)
    player.interact(actions)


def named(name: str) -> Turn:
    """The turn registered under a name; ``ValueError`` for an unknown one, an error in the regime."""
    found = registry.find(Turn.family, name)
    if found is None:
        raise ValueError(f'unknown turn "{name}"; known: {", ".join(sorted(registry.names_of(Turn.family)))}')
    return cast(type[Turn], found)()
