"""Members of a population at the same step, with one dispatch for all actions and one for all updates.

States, inputs and replays are stacked on the device.  Between two dispatches each member steps its own environments;
when something is due (:meth:`Training.settle`) each receives its state and its means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.runtime.learner import Means
from flowrl_dsl.runtime.replay import Device
from flowrl_dsl.runtime.settings import Settings
from flowrl_dsl.runtime.train import Training

Attempt = Callable[[str, Callable[[], None]], None]
"""Executes work of a member, unless the member has stopped."""


class Joined:
    """The player of a turn that all members take together.

    ``stopped`` contains the members that have ended; their slots are still computed, but unused.
    """

    def __init__(self, members: Mapping[str, Training], stopped: Collection[str], attempt: Attempt):
        self._members, self._stopped, self._attempt = dict(members), stopped, attempt
        each = list(self._members.values())
        first = each[0]
        self._program = first.program.joined(first.replay.member_axes)
        self._state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(member.state for member in each))
        self._hyper = self._program.on_device({name: [member.hyper[name] for member in each] for name in first.hyper})
        self._shared = first.replay.beside() if first.replay.grows else first.replay.view()
        self._device: Device | None = None
        if first.replay.grows:
            self._device = first.replay.on_device(np.stack([member.replay.leave() for member in each]))
        self.collect()

    @property
    def settings(self) -> Settings:
        return self._first.settings

    @property
    def step(self) -> int:
        return self._first.step

    @property
    def _first(self) -> Training:
        """A running member, if there is one left; the counters of all running members are equal."""
        going = [member for name, member in self._members.items() if name not in self._stopped]
        return (going or list(self._members.values()))[0]

    def act(self) -> Any:
        if not any(member.chunks.due for name, member in self._members.items() if name not in self._stopped):
            return {}
        obs = np.stack([member.obs for member in self._members.values()])
        return self._program.act(self._state, obs, self._first.iteration, "explore", self._hyper)

    @property
    def fills(self) -> bool:
        return self._first.fills

    def random_actions(self) -> dict[str, np.ndarray]:
        return {"action": np.stack([member.random_actions()["action"] for member in self._members.values()])}

    def update(self, count: int) -> None:
        self._state, metrics = self._program.update(self._state, self._storage(), count, self._hyper)
        self._means.add(metrics)
        for name, member in self._members.items():
            if name not in self._stopped:
                member.count_updates(count)

    def interact(self, acted: Any) -> None:
        values = jax.device_get(acted)
        for k, (name, member) in enumerate(self._members.items()):
            own = {field: value[k] for field, value in values.items()}
            self._attempt(name, partial(self._interact, k, member, own))

    def iterate(self, steps: int, *, between: int | None = None, after: int | None = None) -> bool:
        """Members step their own environments."""
        return False

    def count_step(self) -> None:
        for name, member in self._members.items():
            self._attempt(name, member.count_step)

    def _interact(self, k: int, member: Training, acted: dict[str, np.ndarray]) -> None:
        if not np.isfinite(acted.get("action", 0.0)).all():
            # it will locate the non-finite update
            member.state = self._part(k)
        member.interact(acted)

    def _storage(self) -> dict[str, Any]:
        if self._device is None:
            return self._shared
        rows = {name: member.replay.take() for name, member in self._members.items() if name not in self._stopped}
        nothing = np.zeros_like(next(iter(rows.values())))
        if len(nothing):
            self._device.insert(np.stack([rows.get(name, nothing) for name in self._members]))
        return self._device.storage | self._shared

    def _part(self, k: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[k], self._state)

    def share(self) -> None:
        """Pass each member the values it needs to settle."""
        for k, member in enumerate(self._members.values()):
            member.state, member.means = self._part(k), self._means.part(k)

    def collect(self) -> None:
        """Continue from the values of the settled members."""
        self._means = Means.joined([member.means for member in self._members.values()])
