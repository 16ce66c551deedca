"""The graphs of a program, assembled from the sections of an algorithm and the order of its stages.

A stage reads versions of the parameter groups and returns the versions it wrote; order is data flow between them.  Besides
groups of the state, versions are

- ``measure.OWNER.NAME``: a measurement (``kl``, ``entropy``) by a policy's stage in this update;
- ``feedback.NAME``: the feedback to the source of the batch, per transition, and ``feedback.reported``, which is 1 if the
  reporting stage ran in this update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from flowrl_dsl.algorithm import Action, Algorithm, Condition, CopyParameters, Stage, StageVisitor, stage_names
from flowrl_dsl.components.common import due
from flowrl_dsl.components.context import MEASURE, Context, Report, learned_group
from flowrl_dsl.components.data import feedback_of
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.graph.builder import Builder, Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import RAN, Graph, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.record import AUXILIARY, Field, Record
from flowrl_dsl.registry import stages

INTEGER = Type(dtype="i32")
KEY = Type(dtype="u32")
FEEDBACK = "feedback."
ACT_MODES = ("explore", "evaluate")


@kernel
def first_bad_update(bad_update, step, *finite):
    """The index of the first update with a non-finite loss or gradient; -1 if there is none."""
    fine = jnp.all(jnp.stack(finite) > 0)
    return jnp.where((bad_update < 0) & ~fine, step, bad_update)


@kernel
def act_key(key, counter):
    """The random key of one call of the policy, apart from all keys of updates."""
    return jax.random.fold_in(jax.random.fold_in(key, 2), counter)


@kernel
def step_key(key, step):
    """The random key of one update; its batch is drawn from a third stream."""
    return jax.random.fold_in(jax.random.fold_in(key, 1), step)


@kernel
def rollout_key(key, step, updates):
    """The random key of one rollout, which is the same in all of its updates."""
    return jax.random.fold_in(jax.random.fold_in(key, 4), step // updates)


def program_graphs(algorithm: Algorithm, sizes: Sizes, batch: Record) -> tuple[dict[str, Graph], dict[str, float]]:
    """The graphs ``init``, ``step``, ``explore`` and ``evaluate``, and the default values of their inputs.

    ``batch`` is the record of the batch passed to ``step``.  Where the regime has rollouts there is also the graph
    ``rollout``, from all steps of one to the fields of its batches.
    """
    init, groups = init_graph(algorithm, sizes)
    report = Report()
    graphs = {"init": init, "step": _step_graph(algorithm, sizes, groups, batch, report)}
    if _in_rollouts(algorithm):
        graphs["rollout"] = _rollout_graph(algorithm, sizes, groups, report)
    for mode in ACT_MODES:
        graphs[mode] = _act_graph(algorithm, sizes, groups, mode, report)
    return graphs, report.hyper


def moving(algorithm: Algorithm) -> dict[str, Any]:
    """The sections with a stage, in their default order."""
    places = {name: place for place, name in enumerate(stages())}
    found = {name: section for name, section in algorithm.sections.items() if section.name in places}
    return dict(sorted(found.items(), key=lambda item: places[item[1].name]))


def held(algorithm: Algorithm) -> set[str]:
    """The groups of the state that stay the same for all updates on a rollout."""
    return {
        group
        for name, section in moving(algorithm).items()
        for group, copy in section.kept(name).items()
        if getattr(section, copy.option).of_rollouts
    }


def _normalizer(algorithm: Algorithm) -> Any:
    observe: Any = algorithm.sections.get("observe")
    return None if observe is None else observe.normalize


def init_graph(algorithm: Algorithm, sizes: Sizes) -> tuple[Graph, dict[str, Type]]:
    """The graph of a fresh state, and the types of its groups."""
    b = Builder("init", role="init")
    key = b.input("key", KEY)
    ctx = Context(b, algorithm, sizes, {}, key)
    state: dict[str, Value] = {}
    for name, section in moving(algorithm).items():
        state |= section.init(ctx.of(name), ctx.draw_key(name))
    for parameter in algorithm.learned():
        learned: Any = parameter.learned
        state |= learned.initial(ctx, parameter.name, learned_group(parameter.name))
    if _normalizer(algorithm) is not None:
        state["normalizer"] = _normalizer(algorithm).init(ctx)
    state["key"] = key
    for name, start in (("step", 0), ("bad_update", -1)):
        state[name] = b.add("Init", call("jnp.asarray", start, dtype="int32"), (), INTEGER, name)
    for name, value in state.items():
        b.output(f"state.{name}", value)
    return b.finish(), {name: value.type for name, value in state.items()}


def context_of(builder: Builder, algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], report: Report) -> Context:
    """The context of a graph that reads the groups of the state."""
    state = {group: builder.input(f"state.{group}", type) for group, type in groups.items()}
    return Context(builder, algorithm, sizes, state, state["key"], report.for_graph())


def observed(ctx: Context, s: Value, name: str) -> Value:
    """The observations as the networks read them."""
    normalizer = _normalizer(ctx.algorithm)
    return s if normalizer is None else normalizer.apply(ctx, ctx.versions["normalizer"], s, name)


def _rows(field: Field) -> Type:
    """The type of a field of a batch."""
    return Type(("batch", *field.axes))


def _step_graph(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], record: Record, report: Report) -> Graph:
    b = Builder("step", role="step")
    ctx = context_of(b, algorithm, sizes, groups, report)
    state = dict(ctx.versions)
    batch = {name: b.input(f"batch.{name}", _rows(field)) for name, field in record.items()}
    if not _in_rollouts(algorithm):
        batch = _prepared(ctx, batch)
    key = b.add("Key", call(step_key, Arg(0), Arg(1)), (state["key"], state["step"]), KEY, "step_key")
    ctx = ctx.with_key(key)
    if not _in_rollouts(algorithm):
        ctx, batch = _normalized(ctx, batch)
    ctx = ctx.reading({**ctx.versions, **_nothing_reported(ctx, batch["d"])})
    ctx = replace(ctx, batch=batch)
    if AUXILIARY in batch:
        ctx.report.auxiliary[batch["a"].name] = batch[AUXILIARY]
    written = dict(ctx.versions) | _Stages(ctx, batch).visit(algorithm.order)
    finite = tuple(ctx.report.checks.values())
    expr = call(first_bad_update, *map(Arg, range(2 + len(finite))))
    bad = (written["bad_update"], written["step"], *finite)
    written["bad_update"] = b.add("Finite", expr, bad, INTEGER, "bad_update")
    written["step"] = b.elementwise("jnp.add", written["step"], b.constant(1, "one"), name="next_step")
    for parameter in algorithm.parameters.values():
        if parameter.learned is not None or parameter.schedule is not None:
            ctx.metric(parameter.name, ctx.parameter(parameter))
    for name, value in written.items():
        if name in groups:
            b.output(f"state.{name}", value)
        elif name.startswith(FEEDBACK):
            b.output(name, value)
    ran = {f"{RAN}{name}": value for name, value in ctx.report.ran.items()}
    for name, value in (ctx.report.metrics | ran).items():
        b.output(f"metric.{name}", value)
    return b.finish()


def _in_rollouts(algorithm: Algorithm) -> bool:
    regime: Any = algorithm.regime
    return "on_policy" in regime.capabilities()


def _prepared(ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
    """The stored fields as updates read them."""
    sections: Any = ctx.algorithm.sections
    for name, section in sections.items():
        batch = section.prepared(ctx.of(name), batch)
    return batch


def _normalized(ctx: Context, batch: dict[str, Value]) -> tuple[Context, dict[str, Value]]:
    """The batch with the observations that networks read, after the normalizer has seen them."""
    normalizer = _normalizer(ctx.algorithm)
    if normalizer is not None:
        moments = normalizer.update(ctx, ctx.versions["normalizer"], batch["s"])
        ctx = ctx.reading({**ctx.versions, "normalizer": moments})
    return ctx, batch | _observed(ctx, batch)


def _observed(ctx: Context, batch: Mapping[str, Value]) -> dict[str, Value]:
    return {name: observed(ctx, batch[name], f"normalized_{name}") for name in ("s", "s_next")}


def _rollout_graph(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], report: Report) -> Graph:
    """From all steps of a rollout to the fields of its batches, and the moments that normalise the next one.

    Observations are normalised as they were while it was collected.
    """
    b = Builder("rollout", role="rollout")
    ctx = context_of(b, algorithm, sizes, groups, report)
    regime, rollout = cast(Any, algorithm.regime), cast(Any, algorithm.sections["rollout"])
    count = (ctx.versions["key"], ctx.update_counter)
    ctx = ctx.with_key(b.add("Key", call(rollout_key, Arg(0), Arg(1), rollout.updates), count, KEY, "rollout_key"))
    given = {name: b.input(f"batch.{name}", _rows(field)) for name, field in regime.stored(algorithm).items()}
    batch = dict(_prepared(ctx, given))
    batch |= _observed(ctx, batch)
    sections: Any = algorithm.sections
    for name, section in sections.items():
        with b.scope(name):
            batch = section.completed(ctx.of(name), batch)
    for name, value in batch.items():
        if value != given.get(name):
            b.output(f"batch.{name}", value)
    if _normalizer(algorithm) is not None:
        moments = _normalizer(algorithm).update(ctx, ctx.versions["normalizer"], given["s"])
        b.output("state.normalizer", moments)
    return b.finish()


def _nothing_reported(ctx: Context, like: Value) -> dict[str, Value]:
    """The versions of the feedback before any stage."""
    fields = feedback_of(ctx.algorithm)
    if not fields:
        return {}
    nothing = ctx.builder.constant(0.0, "not_reported")
    return {f"{FEEDBACK}reported": nothing} | {
        f"{FEEDBACK}{name}": ctx.broadcast(nothing, ("batch", *field.axes), like) for name, field in fields.items()
    }


def _act_graph(algorithm: Algorithm, sizes: Sizes, groups: Mapping[str, Type], mode: str, report: Report) -> Graph:
    b = Builder(mode, role="act")
    ctx = context_of(b, algorithm, sizes, groups, report)
    s = b.input("obs", Type(("batch", "obs")))
    counter = b.input("counter", INTEGER)
    key = b.add("Key", call(act_key, Arg(0), Arg(1)), (ctx.versions["key"], counter), KEY, "act_key")
    ctx = ctx.with_key(key)
    act: Any = algorithm.sections["act"]
    choice = getattr(act, mode)
    s = observed(ctx, s, "normalized_s")
    action = choice.value.choose(ctx, choice.source, s, "action", "critic")
    # a sampler need not bound its actions; they are executed and stored as clipped by the environment
    bounded = b.add("Arithmetic", call("jnp.clip", Arg(0), -1.0, 1.0), (action,), action.type, "bounded_action")
    b.output("action", bounded)
    if mode == "explore":
        sections: Any = algorithm.sections
        for name, section in sections.items():
            for field, value in section.acted(ctx.of(name), s, bounded, action).items():
                b.output(f"field.{field}", value)
    return b.finish()


@dataclass(frozen=True)
class _Stages(StageVisitor[dict[str, Value]]):
    """Runs the stages of ``order``: each takes the readable versions and returns the versions it wrote."""

    ctx: Context
    batch: dict[str, Value]

    def _reading(self, versions: Mapping[str, Value]) -> _Stages:
        """The same, with further readable versions."""
        return replace(self, ctx=self.ctx.reading({**self.ctx.versions, **versions}))

    def sequence(self, parts: tuple[Stage, ...]) -> dict[str, Value]:
        written: dict[str, Value] = {}
        for part in parts:
            written |= self._reading(written).visit(part)
        return written

    def together(self, parts: tuple[Stage, ...]) -> dict[str, Value]:
        """All parts read the same parameters; measurements of one part are read by the adaptations that use them."""
        written: dict[str, Value] = {}
        learned = self.ctx.algorithm.parameters.keys()
        for part in sorted(parts, key=lambda part: any(name in learned for name in stage_names(part))):
            measured = {name: value for name, value in written.items() if name.startswith(MEASURE)}
            written |= self._reading(measured).visit(part)
        return written

    def single(self, name: str) -> dict[str, Value]:
        """A stage that an earlier phase also contains reports under the same names again."""
        report = self.ctx.report
        before, own = report.metrics, report.by_stage.get(name, frozenset())
        others = {metric: value for metric, value in before.items() if metric not in own}
        report.metrics = dict(others)
        written = self._stage(name)
        report.by_stage[name] = frozenset(report.metrics) - frozenset(others)
        report.metrics = before | report.metrics
        return written

    def _stage(self, name: str) -> dict[str, Value]:
        ctx, sections = self.ctx, self.ctx.algorithm.sections
        with ctx.scope(name, ctx.algorithm.place(name)):
            if name in sections:
                section: Any = sections[name]
                return section.update(ctx.of(name), self.batch)
            if name in ctx.algorithm.parameters:
                return self._learned(name)
            return {
                group: keeper.follow(ctx.of(owner), group)
                for owner, keeper in moving(ctx.algorithm).items()
                for group in keeper.follows(owner)
                if name in ("targets", group)
            }

    def _learned(self, name: str) -> dict[str, Value]:
        adaptation: Any = self.ctx.algorithm.parameters[name].learned
        measured = adaptation.measured(self.ctx, self.batch["s"])
        return adaptation.update(self.ctx, name, learned_group(name), measured)

    def when(self, condition: Condition, stage: Stage) -> dict[str, Value]:
        b, report = self.ctx.builder, self.ctx.report
        metrics, checks, flags = dict(report.metrics), dict(report.checks), dict(report.ran)
        written = self.visit(stage)
        # measurements belong to this update: they have no earlier version
        groups = [name for name in written if not name.startswith(MEASURE)]
        reported = [name for name, value in report.metrics.items() if metrics.get(name) != value]
        checked = [name for name, value in report.checks.items() if checks.get(name) != value]
        ran = self._ran(reported, flags)
        pairs = list(dict.fromkeys(ran.values()))
        new = [written[g] for g in groups] + [report.metrics[m] for m in reported] + [flag for flag, _ in pairs]
        new += [report.checks[c] for c in checked]
        if not new:  # a critic without training
            return {}
        old = [self.ctx.versions[group] for group in groups] + self._or(metrics, reported, 0.0, "not_run")
        old += [flag for _, flag in pairs] + self._or(checks, checked, 1.0, "fine")
        chosen = iter(b.when(due(b, self.ctx.update_counter, condition), new, old, f"every_{condition.every}"))
        result = written | {group: next(chosen) for group in groups}
        report.metrics |= {m: next(chosen) for m in reported}
        chosen_flags = {pair: next(chosen) for pair in pairs}
        report.ran |= {m: chosen_flags[pair] for m, pair in ran.items()}
        report.checks |= {c: next(chosen) for c in checked}
        return result

    def _ran(self, metrics: list[str], before: Mapping[str, Value]) -> dict[str, tuple[Value, Value]]:
        """The flags of these metrics where the condition holds, and where it does not.

        They are those of conditions further in, or 1, and those of an earlier phase, or 0.
        """
        if not metrics:
            return {}
        one, none = (self.ctx.builder.constant(value, name) for value, name in ((1.0, "ran"), (0.0, "not_ran")))
        inner = {name: flag for name, flag in self.ctx.report.ran.items() if before.get(name) != flag}
        return {name: (inner.get(name, one), before.get(name, none)) for name in metrics}

    def _or(self, values: Mapping[str, Value], names: list[str], default: float, name: str) -> list[Value]:
        """The values of these names from an earlier phase, or a constant ``name`` for those without one."""
        missing = [n for n in names if n not in values]
        constant = {n: c for c in [self.ctx.builder.constant(default, name)] for n in missing} if missing else {}
        return [{**values, **constant}[n] for n in names]

    def begin(self, actions: tuple[Action, ...]) -> dict[str, Value]:
        written: dict[str, Value] = {}
        for action in actions:
            ctx = self._reading(written).ctx
            if isinstance(action, CopyParameters):
                written |= dict.fromkeys(_parameters(ctx, action.owner), ctx.versions[action.source])
            else:
                written |= {f"{group}_opt": _fresh(ctx, name, group) for name, group in _groups(ctx, action.owners)}
        return written


def _parameters(ctx: Context, owner: str) -> list[str]:
    """The groups of the state with the parameters of a section: its own, and its copies of them."""
    section: Any = ctx.algorithm.sections[owner]
    return [owner, *(group for group, original in section.follows(owner).items() if original == owner)]


def _groups(ctx: Context, owners: tuple[str, ...]) -> list[tuple[str, str]]:
    """The sections and learned parameters of these names, each with its parameter group."""
    return [(name, name if name in ctx.algorithm.sections else learned_group(name)) for name in owners]


def _fresh(ctx: Context, name: str, group: str) -> Value:
    """The state of an optimizer that has made no step."""
    trained: Any = ctx.algorithm.sections.get(name) or ctx.algorithm.parameters[name].learned
    return trained.optimizer.init(ctx, ctx.versions[group], f"{name}_fresh_opt")
