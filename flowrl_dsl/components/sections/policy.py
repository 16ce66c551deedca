"""Section ``policy``: the backbone, its network, its sampling and training, and its copies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, ClassVar

from pydantic import Field

from flowrl_dsl.algorithm import POLICY, Algorithm, Position
from flowrl_dsl.components.base import Backbone, Network, Sampler
from flowrl_dsl.components.based import Base
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, measure_group
from flowrl_dsl.components.entries import MEANING, OPTION, Entries
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, error, warning
from flowrl_dsl.formula import Function
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.record import CHAIN
from flowrl_dsl.registry import Copy, Drawn, option, register


@register
class Policy(Section):
    """The actor: one gradient step per update on the weighted sum of the losses of the ``improve`` blocks.

    Blocks whose mechanism trains the critic update the critic's parameters instead, with the critic's optimizer.
    """

    name = "policy"
    stage = 30
    acts = True
    named = True
    functions = (
        Function("log_prob", ("obs", "action"), ("obs", "action"), (), "log_prob", "log-density of the policy"),
        Function(
            "entropy", ("obs",), ("obs",), (), "entropy_of_state", "entropy of the policy's actions", beside="log_prob"
        ),
        Function(
            "draw_log_prob",
            ("obs", "action"),
            ("obs", "action"),
            (),
            "draw_log_prob",
            "log-density, or an upper bound of it, of freshly sampled actions",
            copied=False,
        ),
        Function("eps", ("obs", "action", None), ("obs",), (), "noise_prediction", "the policy's prediction of the noise"),
        Function(
            "denoising_loss",
            ("obs", "action"),
            ("obs", "action"),
            (),
            "noise_prediction",
            "the error of the policy's regression at a noisy version of the action, a mean over its components",
        ),
        Function(
            "score_gap",
            ("obs", "action"),
            ("obs",),
            (),
            "noise_prediction",
            "sigma^2 (eps(s, a_t, t) - noise) at a noisy version a_t of the action: where the policy is less likely",
        ),
        Function("velocity", ("obs", "action", None), ("obs",), (), "flow_field", "the policy's velocity field"),
        Function(
            "step_log_prob",
            ("obs", "action"),
            ("obs",),
            ("denoise",),
            "step_log_prob",
            "log-density of each component in each of the steps by which the action of a rollout was drawn",
        ),
        Function(
            "step_entropy",
            ("obs",),
            ("obs",),
            ("denoise", "action"),
            "step_entropy",
            "entropy of each component in each of the steps by which an action is drawn",
            beside="step_log_prob",
        ),
    )
    copies = (
        Copy("target", "{}_target", "{}_target", "ema(0.005)"),
        Copy("old", "old_{}", "old_{}", "copy(every = 1000)"),
    )

    shape = ("backbone", "network", "base", OPTION)
    quiet: ClassVar[frozenset[str]] = frozenset({OPTION, "base"})

    backbone: Backbone = option("type of policy distribution")
    network: Network = option("network of the backbone", "mlp([256, 256, 256], activation = mish)")
    sampler: Sampler | None = option("sampler of an iterative backbone", "none")
    base: Base | None = option("another policy whose actions, or whose noise, are what this one changes", "none")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target | None = option("update rule of the copy `policy_target`", "none")
    old: Target | None = option("update rule of the copy `old_policy`", "none")
    observation: Entries | None = Field(None, description=MEANING)

    @property
    def trains(self) -> bool:
        return self.backbone.trains

    def unread(self) -> dict[str, str]:
        if self.backbone.trains:
            return {}
        reason = f'backbone "{self.backbone.name}" has no parameters of its own'
        return dict.fromkeys(("network", "optimizer", "target", "old", OPTION), reason)

    def idle(self, at: Position) -> dict[str, str]:
        return {} if self._is_drawn_from(at) else {"sampler": f"no action is drawn from {at.path}"}

    def _is_drawn_from(self, at: Position) -> bool:
        """Whether it acts, or its own mechanisms or options of any component draw from it or its copies."""
        own: list[Any] = [block.mechanism for block in at.algorithm.improvements if block.owner == at.path]
        parts = [part for part in at.components.values() if part.samples_source]
        values = [getattr(part, name) for part in parts for name in type(part).model_fields]
        sources = {value.source for value in values if isinstance(value, Drawn)}
        return (
            at.path == POLICY
            or any(mechanism.drawing & mechanism.needs() for mechanism in own)
            or bool(sources & {at.path, *self.kept(at.path)})
        )

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        """Units are dropped only where an ``improve`` block fits the network by regression."""
        own = [block.mechanism for block in at.algorithm.improvements if block.owner == at.path]
        fitted = {"imitation", "noise_process"}
        if self.network.drops_units and not any(fitted & mechanism.needs() for mechanism in own):
            message = f"the {at.path}'s dropout is never on: no improve block fits its network by regression"
            place = at.written("network.dropout")
            yield warning("FRL0323", message, place, "actions are drawn without it")

    def errors(self, at: Position) -> Iterator[Diagnostic]:
        """A policy whose base leads back to itself has no action."""
        way, algorithm = [at.path], at.algorithm
        sections: Any = algorithm.sections
        while (base := sections[way[-1]].base) is not None and len(way) <= len(sections):
            way.append(algorithm.drawn_from(base.source))
            if way[-1] == at.path:
                message = f"the actions of {way[0]} are made of those of {', which are made of those of '.join(way[1:])}"
                place = algorithm.written(f"{at.path}.base") or at.span
                yield error("FRL0264", message, place, "name a policy that draws its actions by itself")
                return

    def spread(self, algorithm: Algorithm) -> Backbone:
        """The backbone by whose randomness samples of one state differ: its own, or that of its base."""
        if self.base is None or self.backbone.random or not self.base.keeps_randomness:
            return self.backbone
        other: Any = algorithm.sections[algorithm.drawn_from(self.base.source)]
        found: Backbone = other.spread(algorithm)
        return found

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        wide, steps = ctx.widened(), f"{ctx.owner}_opt"
        params = self.backbone.init(wide if self.base is None else self.base.reading(wide), key)
        state = {ctx.owner: params, steps: self.optimizer.init(ctx, params, steps)}
        return state | dict.fromkeys(self.kept(ctx.owner), params)

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step on the sum of the weighted losses, and the measurements of the blocks."""
        losses: dict[str, list[Value]] = {}
        measures: dict[str, list[Value]] = {}
        blocks = [block for block in ctx.algorithm.improvements if block.owner == ctx.owner]
        for block in blocks:
            with ctx.scope(block.label, block.span):
                mechanism: Any = block.mechanism
                loss = mechanism.loss(ctx, batch["s"], batch["a"])
                for name, value in loss.measures.items():
                    if value != loss.value:
                        ctx.metric(name, value)
                    measures.setdefault(name, []).append(value)
                if len(blocks) > 1:
                    ctx.metric(f"{block.label}_loss", loss.value)
                weighted = ctx.builder.elementwise(
                    "jnp.multiply", ctx.scalar(block.factor), loss.value, name="weighted_loss"
                )
                losses.setdefault(mechanism.trains, []).append(weighted)
        return self._descended(ctx, losses) | _measured(ctx, measures)

    def _descended(self, ctx: Context, losses: dict[str, list[Value]]) -> dict[str, Value]:
        """The new versions of the groups trained by the sums of the losses."""
        written: dict[str, Value] = {}
        for group, terms in losses.items():
            total = reduce(lambda x, y: ctx.builder.elementwise("jnp.add", x, y, name="loss"), terms)
            if group == "policy":
                written |= ctx.descend(ctx.owner, total, self.optimizer)
            else:
                written |= ctx.descend(group, total, ctx.critic.optimizer, "improve")
        return written

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        """log pi(a | s), predicted noise or velocity of noisy actions a_t at times t, by the section or the copy read."""
        group = ctx.source or ctx.owner
        if function in ("log_prob", "draw_log_prob"):
            return ctx.log_prob(group, *arguments)
        s, *rest = arguments
        ctx, params, s = ctx.actor(group, s)
        if function == "step_log_prob":
            rest.append(ctx.batch[CHAIN])
        if function in AT_NOISY_ACTIONS:
            return AT_NOISY_ACTIONS[function](ctx, params, s, *rest)
        methods = {"eps": "predict"}
        value: Value = getattr(self.backbone, methods.get(function, function))(ctx, params, s, *rest)
        return value


def _denoising_loss(ctx: Context, params: Value, s: Value, a: Value) -> Value:
    """The squared error [...] of the regression at a noisy version of the actions a [..., action]."""
    b, backbone = ctx.builder, ctx.own.backbone
    said, truth = backbone.regression(ctx, params, s, a, backbone.noised(ctx, a))
    square = b.elementwise("jnp.square", b.elementwise("jnp.subtract", said, truth, name="error"), name="squared_error")
    return b.reduce("jnp.mean", square, ("action",), "denoising_loss")


def _score_gap(ctx: Context, params: Value, s: Value, a: Value) -> Value:
    """sigma^2 (eps - noise) [..., action] at a noisy version of the actions."""
    noised = ctx.own.backbone.noised(ctx, a)
    eps = ctx.own.backbone.predict(ctx, params, s, noised.a_t, noised.t)
    error = ctx.builder.elementwise("jnp.subtract", eps, noised.noise, name="noise_error")
    variance = ctx.builder.elementwise("jnp.square", noised.sigma, name="variance")
    return ctx.builder.elementwise("jnp.multiply", variance, error, name="score_gap")


AT_NOISY_ACTIONS = {"denoising_loss": _denoising_loss, "score_gap": _score_gap}
"""The functions of formulas that make actions noisy themselves."""


def _measured(ctx: Context, measures: dict[str, list[Value]]) -> dict[str, Value]:
    """The measurements of the blocks, averaged over blocks with the same one, and the measured version of the policy."""
    b = ctx.builder
    found = {measure_group(ctx.owner, "version"): ctx.versions[ctx.owner]} if measures else {}
    for name, values in measures.items():
        total = reduce(lambda x, y: b.elementwise("jnp.add", x, y, name="measured_sum"), values)
        if len(values) > 1:
            total = b.elementwise("jnp.divide", total, b.constant(float(len(values))), name="measured_mean")
        found[measure_group(ctx.owner, name)] = total
    return found
