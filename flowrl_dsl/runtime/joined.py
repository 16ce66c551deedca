"""Members of a population at the same step, acted for and updated in one dispatch each.

States, inputs and replays lie side by side on the device.  Between two dispatches each member steps its own environments;
when something is due (:meth:`Training.settle`) each is handed its state and its means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowrl_dsl.runtime.learner import Means
from flowrl_dsl.runtime.train import Training

Attempt = Callable[[str, Callable[[], None]], None]
"""Does some work of a member, unless the member has stopped."""


class Joined:
    """``stopped`` names members that take no further part; what lies in their places is computed and not used."""

    def __init__(self, members: Mapping[str, Training], stopped: Collection[str]):
        self._members, self._stopped = dict(members), stopped
        each = list(self._members.values())
        first = each[0]
        self._program = first.program.joined()
        self._state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(member.state for member in each))
        self._hyper = {name: np.array([member.hyper[name] for member in each], np.float32) for name in first.hyper}
        rows = np.stack([member.replay.leave() for member in each])
        self._device = first.replay.on_device(rows)
        self.collect()

    def advance(self, attempt: Attempt) -> None:
        """:meth:`Training.advance` of all members."""
        going = [member for name, member in self._members.items() if name not in self._stopped]
        first, pending = going[0], None
        if not first.warming_up:
            obs = np.stack([member.obs for member in self._members.values()])
            pending = self._program.act(self._state, obs, first.iteration, "explore", self._hyper)
        if first.learning:
            count = first.settings.updates_a_turn
            self._state, metrics = self._program.update(self._state, self._storage(), count, self._hyper)
            self._means.add(metrics)
            for member in going:
                member.updates += count
        acted = None if pending is None else jax.device_get(pending)
        for k, (name, member) in enumerate(self._members.items()):
            given = member.random_actions() if acted is None else {field: values[k] for field, values in acted.items()}
            attempt(name, lambda k=k, member=member, given=given: self._act(k, member, given))

    def _act(self, k: int, member: Training, acted: Mapping[str, np.ndarray]) -> None:
        if not np.isfinite(acted["action"]).all():
            # it will look for the update at fault
            member.state = self._part(k)
        member.act(acted)

    def _storage(self) -> dict[str, Any]:
        rows = {name: member.replay.take() for name, member in self._members.items() if name not in self._stopped}
        nothing = np.zeros_like(next(iter(rows.values())))
        if len(nothing):
            self._device.insert(np.stack([rows.get(name, nothing) for name in self._members]))
        return self._device.storage

    def _part(self, k: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[k], self._state)

    def share(self) -> None:
        """Hand each member what it needs to settle."""
        for k, member in enumerate(self._members.values()):
            member.state, member.means = self._part(k), self._means.part(k)

    def collect(self) -> None:
        """Go on from where the members have settled."""
        self._means = Means.joined([member.means for member in self._members.values()])
