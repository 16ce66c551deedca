"""Section ``noisy_value``: values of noisy actions, fitted by the formula that the spec gives."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar

from pydantic import Field, model_validator

from flowrl_dsl.algorithm import POLICY, Position
from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Embedding, Network
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.components.ensembles import init_ensemble, mean_value_at_level, values_at_level, with_embedded_level
from flowrl_dsl.components.entries import MEANING, OPTION, Entries
from flowrl_dsl.components.noisy import NOISED, STEP, Guide
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Function, functions, variables
from flowrl_dsl.formulas import formulas
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Expr, build, call
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.registry import Copy, Drawn, Formula, Slot, option, register, slot

FIT = Slot(
    result=("ensemble", "batch"),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), **NOISED, **STEP},
    functions=("V_t", "Q", "Q_target", "log_prob", "eps"),
    sizes={"A": "action", "N": "particle"},
    through=("V_t",),
    needs=dict.fromkeys(STEP, "denoising_step"),
    drawn_by=dict.fromkeys(STEP, "draws"),
    several={"particles": ("a", "a_t", "noise")},
)


@register
class NoisyValue(Section):
    """Values V_t(s, a_t, t) of noisy actions, by members that each minimise ``E[fit]`` over the transitions of the batch.

    ``a_t = alpha a + sigma noise`` is the action of the batch made noisy at a random time, by the noise process of
    ``policy``.  With ``particles``, a are so many draws of a policy at s, a_t their noisy versions by its own noise process,
    all at the same time t, and a, a_t and noise have the axis ``particle``.  With ``draws``, t is where a random step of the
    sampler of a policy starts, and ``a_less`` are so many draws of what the step makes of a_t, at the time ``t_less``; on
    the last step (``last`` is 1, else 0) they are actions.  ``kl_weight |e - e'|^2`` is the divergence of two such steps of
    variance beta with the predicted noises e and e'.

    The parameters of V_t alone are trained: everything else in ``fit`` is a constant.
    """

    name = "noisy_value"
    paper = "arXiv:2304.12824"
    stage = 25
    named = True
    provides = frozenset({"noisy_value"})
    of_source = MappingProxyType(dict.fromkeys(("particles", "draws"), frozenset({"noise_process"})))
    alternatives = (frozenset({"particles", "draws"}),)
    functions = (
        Function(
            "V_t",
            ("obs", "action", None),
            ("obs", "action"),
            ("ensemble",),
            "noisy_value",
            "values of noisy actions at their times",
            beside="Q",
        ),
    )
    copies = (Copy("target", "{}_target", "{}_target", "ema(0.005)"),)

    lengths = MappingProxyType({"ensemble": "ensemble"})
    shape = ("network", "time", "ensemble", OPTION)
    quiet: ClassVar[frozenset[str]] = frozenset({OPTION})

    particles: Drawn[int] | None = option("number of actions of each state, and the policy that draws them", "none")
    draws: Drawn[int] | None = option("number of draws of a denoising step, and the policy that takes it", "none")
    fit: Formula = slot("loss of each member at each transition; its mean is minimised", FIT)
    network: Network = option("network of one member", "mlp([256, 256])")
    time: Embedding = option("features of the time", "positional(64, longest = 1000)")
    ensemble: int = Field(1, ge=1, description="number of members E")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target | None = option("update rule of the copy of the parameters", "none")
    observation: Entries | None = Field(None, description=MEANING)

    @model_validator(mode="after")
    def _steps_from_the_data(self) -> NoisyValue:
        read = sorted(STEP.keys() & variables(self.fit))
        if read and self.draws is None:
            raise ValueError(f"{' and '.join(read)} in the fit: add, for instance, `draws = 10 from policy`")
        if self.draws is not None and self.particles is not None:
            raise ValueError("give either particles or draws: denoising steps start from actions of the batch")
        return self

    def needs(self) -> frozenset[str]:
        drawn = self.particles is not None or self.draws is not None
        return self.requires if drawn else self.requires | {"noise_process"}

    def unread(self) -> dict[str, str]:
        used = STEP.keys() & variables(self.fit)
        return {} if used else {"draws": "the fit does not use a_less"}

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        others = {path: part for path, part in at.components.items() if path.partition(".")[0] != at.path}
        called = set().union(*(functions(formula) for _, formula in formulas(others)))
        needed = set().union(*(part.needs() for part in others.values()))
        if not ("V_t" in called or self.provides & needed):
            yield warning("FRL0325", "these values are trained, but nothing reads V_t", at.span, "leave them out")

    def module(self, ctx: Context) -> Build:
        inputs = (("s", ctx.sizes.obs), ("a", ctx.sizes.action), ("level", self.time.hidden))
        trunk = network(ctx, f"{ctx.owner}_trunk", inputs, 1)
        return build(f"{ctx.owner}_net", with_embedded_level, trunk=trunk, embedding=self.time.module(f"{ctx.owner}_time"))

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        wide, steps = ctx.widened(), f"{ctx.owner}_opt"
        sizes = {"s": wide.sizes.obs, "a": wide.sizes.action, "level": 1}
        example = {name: call("jnp.zeros", (1, size)) for name, size in sizes.items()}
        expr = call(init_ensemble, self.module(wide), Arg(0), self.ensemble, example)
        params = ctx.builder.add("Init", expr, (key,), TREE, ctx.owner)
        state = {ctx.owner: params, steps: self.optimizer.init(ctx, params, steps)}
        return state | dict.fromkeys(self.kept(ctx.owner), params)

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step on the mean of ``fit``."""
        several = self.particles or self.draws
        sizes = {} if several is None else {"N": several.value}
        fit = ctx.in_training().formula(self.fit, "fit", sizes, s=batch["s"], **self._noisy(ctx, batch))
        loss = ctx.builder.add("Loss", call("jnp.mean", Arg(0)), (fit,), SCALAR, "loss")
        return ctx.descend(ctx.owner, loss, self.optimizer)

    def _noisy(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The actions and their noisy versions; of several actions of one state, all at one time.  Or a denoising step."""
        if self.draws is not None:
            own, params, s = ctx.actor(self.draws.source, batch["s"])
            step = own.own.backbone.denoising_step(own, params, s, batch["a"], self.draws.value)
            return {"a": batch["a"], **step.values()}
        if self.particles is None:
            return {"a": batch["a"], **ctx.of(POLICY).own.backbone.noised(ctx, batch["a"]).values()}
        source, size = self.particles.source, self.particles.value
        backbone = ctx.of(ctx.owner_of(source)).own.backbone
        a = ctx.draw(source, batch["s"], "actions", particles=size, frozen=True)
        noise = ctx.normal(batch["s"], ctx.sizes.action, "noise", size)
        return {"a": a, **backbone.noised_at(ctx, a, noise, backbone.drawn_time(ctx, batch["a"])).values()}

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        group, (s, a_t, t) = ctx.source or ctx.owner, arguments
        trained = group == ctx.owner
        ctx, params, s = ctx.actor(group, s)
        lead, inputs = leading(s, a_t, t), [params, s, a_t, t]
        args = (self.module(ctx), Arg(0), rows(1, s, lead), rows(2, a_t, lead), rows(3, t, lead))
        dropout = ctx.dropout(self.network, inputs) if trained else {}
        type = Type(union(("ensemble",), lead))
        return ctx.builder.add("QValue", call(values_at_level, *args, **dropout), inputs, type, "v_t")

    def guide(self, ctx: Context, group: str, s: Value, scale: Value) -> Guide:
        """The mean over the members, as what the steps of a sampler follow."""
        ctx, params, s = ctx.actor(group, s)

        def function(params: Expr, s: Expr) -> Expr:
            return call(mean_value_at_level, self.module(ctx), params, s)

        return Guide(function, params, s, scale)
