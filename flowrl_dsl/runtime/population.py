"""Several runs of one program with different seeds and input values.

On CPUs the members are stepped round-robin and share every executable, which is compiled once.  Each member is then bit for
bit equal to a single run.  On an accelerator, which one small update does not saturate, all members are updated in one
dispatch (:mod:`flowrl_dsl.runtime.joined`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import fmean

from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.joined import Joined
from flowrl_dsl.runtime.progress import Display, Speed
from flowrl_dsl.runtime.signals import Stop
from flowrl_dsl.runtime.train import Training

_NOT_FINITE = ("FRL0406", "FRL0420", "FRL0421")


class Population:
    """Trains members, by name, from their last checkpoints to their ends.  The caller holds the locks of their folders."""

    def __init__(self, members: Mapping[str, Training], display: SharedDisplay, *, joined: bool = False):
        """``joined``: one dispatch for all members that are at the same step."""
        self.members = dict(members)
        self._joins = joined
        self._joined: Joined | None = None
        self.display = display
        self.failures: dict[str, RunError] = {}

    def run(self) -> dict[str, RunError]:
        """Train all members; returns the errors of members with non-finite values; the others continue.

        Raises :class:`Interrupted` after Ctrl-C (each member writes a checkpoint first) and :class:`RunError` for other
        errors, which would affect every member.
        """
        with ExitStack() as opened:
            for member in self.members.values():
                member.open()
                opened.callback(member.close)
            with Stop() as stop, self.display:
                for name, member in self.members.items():
                    self._try(name, member.begin)
                self._loop(stop)
        return self.failures

    def _loop(self, stop: Stop) -> None:
        while going := self._going():
            # wait for a member that was resumed alone or has an older checkpoint
            before = min(member.step for member in going.values())
            next_up = {name: member for name, member in going.items() if member.step == before}
            if self._joins and len(next_up) == len(going):
                self._advance_as_one(next_up, before, stop)
            else:
                self._advance(next_up, before, stop)
            if stop.asked and (going := self._going()):
                if self._joined is not None:
                    self._joined.share()
                for name, member in going.items():
                    self._try(name, member.checkpoint)
                raise Interrupted

    def _going(self) -> dict[str, Training]:
        return {name: member for name, member in self.members.items() if member.going and name not in self.failures}

    def _advance(self, next_up: Mapping[str, Training], before: int, stop: Stop) -> None:
        """Advance the members one after the other."""
        for name, member in next_up.items():
            self._try(name, member.advance)
            self._try(name, partial(member.settle, before, stop))

    def _advance_as_one(self, next_up: Mapping[str, Training], before: int, stop: Stop) -> None:
        joined = self._joined = self._joined or Joined(next_up, self.failures, self._try)
        next(iter(next_up.values())).turn.advance(joined)
        if any(member.due(before, stop.asked) for member in next_up.values()):
            joined.share()
            for name, member in next_up.items():
                self._try(name, partial(member.settle, before, stop))
            joined.collect()
        else:
            for member in next_up.values():
                member.show(before)

    def _try(self, name: str, work: Callable[[], None]) -> None:
        """Execute work of a member, unless it has stopped or stops now."""
        if name in self.failures:
            return
        try:
            work()
        except RunError as error:
            if error.code not in _NOT_FINITE:
                raise
            self.failures[name] = error
            self.display.leave(name)
            self.display.say(f"{name} stopped, the others continue: {error.diagnostics[0].message}")


class SharedDisplay:
    """One display for all members: their mean return, and the sum of their speeds."""

    def __init__(self, display: Display):
        self._display = display
        self._latest: dict[str, tuple[float | None, Speed]] = {}
        self._phase = ""

    def __enter__(self) -> SharedDisplay:
        self._display.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._display.__exit__(*error)

    def of(self, name: str) -> Display:
        """The display of one member."""
        return _MemberDisplay(self, name)

    def advance(self, step: int) -> None:
        self._display.advance(step)

    def report(self, name: str, step: int, episode_return: float | None, speed: Speed) -> None:
        self._latest[name] = episode_return, speed
        returns = [value for value, _ in self._latest.values() if value is not None]
        total = Speed(*map(sum, zip(*(speed for _, speed in self._latest.values()), strict=True)))
        self._display.show(step, fmean(returns) if returns else None, total)

    def enter(self, phase: str, begins: int | None) -> None:
        """The phase of a member; it is shown once for all that reach it."""
        if phase != self._phase:
            self._phase = phase
            self._display.enter(phase, begins)

    def leave(self, name: str) -> None:
        """Remove a member that has ended."""
        self._latest.pop(name, None)

    def say(self, text: str) -> None:
        self._display.say(text)


class _MemberDisplay:
    """Forwards the reports of one member."""

    def __init__(self, shared: SharedDisplay, name: str):
        self._shared, self._name = shared, name

    def __enter__(self) -> _MemberDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        """The shared display is opened and closed by the population."""

    def advance(self, step: int) -> None:
        self._shared.advance(step)

    def show(self, step: int, episode_return: float | None, speed: Speed) -> None:
        self._shared.report(self._name, step, episode_return, speed)

    def enter(self, phase: str, begins: int | None = None) -> None:
        self._shared.enter(phase, begins)

    def say(self, text: str) -> None:
        self._shared.say(f"{self._name}: {text}")
