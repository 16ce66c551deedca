"""The training loop: turns (:mod:`flowrl_dsl.runtime.turns`), and evaluations, records and checkpoints at fixed steps.

Training is a function of the settings and the seed and does not depend on wall-clock time, so a run resumed from any of
its checkpoints continues bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from flowrl_dsl.diagnostics import DiagnosticError
from flowrl_dsl.reading import Unreadable
from flowrl_dsl.record import filled_by_acting
from flowrl_dsl.runtime import devices, guard, inherited, iteration, learner
from flowrl_dsl.runtime.checkpoint import Checkpoints, Loaded
from flowrl_dsl.runtime.chunks import Chunks
from flowrl_dsl.runtime.errors import Interrupted, RunError
from flowrl_dsl.runtime.evaluation import Evaluation, Evaluator
from flowrl_dsl.runtime.logs import Journal, RunFolder, quoted
from flowrl_dsl.runtime.progress import Display, Speed
from flowrl_dsl.runtime.replay import Replay
from flowrl_dsl.runtime.schema import Rest, checked
from flowrl_dsl.runtime.settings import Settings, passed
from flowrl_dsl.runtime.signals import Stop
from flowrl_dsl.runtime.sinks import Sink
from flowrl_dsl.runtime.table import Table
from flowrl_dsl.runtime.timetable import Timetable
from flowrl_dsl.runtime.turns import base as turns
from flowrl_dsl.runtime.worlds import catalogue
from flowrl_dsl.runtime.worlds.base import NoWorld, Stepped, World

_WARMUP_STREAM, _SHOW_EVERY = 0x3A37, 50
_MAY_CHANGE = ("steps", "checkpoint_every")
"""Settings with which a run may be resumed that differ from those it had: they decide no result before its last step."""


class Training:
    """One run, from its last checkpoint (or its start) to its end.  The caller holds the lock of the folder."""

    def __init__(
        self,
        program: Any,
        settings: Settings,
        folder: RunFolder,
        display: Display,
        open_sinks: Callable[[int], Sequence[Sink]] = lambda step: (),
        hyper: Mapping[str, float] | None = None,
        turn: str = "off_policy",
        table: Table | None = None,
        restart: bool = False,
        phases: Sequence[tuple[str, int]] = (),
        saved: Callable[[], None] = lambda: None,
    ):
        """``open_sinks`` is called once, before the first step, with the number of that step.

        ``hyper`` replaces the default inputs of the program; ``turn`` is the name of a registered turn.  Batches are drawn
        from a ``table``, alone or beside what is collected.  ``restart``: a run that has lost its checkpoints begins again.
        ``phases``: names and first updates.  ``saved`` is called after each checkpoint, when it is complete.
        """
        self.phases, self.table, self.saved = Timetable(phases), table, saved
        self.program, self.settings, self.folder = program, settings, folder
        self.display, self.open_sinks, self._restart = display, open_sinks, restart
        self.sinks: Sequence[Sink] = ()
        self.hyper = _numbers(program.hyper if hyper is None else hyper, table)
        self.inputs = program.on_device(self.hyper)
        self.turn = turns.named(turn)
        self.checkpoints = Checkpoints(folder.path)
        self.replay = Replay.of(program, table)
        self._filled = filled_by_acting(program.data.stored)
        self.chunks, self.means = Chunks.of(program, settings.envs), learner.Means()
        self.iteration = self.updates = 0
        self.finished: list[tuple[float, int]] = []
        self.latest_return: float | None = None
        self.result: Evaluation | None = None  # the newest since `begin`
        self._notices: set[str] = set()
        self._checkpointed = -1
        self.stopping = False  # set by a sink that asks for the end

    @property
    def step(self) -> int:
        """Environment steps done; without an environment, updates of the turn."""
        return self.iteration * self.settings.envs

    def run(self) -> Evaluation | None:
        """Train to the end; returns the evaluation of the final policy, or None if the run was already finished.

        Raises :class:`Interrupted` after Ctrl-C (a checkpoint is written first) and :class:`RunError` for trouble.
        """
        self.open()
        try:
            with Stop() as stop, self.display:
                self.begin()
                while self.going:
                    before = self.step
                    self.advance()
                    self.settle(before, stop)
                    if stop.asked and self.going:
                        raise Interrupted
                return self.result
        finally:
            self.close()

    @property
    def going(self) -> bool:
        """Whether environment steps remain."""
        return self.step < self.settings.steps

    def open(self) -> None:
        """Everything that :meth:`close` closes."""
        settings = self.settings
        make = partial(catalogue.make, settings.task, action_repeat=settings.action_repeat, entries=self.program.entries)
        with ExitStack() as opened:
            world: World = make(settings.envs, settings.seed) if self.replay.grows else NoWorld()
            self.world = opened.enter_context(closing(world))
            self.program = devices.spread(self.program, settings, world.pure is not None)
            self.evaluator = opened.enter_context(closing(Evaluator(partial(make, settings.episodes, 0, evaluation=True))))
            self.metrics = opened.enter_context(closing(Journal(self.folder.path / "metrics.jsonl")))
            self.timing = opened.enter_context(closing(Journal(self.folder.path / "timing.jsonl")))
            self._opened = opened.pop_all()

    def close(self) -> None:
        for sink in self.sinks:
            self._opened.callback(sink.close)
        self._opened.close()

    def begin(self) -> None:
        """Load the state of the newest checkpoint, or initialise it."""
        self.state = learner.initial(self.program, self.settings.seed, self.table)
        loaded = self.checkpoints.load(learner.expected(self.state, self.replay))
        if loaded is None and not self._restart:
            self._refuse_lost_checkpoints()
        for notice in self.checkpoints.notices:
            self.display.say(f"note: {notice}")
        if loaded is None:
            self.state = inherited.begun(self.folder, self.state)
            self.metrics.cut(0)
            self.obs = self.world.reset()
        else:
            self.state = learner.from_arrays(self.state, loaded.state)
            if self.replay.grows:
                self.replay.restore(loaded.total, loaded.rows)
            self._restore(loaded)
            self._checkpointed = loaded.step
        needed = self.turn.steps_to_update(self.settings)
        if self.settings.steps < needed:
            self.display.say(f"note: nothing is learned in {self.settings.steps} steps: the first update takes {needed}")
        self.sinks = self.open_sinks(self.step)
        self.display.enter(self.phases.named(self.updates))
        self._clock, self._clocked = time.monotonic(), (self.updates, self.step)

    def _refuse_lost_checkpoints(self) -> None:
        """Raise FRL0425 if the run had a checkpoint: beginning again would replace its records."""
        envs, every = self.settings.envs, self.settings.checkpoint_every
        first = -(-every // envs) * envs
        path, damaged = self.folder.path, self.checkpoints.notices
        # a record after the step of the first checkpoint was written after the checkpoint
        if damaged or any(record["step"] > first for record in self.folder.records()):
            hint = f"restore them, or begin again at step 0: flowrl-dsl resume {quoted(path)} --restart"
            raise RunError("FRL0425", f"{path} has records, but no intact checkpoint", *damaged, hint)

    def _restore(self, loaded: Loaded) -> None:
        rest = self._checked(loaded)
        self.metrics.cut(rest["metrics_offset"])
        self.iteration, self.updates = rest["iteration"], rest["updates"]
        self.finished = [tuple(episode) for episode in rest["finished"]]
        self.latest_return = rest["latest_return"]
        self.means.restore(rest["means"])
        try:
            self.obs = self.world.restore(rest["environments"])
        except DiagnosticError:
            raise
        except Exception as error:  # the world may be of a plugin, and the task anyone's
            raise _not_ours(self.folder, loaded.step, f"the task refuses its state: {error!r}") from error
        if not self.world.exact:
            self.display.say(f"note: {self.settings.task} cannot be saved inside an episode: a fresh one begins")
        elif rest.get("chunks") is not None:
            self.chunks.restore(rest["chunks"])

    def _checked(self, loaded: Loaded) -> dict[str, Any]:
        """The plain values of a checkpoint; raises an error for those of another run or none."""
        rest: dict[str, Any] = loaded.rest
        try:
            checked(rest, Rest)
        except Unreadable as error:
            raise _not_ours(self.folder, loaded.step, str(error)) from error
        if rest["iteration"] * self.settings.envs != loaded.step:
            raise _not_ours(self.folder, loaded.step, f"it has {rest['iteration']} iterations")
        for name, ours in asdict(self.settings).items():
            theirs = rest["settings"].get(name, ours)
            if name not in _MAY_CHANGE and theirs != ours:
                message = f"the run in {self.folder.path} was trained with {name} = {theirs!r}, run.json has {ours!r}"
                raise RunError("FRL0411", message, "undo the change of run.json")
        return rest

    def due(self, before: int, stopping: bool) -> bool:
        """Whether something other than showing the step is due after the step ``before``."""
        settings = self.settings
        every = settings.log_every, settings.evaluate_every, settings.checkpoint_every
        return stopping or not self.going or any(passed(before, self.step, n) for n in every)

    def show(self, before: int) -> None:
        """Update the display periodically, since the step ``before``."""
        if passed(before, self.step, _SHOW_EVERY * self.settings.envs):
            self.display.advance(self.step)

    def settle(self, before: int, stop: Stop) -> None:
        """Do everything due since the step ``before``; also write a checkpoint if the run is asked to stop."""
        settings = self.settings
        self.show(before)
        if passed(before, self.step, settings.log_every) or not self.going:
            self._log()
        if passed(before, self.step, settings.evaluate_every) or not self.going:
            self.result = self._evaluate()
        stop.asked = stop.asked or self.stopping
        if passed(before, self.step, settings.checkpoint_every) or not self.going or stop.asked:
            self.checkpoint()

    def advance(self) -> None:
        """Take one turn."""
        self.turn.advance(self)

    def act(self) -> dict[str, Any]:
        """Dispatch the policy's next ``action`` [envs, h A] and the other outputs of acting; does not wait for them.

        Nothing is dispatched where every environment has actions left of its chunk of h.
        """
        due = self.chunks.due
        return self.program.act(self.state, self.obs, self.iteration, "explore", self.inputs) if due else {}

    @property
    def fills(self) -> bool:
        """Whether acting fills fields of the record besides the action."""
        return bool(self._filled)

    def random_actions(self) -> dict[str, np.ndarray]:
        """Uniformly random ``action`` [envs, h A]."""
        # one generator per step has no state to checkpoint
        generator = np.random.default_rng([self.settings.seed, _WARMUP_STREAM, self.iteration])
        shape = (self.settings.envs, self.program.chunk * self.program.action_size)
        return {"action": generator.uniform(-1, 1, shape).astype(np.float32)}

    def update(self, count: int) -> None:
        """Dispatch updates on the current replay; does not wait for them."""
        self.means.add(self.learn(self.remembered(), count))
        self.count_updates(count)

    def count_updates(self, count: int) -> None:
        """Count updates; a phase that begins in them is recorded and displayed."""
        for number, start in self.phases.begun(self.updates, self.updates + count):
            self._record({"kind": "phase", "step": self.step, "phase": number, "updates": start})
            self.display.enter(self.phases.title(number), start)
        self.updates += count

    def remembered(self) -> dict[str, Any]:
        """The replay on the device."""
        return self.replay.view()

    def learn(self, replay: dict[str, Any], count: int) -> dict[str, Any]:
        """Update the state; returns the metrics."""
        self.state, metrics = self.program.update(self.state, replay, count, self.inputs)
        return metrics

    def interact(self, acted: Mapping[str, Any]) -> None:
        """Step the environments with ``action``, or what is left of their chunks, and store the transitions."""
        taken = {name: np.asarray(value) for name, value in acted.items()}
        if not np.isfinite(taken.get("action", 0.0)).all():
            self.refuse_bad_actions()
        taken["action"] = self.chunks.take(taken.get("action"))
        stepped = self.stepped(taken["action"])
        self.remember(taken, stepped)
        self.chunks.end(stepped.done)
        self.obs = stepped.obs
        self.finished.extend(stepped.finished)
        self.iteration += 1

    def iterate(self, steps: int, *, between: int | None = None, after: int | None = None) -> bool:
        """Steps of every environment and the updates among them in one dispatch; False if the host steps the world."""
        if fused := self.world.pure is not None and self.program.chunk == 1:
            iteration.iterate(self, steps, between, after)
        return fused

    def count_step(self) -> None:
        """Count a step in which no environment is stepped."""
        self.iteration += 1

    def stepped(self, actions: np.ndarray) -> Stepped:
        """Step the environments once."""
        return self.world.step(actions)

    def remember(self, acted: Mapping[str, np.ndarray], stepped: Stepped) -> None:
        """Add the transitions from ``obs`` to the replay, with the fields filled by acting."""
        filled = {name: acted[name] for name in self._filled}
        ends = {"d": stepped.terminal, "end": stepped.done}
        self.replay.add(s=self.obs, a=acted["action"], r=stepped.reward, s_next=stepped.next_obs, **ends, **filled)

    def _check(self) -> None:
        """Raise an error if an update so far was not finite; waits for the device."""
        bad = int(np.asarray(self.state["bad_update"]))
        if bad >= 0:
            rerun = guard.Rerun(self.program, self.settings, self.folder, self.replay.fresh(), self.hyper, bad, self.table)
            raise guard.investigate(rerun, self.turn)

    def refuse_bad_actions(self) -> None:
        self._check()
        raise RunError("FRL0421", f"the policy produced a non-finite action at step {self.step}", "all updates were finite")

    def _log(self) -> None:
        self._check()
        metrics = self.means.take()
        returns = [episode_return for episode_return, _ in self.finished]
        self.latest_return = float(np.mean(returns)) if returns else self.latest_return
        record = {
            "kind": "train",
            "step": self.step,
            **self.phases.recorded(self.updates),
            "updates": self.updates,
            "episodes": len(returns),
            "return": float(np.mean(returns)) if returns else None,
            "length": float(np.mean([length for _, length in self.finished])) if returns else None,
        }
        self.finished = []
        self._record(record | {name: value for name, value in metrics.items() if name not in record})
        self._time()

    def _time(self) -> None:
        now = time.monotonic()
        took, (updates, step) = max(now - self._clock, 1e-9), self._clocked
        rate, acted = (self.updates - updates) / took, (self.step - step) / took
        self.timing.append({"step": self.step, "updates_per_second": round(rate, 1), "time": round(time.time(), 3)})
        self._clock, self._clocked = now, (self.updates, self.step)
        # steps that step no environment have no frames: those of a data set alone, and those before the policy acts
        frames = acted * self.settings.action_repeat if self.world.count and self.step > self.settings.offline else 0.0
        self.display.show(self.step, self.latest_return, Speed(rate, frames))

    def _record(self, record: dict[str, Any]) -> None:
        self.metrics.append(record)
        for sink in self.sinks:
            sink.write(record)

    def _evaluate(self) -> Evaluation:
        self._check()
        began = time.monotonic()
        result = self.evaluator.evaluate(self.program, learner.on_one_device(self.state), self.inputs)
        # the displayed speed is that of training
        self._clock += time.monotonic() - began
        record = result.record()
        self._record({"kind": "eval", "step": self.step, **self.phases.recorded(self.updates), **record})
        self.folder.write_csv()
        spread = f"{record['return_mean']:.1f} ± {record['return_std']:.1f}"
        self.display.say(f"evaluation at step {self.step}: return {spread} over {record['episodes']} episodes")
        return result

    def checkpoint(self) -> None:
        """Write a checkpoint, unless one of this step exists."""
        if self._checkpointed == self.step:
            return
        self._check()
        rest = {
            "settings": asdict(self.settings),
            "iteration": self.iteration,
            "updates": self.updates,
            "finished": self.finished,
            "latest_return": self.latest_return,
            "means": self.means.snapshot(),
            "environments": self.world.snapshot(),
            "chunks": self.chunks.snapshot(),
            "metrics_offset": self.metrics.offset(),
        }
        arrays, fresh = learner.to_arrays(self.state), self.replay.fresh()
        # the rows of a data set are read from it again
        kept = (self.replay.total, self.replay.size) if self.replay.grows else (0, 0)
        self.checkpoints.save(self.step, arrays, rest, fresh, *kept)
        self.replay.saved()
        self._checkpointed = self.step
        self.saved()
        self._notify()

    def _notify(self) -> None:
        """Display what the world has found about its task, once."""
        for notice in self.world.notices():
            if notice not in self._notices:
                self._notices.add(notice)
                self.display.say(f"note: {notice}")


def _numbers(given: Mapping[str, Any], table: Table | None) -> dict[str, float]:
    """The inputs of the program, statistics of a data set among them, as plain numbers: they never wait for the device."""
    measured = {} if table is None else table.statistics
    return {name: float(measured.get(name, value)) for name, value in given.items()}


def _not_ours(folder: RunFolder, step: int, why: str) -> RunError:
    return RunError("FRL0412", f"the checkpoint of step {step} in {folder.path} is not one that `train` wrote: {why}")
