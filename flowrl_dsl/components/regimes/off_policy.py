"""Off-policy regime: transitions are kept in a replay buffer and drawn uniformly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrl_dsl.algorithm import Algorithm, Every, Sequence, Single, Stage, Together, stage_names
from flowrl_dsl.components.base import Regime
from flowrl_dsl.components.common import every_nth
from flowrl_dsl.components.context import Context, Record, Sizes, learned_group
from flowrl_dsl.graph.builder import Builder, Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Graph, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import register, stages

BATCH = {
    "s": ("batch", "obs"),
    "a": ("batch", "action"),
    "r": ("batch",),
    "d": ("batch",),
    "s_next": ("batch", "obs"),
}
"""The batch record: observation, action in [-1, 1], reward, terminal (1 = true end), next observation."""

WINDOWS = {name: axes for name, axes in BATCH.items() if name != "r"} | {"rewards": ("batch", "step"), "count": ("batch",)}
"""The record for returns of several steps: their rewards and number; d and s_next are those of the last one."""

INTEGER = Type(dtype="i32")
KEY = Type(dtype="u32")
PRIORITY = Type(("batch",))


@kernel
def first_bad_update(bad_update, step, *finite):
    """The index of the first update with a non-finite loss or gradient; -1 while there is none."""
    fine = jnp.all(jnp.stack(finite) > 0)
    return jnp.where((bad_update < 0) & ~fine, step, bad_update)


@kernel
def act_key(key, counter):
    """The random key of one call of the policy, apart from all keys of updates."""
    return jax.random.fold_in(jax.random.fold_in(key, 2), counter)


@kernel
def step_key(key, step):
    """The random key of one update; the batch it is given is drawn from a third stream."""
    return jax.random.fold_in(jax.random.fold_in(key, 1), step)


@register
class OffPolicy(Regime):
    """Each update draws a batch of transitions and runs the stages of ``order`` as data flow between versions.

    ``a -> b``: b reads what a wrote.  ``[a, b]``: both read what was there before.  ``every(n, a)``: only in each n-th
    update.  Stage ``targets`` lets every kept copy follow its original.
    """

    name = "off_policy"

    def graphs(self, algorithm: Algorithm, sizes: Sizes) -> tuple[dict[str, Graph], dict[str, float]]:
        """The graphs ``init``, ``step``, ``explore`` and ``evaluate``, and the default values of their inputs."""
        init, groups = _init_graph(algorithm, sizes)
        record = Record()
        graphs = {"init": init, "step": _step_graph(algorithm, sizes, groups, record)}
        for mode in ("explore", "evaluate"):
            graphs[mode] = _act_graph(algorithm, sizes, groups, mode, record)
        return graphs, record.hyper


def _sections(algorithm: Algorithm) -> dict[str, Any]:
    """The sections that move, in their default order."""
    places = {name: place for place, name in enumerate(stages())}
    moving = [name for name, section in algorithm.sections.items() if section.name in places]
    return {name: algorithm.sections[name] for name in sorted(moving, key=lambda n: places[algorithm.sections[n].name])}


def _normalizer(algorithm: Algorithm) -> Any:
    observe: Any = algorithm.sections.get("observe")
    return None if observe is None else observe.normalize


def _prioritized(algorithm: Algorithm) -> bool:
    """Whether there are priorities: they are errors of a critic in training."""
    train: Any = algorithm.sections["train"]
    critic: Any = algorithm.sections.get("critic")
    return train.sampling.prioritized and critic is not None and critic.kind.trains


def _init_graph(algorithm: Algorithm, sizes: Sizes) -> tuple[Graph, dict[str, Type]]:
    b = Builder("init")
    key = b.input("key", KEY)
    ctx = Context(b, algorithm, sizes, {}, key)
    state: dict[str, Value] = {}
    for name, section in _sections(algorithm).items():
        state |= section.init(ctx.of(name), ctx.draw_key(name))
    for parameter in algorithm.learned():
        learned: Any = parameter.learned
        group = learned_group(parameter.name)
        state[group] = learned.start(ctx, f"log_{parameter.name}")
        state[f"{group}_opt"] = learned.optimizer.init(ctx, state[group], f"{parameter.name}_opt")
    if _normalizer(algorithm) is not None:
        state["normalizer"] = _normalizer(algorithm).init(ctx)
    if _prioritized(algorithm):
        state["priority"] = b.add("Init", call("jnp.zeros", (algorithm.sections["train"].batch,)), (), PRIORITY, "priority")
    state["key"] = key
    for name, start in (("step", 0), ("bad_update", -1)):
        state[name] = b.add("Init", call("jnp.asarray", start, dtype="int32"), (), INTEGER, name)
    for name, value in state.items():
        b.output(f"state.{name}", value)
    return b.finish(), {name: value.type for name, value in state.items()}


def _context(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], name: str, record: Record) -> Context:
    b = Builder(name)
    state = {group: b.input(f"state.{group}", type) for group, type in groups.items()}
    return Context(b, algorithm, sizes, state, state["key"], record.for_graph())


def _observed(ctx: Context, s: Value, name: str) -> Value:
    normalizer = _normalizer(ctx.algorithm)
    return s if normalizer is None else normalizer.apply(ctx, ctx.versions["normalizer"], s, name)


def _step_graph(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], record: Record) -> Graph:
    ctx = _context(algorithm, sizes, groups, "step", record)
    b, state = ctx.builder, dict(ctx.versions)
    fields = WINDOWS if getattr(algorithm.sections.get("critic"), "n_step", 1) > 1 else BATCH
    batch = {name: b.input(f"batch.{name}", Type(axes)) for name, axes in fields.items()}
    key = b.add("Key", call(step_key, Arg(0), Arg(1)), (state["key"], state["step"]), KEY, "step_key")
    if _normalizer(algorithm) is not None:
        state["normalizer"] = _normalizer(algorithm).update(ctx, state["normalizer"], batch["s"])
    if _prioritized(algorithm):
        # stays so where the critic does not move in this update: the batch keeps the priorities it had
        state["priority"] = ctx.broadcast(b.constant(float("nan"), "not_judged"), ("batch",), batch["d"])
    ctx = ctx.with_key(key).reading(dict(state))
    batch |= {name: _observed(ctx, batch[name], f"normalized_{name}") for name in ("s", "s_next")}
    state |= _Stages(batch).run(ctx, algorithm.order)
    finite = tuple(ctx.record.checks.values())
    expr = call(first_bad_update, *map(Arg, range(2 + len(finite))))
    state["bad_update"] = b.add("Finite", expr, (state["bad_update"], state["step"], *finite), INTEGER, "bad_update")
    state["step"] = b.elementwise("jnp.add", state["step"], b.constant(1, "one"), name="next_step")
    for parameter in algorithm.parameters.values():
        if parameter.learned is not None or parameter.schedule is not None:
            ctx.metric(parameter.name, ctx.parameter(parameter))
    for name, value in state.items():
        b.output(f"state.{name}", value)
    for name, value in ctx.record.metrics.items():
        b.output(f"metric.{name}", value)
    return b.finish()


def _act_graph(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], mode: str, record: Record) -> Graph:
    ctx = _context(algorithm, sizes, groups, mode, record)
    b = ctx.builder
    s = b.input("obs", Type(BATCH["s"]))
    counter = b.input("counter", INTEGER)
    key = b.add("Key", call(act_key, Arg(0), Arg(1)), (ctx.versions["key"], counter), KEY, "act_key")
    ctx = ctx.with_key(key)
    act: Any = algorithm.sections["act"]
    choice = getattr(act, mode)
    action = choice.value.choose(ctx, choice.source, _observed(ctx, s, "normalized_s"), "action", "critic")
    # a sampler need not bound what it draws; what is done and remembered is what the environment would make of it
    b.output("action", b.add("Arithmetic", call("jnp.clip", Arg(0), -1.0, 1.0), (action,), action.type, "bounded_action"))
    return b.finish()


class _Stages:
    """Runs the stages of ``order``: each takes the versions it may read and returns the versions it wrote."""

    def __init__(self, batch: dict[str, Value]):
        self.batch = batch

    def run(self, ctx: Context, stage: Stage) -> dict[str, Value]:
        match stage:
            case Single(name):
                with ctx.scope(name, ctx.algorithm.place(name)):
                    return self._single(ctx, name)
            case Sequence(parts):
                written: dict[str, Value] = {}
                for part in parts:
                    written |= self.run(ctx.reading({**ctx.versions, **written}), part)
                return written
            case Together(parts):
                # all read the same versions; the policy is built first because others are learned from what it measures
                measured_first = sorted(parts, key=lambda part: "policy" not in stage_names(part))
                return {group: value for part in measured_first for group, value in self.run(ctx, part).items()}
            case Every(n, inner):
                return self._every(ctx, n, inner)

    def _single(self, ctx: Context, name: str) -> dict[str, Value]:
        sections: Any = ctx.algorithm.sections
        if name in sections:
            return sections[name].update(ctx.of(name), self.batch)
        if name == "targets":
            copies: dict[str, Value] = {}
            for owner, section in _sections(ctx.algorithm).items():
                copies |= section.follow(ctx.of(owner))
            return copies
        return self._learned(ctx, name)

    def _learned(self, ctx: Context, name: str) -> dict[str, Value]:
        learned: Any = ctx.algorithm.parameters[name].learned
        group = learned_group(name)
        loss = learned.loss(ctx, ctx.versions[group], learned.measured(ctx, self.batch["s"]))
        return ctx.descend(group, loss, learned.optimizer, label=name)

    def _every(self, ctx: Context, n: int, inner: Stage) -> dict[str, Value]:
        b, record = ctx.builder, ctx.record
        metrics, checks = set(record.metrics), set(record.checks)
        written = self.run(ctx, inner)
        reported = [name for name in record.metrics if name not in metrics]
        checked = [name for name in record.checks if name not in checks]
        new = [*written.values(), *(record.metrics[m] for m in reported), *(record.checks[c] for c in checked)]
        if not new:  # a critic that is not trained
            return {}
        skipped = b.constant(float("nan"), "not_run") if reported else None
        fine = b.constant(1.0, "fine") if checked else None
        old = [*(ctx.versions[group] for group in written), *[skipped] * len(reported), *[fine] * len(checked)]
        due = every_nth(b, ctx.update_counter, n)
        chosen = iter(b.when(due, new, old, f"every_{n}"))
        result = {group: next(chosen) for group in written}
        record.metrics |= {m: next(chosen) for m in reported}
        record.checks |= {c: next(chosen) for c in checked}
        return result
