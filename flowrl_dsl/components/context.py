"""The context of a component during graph construction: versions of the parameters, scalars, draws and measurements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from flowrl_dsl.algorithm import Algorithm, Parameter
from flowrl_dsl.axes import Axes, union, without
from flowrl_dsl.components import entries
from flowrl_dsl.components.based import Asked
from flowrl_dsl.components.gradients import gradient_and_loss_are_finite, gradient_norm
from flowrl_dsl.components.random_numbers import gaussian_noise, uniform_actions
from flowrl_dsl.components.shapes import broadcast_rows
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.formula import Formula
from flowrl_dsl.graph.builder import Builder, Value, aligned, expansion
from flowrl_dsl.graph.expr import Arg, Expand, Expr, call, kernel
from flowrl_dsl.graph.formulas import FormulaBuilder
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax
from flowrl_dsl.record import counted
from flowrl_dsl.registry import Scalar, functions

NO_SIZES: Mapping[str, int] = MappingProxyType({})


@kernel
def init_params(net, key, *examples):
    """Initial parameters of a network."""
    return net.init(key, *examples)["params"]


@kernel
def random_members(key, q, n):
    """n distinct random members, the same for all rows.  The members are along the leading axis."""
    return q[jax.random.permutation(key, q.shape[0])[:n]]


def learned_group(parameter: str) -> str:
    """The group of the state with what a learned parameter is computed from; no other group has such a name."""
    return f"param.{parameter}"


MEASURE = "measure."


def measure_group(owner: str, name: str) -> str:
    """The version with a measurement by the stage of a policy in this update."""
    return f"{MEASURE}{owner}.{name}"


@dataclass
class Report:
    """The outputs collected while one graph is built, shared by all its contexts.

    ``by_stage``: the names of metrics.  Of samples: ``densities`` by parameters and action, ``chains``, ``auxiliary`` by it.
    """

    hyper: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Value] = field(default_factory=dict)
    ran: dict[str, Value] = field(default_factory=dict)  # of metrics under a condition: 1 where it holds, else 0
    checks: dict[str, Value] = field(default_factory=dict)
    densities: dict[tuple[str, str], Value] = field(default_factory=dict)
    bases: dict[str, Value] = field(default_factory=dict)  # what a sample was made of, by its name (components/based.py)
    chains: dict[str, Value] = field(default_factory=dict)
    auxiliary: dict[str, Value] = field(default_factory=dict)
    schedules: dict[str, Value] = field(default_factory=dict)
    by_stage: dict[str, frozenset[str]] = field(default_factory=dict)

    def for_graph(self) -> Report:
        """An empty report for another graph, with the same defaults of the program's inputs."""
        return Report(hyper=self.hyper)


@dataclass(frozen=True)
class Context:
    """``versions`` are the parameter groups read by the stage being built.

    ``owner`` names the section whose part of the graph is being built.  ``training`` is true for networks that are being
    fitted, which then use dropout.  ``batch`` contains the fields of the batch of an update.  ``candidates`` is the axis
    along which several actions of one state are drawn.  ``source`` is the copy whose parameters a called function reads;
    empty for the section's own.
    """

    builder: Builder
    algorithm: Algorithm
    sizes: Sizes
    versions: Mapping[str, Value]
    key: Value
    report: Report = field(default_factory=Report)
    training: bool = False
    owner: str = ""
    batch: Mapping[str, Value] = field(default_factory=dict)
    candidates: str = "particle"
    source: str = ""

    @property
    def own(self) -> Any:
        """The section whose part of the graph is being built."""
        return self.algorithm.sections[self.owner]

    @property
    def critic(self) -> Any:
        """The section ``critic``."""
        return self.algorithm.sections["critic"]

    @property
    def encoder(self) -> Any:
        """The section with embeddings of observations and actions; None for algorithms without one."""
        sections: Any = self.algorithm.sections
        return next((section for section in sections.values() if section.encodes), None)

    def of(self, owner: str) -> Context:
        """The same context, for the part of another section, with the sizes of what it is given: without embeddings."""
        return replace(self, owner=owner, sizes=self.sizes.given())

    def owner_of(self, group: str) -> str:
        """The section of a parameter group or of a copy of it."""
        sections: Any = self.algorithm.sections
        return next(name for name, section in sections.items() if group == name or group in section.kept(name))

    def with_key(self, key: Value) -> Context:
        """The same context, with another parent of its random keys."""
        return replace(self, key=key)

    def reading(self, versions: Mapping[str, Value]) -> Context:
        """The same context, reading other versions of the parameters."""
        return replace(self, versions=versions)

    def in_training(self) -> Context:
        """The same context, for the networks fitted by a loss, as opposed to targets, proposals and acting."""
        return replace(self, training=True)

    @contextmanager
    def scope(self, name: str, span: Any = None) -> Iterator[None]:
        with self.builder.scope(name, span):
            yield

    # numbers

    def scalar(self, scalar: Scalar) -> Value:
        """The value of an option that is an input of the program."""
        parameter = self.algorithm.parameters.get(scalar.name)
        if parameter is not None:
            return self.parameter(parameter)
        if scalar.schedule is not None:
            return self._scheduled(scalar.name, scalar.schedule)
        return self._hyper(scalar.name, scalar.value)

    def statistic(self, name: str, default: float) -> Value:
        """A statistic of the data set, an input of the program; ``default`` holds until a data set is read."""
        return self._hyper(f"data.{name}", default)

    def argument(self, scalar: Scalar, inputs: list[Value]) -> Arg:
        """The number as a further input of a node under construction."""
        inputs.append(self.scalar(scalar))
        return Arg(len(inputs) - 1)

    def dropout(self, network: Any, inputs: list[Value]) -> dict[str, Arg]:
        """The random key of a network's dropout, as a further input of a node; only in training."""
        if not (self.training and network.drops_units):
            return {}
        inputs.append(self.draw_key("dropout"))
        return {"key": Arg(len(inputs) - 1)}

    def parameter(self, parameter: Parameter) -> Value:
        """A ``param``: an input, a function of the update counter, or learned, computed from its group of the state."""
        name, learned = parameter.name, parameter.learned
        if learned is not None:
            return learned.value(self, name, self.versions[learned_group(name)])  # type: ignore[attr-defined]
        if parameter.schedule is not None:
            return self._scheduled(name, parameter.schedule)
        return self._hyper(name, parameter.value)

    def _hyper(self, name: str, value: float | None) -> Value:
        if value is not None:
            self.report.hyper[name] = float(value)
        return self.builder.input(f"hyper.{name}", SCALAR)

    def _scheduled(self, name: str, schedule: Any) -> Value:
        if name not in self.report.schedules:
            self.report.schedules[name] = schedule.value(self, self.update_counter, name)
        return self.report.schedules[name]

    @property
    def update_counter(self) -> Value:
        return self.builder.input("state.step", Type(dtype="i32"))

    def before(self, group: str) -> Value:
        """A group of the state as it was before this update, whatever the stages have written since."""
        return self.builder.input(f"state.{group}", TREE)

    def draw_key(self, name: str) -> Value:
        """A random key for one draw."""
        return self.builder.key(self.key, name)

    # the networks of the algorithm

    def drawn_axes(self, s: Value, particles: int | None) -> Axes:
        """The axes of one action for each observation, or of several."""
        return union(leading(s), ("action",), () if particles is None else (self.candidates,))

    def normal(self, s: Value, size: int, name: str, particles: int | None = None) -> Value:
        """Standard normal noise for each observation, with an axis ``action`` of ``size``."""
        axes = self.drawn_axes(s, particles)
        expr = call(gaussian_noise, Arg(0), Arg(1), size=size, particles=particles)
        return self.builder.add("Noise", expr, (self.draw_key(name), s), Type(axes), name)

    def uniform(self, s: Value, name: str, particles: int | None = None) -> Value:
        """Actions uniform in [-1, 1] for each observation."""
        axes = self.drawn_axes(s, particles)
        expr = call(uniform_actions, Arg(0), Arg(1), size=self.sizes.action, particles=particles)
        return self.builder.add("Noise", expr, (self.draw_key(name), s), Type(axes), name)

    def actor(self, source: str, s: Value) -> tuple[Context, Value, Value]:
        """The arguments of a backbone's method for a copy of the policy: context, parameters, observations.

        Of observations in entries, those that the section reads.  With an encoder, concatenated with their embeddings.
        """
        ctx = self.of(self.owner_of(source))
        if self.encoder is None:
            return ctx.widened(), self.versions[source], ctx._read(s)
        s = self.encoder.with_state(ctx, self._embedding(source), s)
        return ctx.widened(), self.versions[source], s

    def judge(self, source: str, s: Value, a: Value) -> tuple[Context, Value, Value, Value]:
        """The arguments of a method of the critic's kind for a copy: context, parameters, observations, actions.

        As for :meth:`actor`; with an encoder, both are concatenated with their embeddings.
        """
        ctx = self.of(self.owner_of(source))
        if self.encoder is None:
            return ctx.widened(), self.versions[source], ctx._read(s), a
        params = self._embedding(source)
        pair = self.encoder.with_pair(ctx, params, s, a)
        return ctx.widened(action=True), self.versions[source], self.encoder.with_state(ctx, params, s), pair

    def _embedding(self, source: str) -> Value:
        return self.versions[self.encoder.copy_read_by(source)]

    def _read(self, s: Value) -> Value:
        """What the section ``owner`` reads of observations."""
        layout, names = self.sizes.layout, entries.names_of(self.algorithm, self.owner)
        return s if layout is None else entries.part(self.builder, layout, names, s)

    def widened(self, *, action: bool = False) -> Context:
        """The same context, with the sizes that the section ``owner`` reads: of its entries, or including embeddings."""
        layout = self.sizes.layout
        if layout is not None:
            size = counted(layout.ranges(entries.names_of(self.algorithm, self.owner)))
            return replace(self, sizes=replace(self.sizes, obs=size))
        if self.encoder is None:
            return self
        extra, obs, act = self.encoder.size, self.sizes.obs, self.sizes.action
        raw = (("s", obs), ("a", act)) if action else (("s", obs),)
        return replace(self, sizes=Sizes(obs + extra, act + extra * action, raw))

    def draw(
        self,
        source: str,
        s: Value,
        name: str,
        particles: int | None = None,
        frozen: bool = False,
        along: str = "particle",
        base: Value | None = None,
    ) -> Value:
        """Actions of a copy of the policy, several ``along`` an axis; ``frozen`` stops gradients to its parameters.

        ``base`` is what they are to be made of, where the policy has a base."""
        ctx, params, seen = replace(self, candidates=along).actor(source, s)
        if frozen:
            params = self.builder.stop(params, f"{name}_{source}")
        if ctx.own.base is None:
            drawn = ctx.own.backbone.draw(ctx, params, seen, name, particles)
        else:
            drawn = ctx.own.base.draw(ctx, params, seen, Asked(s, name, particles, frozen, base))
        if drawn.log_prob is not None:
            self.report.densities[params.name, drawn.action.name] = drawn.log_prob
        if drawn.chain is not None:
            self.report.chains[drawn.action.name] = drawn.chain
        return drawn.action

    def log_prob(self, source: str, s: Value, a: Value) -> Value:
        """The log-density of actions; for actions just sampled from this copy, the one computed with the sample."""
        known = self.report.densities.get((self.versions[source].name, a.name))
        if known is not None:
            return known
        ctx, params, s = self.actor(source, s)
        return ctx.own.backbone.log_prob(ctx, params, s, a)

    def rated(self, source: str, a: Value) -> bool:
        """Whether a log-density was computed with the sample of these actions."""
        return (self.versions[source].name, a.name) in self.report.densities

    def q(self, source: str, s: Value, a: Value) -> Value:
        """Q_e(s, a) by ``critic`` or ``critic_target``."""
        ctx, *given = self.judge(source, s, a)
        return ctx.own.kind.value(ctx, *given)

    def formula(self, formula: Formula, name: str, sizes: Mapping[str, int] = NO_SIZES, **values: Value) -> Value:
        """A formula over the given values and sizes (``N``), the algorithm's parameters and its networks."""
        scope: dict[str, Value] = dict(values)
        visible = _Lazily(scope, self._parameter_or_size({"A": self.sizes.action, **sizes}))
        networks = {name: partial(self.called, name) for name in functions()}
        return FormulaBuilder(self.builder, visible, {**networks, "subset": self._subset}).build(formula, name)

    def called(self, function: str, *arguments: Value, source: str = "") -> Value:
        """The value of a function of a section: the current one where several have it, or that of the copy ``source``."""
        sections: Any = self.algorithm.sections
        if source:
            owner = self.owner_of(source)
            return sections[owner].called(replace(self, owner=owner, source=source), function, *arguments)
        having = {name: one for name, one in sections.items() if function in (f.name for f in one.functions)}
        owner = self.owner if self.owner in having else next(iter(having))
        return having[owner].called(self.of(owner), function, *arguments)

    def _subset(self, q: Value, n: int) -> Value:
        """n random members of an ensemble; each call draws new ones."""
        expr = call(random_members, Arg(0), Arg(1), n)
        return self.builder.add("Subset", expr, (self.draw_key("subset"), q), q.type, "subset")

    def _parameter_or_size(self, sizes: Mapping[str, int]) -> Callable[[str], Value]:
        def find(name: str) -> Value:
            if name in self.algorithm.parameters:
                return self.parameter(self.algorithm.parameters[name])
            return self.builder.constant(float(sizes[name]), name)

        return find

    def broadcast(self, value: Value, axes: Axes, like: Value) -> Value:
        """The value with exactly these axes; the sizes of missing ones are those of ``like``'s leading axes."""
        if value.axes == axes:
            return value
        lead = Type(axes)
        expr = call(broadcast_rows, aligned(0, value.axes, axes), Arg(1), dimensions=len(axes))
        return self.builder.add("Broadcast", expr, (value, like), lead, "broadcast")

    # outputs of a stage

    def metric(self, name: str, value: Value) -> None:
        """Report the mean of a value under this name, numbered if the name exists."""
        if value.axes:
            value = self.builder.reduce("jnp.mean", value, value.axes, f"{name}_metric")
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        self.report.metrics[next(n for n in names if n not in self.report.metrics)] = value

    def measured(self, name: str) -> Value:
        """A measurement by the stage of the section ``policy`` in this update, as a constant []."""
        return self.builder.stop(self.versions[measure_group("policy", name)], "measured")

    def policy_has_moved(self) -> bool:
        """Whether this context reads a newer version of the section ``policy`` than the measured one."""
        return self.versions["policy"] != self.versions[measure_group("policy", "version")]

    def descend(self, group: str, loss: Value, optimizer: Any, label: str = "") -> dict[str, Value]:
        """One optimizer step on a scalar loss: the new versions of the group and of its optimizer state.

        Loss and gradient norm are reported under ``label``, or the group's name.
        """
        b, params = self.builder, self.versions[group]
        gradient = b.grad(loss, params, "gradient")
        new, new_state = optimizer.step(self, params, gradient, self.versions[f"{group}_opt"])
        norm = b.add("Reduce", call(gradient_norm, Arg(0)), (gradient,), SCALAR, "gradient_norm")
        self.metric(f"{label or group}_loss", loss)
        self.metric(f"{label or group}_gradient_norm", norm)
        self.report.checks[label or group] = b.add(
            "Finite", call(gradient_and_loss_are_finite, Arg(0), Arg(1)), (loss, norm), SCALAR, "finite"
        )
        return {group: new, f"{group}_opt": new_state}


class _Lazily(dict):
    """Values of a slot; parameters and sizes become nodes only when a formula uses them."""

    def __init__(self, values: Mapping[str, Value], find: Callable[[str], Value]):
        super().__init__(values)
        self._find = find

    def __missing__(self, name: str) -> Value:
        self[name] = self._find(name)
        return self[name]


def leading(*values: Value) -> Axes:
    """The joint axes of the inputs of a network, without their feature axes."""
    return without(union(*(v.axes for v in values)), "obs", "action")


def rows(index: int, value: Value, lead: Axes) -> Expr:
    """Input ``index`` with its leading axes ready to broadcast against ``lead``, its feature axis last."""
    feature = tuple(axis for axis in value.axes if axis in ("obs", "action"))
    pattern = expansion(value.axes, lead + feature)
    return Expand(Arg(index), pattern) if any(pattern) else Arg(index)
