"""What a turn is: the order of acting, updating and stepping, and how often each happens.

One :class:`Turn` is taken by several players: a training, the joined members of a population, and the rerun of logged
transitions that leads to a non-finite update.  How each of them acts, updates and steps is its own; when, and how often, is
written once, in the turn, so that a joined run and a rerun do what the original did.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Protocol, cast

from flowrl_dsl import registry
from flowrl_dsl.registry import Component
from flowrl_dsl.runtime.settings import Settings


class Player(Protocol):
    """One who takes turns.  Its actions are whatever :meth:`interact` accepts."""

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
        """The policy's actions for the present observations; the device computes them while the turn goes on."""
        ...

    def random_actions(self) -> Any:
        """Uniformly random actions in their place."""
        ...

    def update(self, count: int) -> None:
        """``count`` updates on what is remembered so far."""
        ...

    def interact(self, actions: Any) -> None:
        """One step of every environment with these actions; what it led to is remembered."""
        ...


class Turn(Component):
    """The order and the counts of acting, updating and stepping.

    One file with a registered turn adds one: ``flowrl_dsl/runtime/turns/NAME.py``, or a module of a plugin.
    """

    family: ClassVar[str] = "turn"

    @abstractmethod
    def advance(self, player: Player) -> None:
        """Take one turn; at least one step of the environments.

        What it does depends on the player's settings and counters alone, so that a resumed or a replayed run does the same.
        """


def named(name: str) -> Turn:
    """The turn registered under a name; ``ValueError`` for an unknown one, which is a mistake of the regime's author."""
    found = registry.find(Turn.family, name)
    if found is None:
        raise ValueError(f'there is no turn "{name}"; known: {", ".join(sorted(registry.names_of(Turn.family)))}')
    return cast(type[Turn], found)()
