"""Section ``noise_value``: values of the noise that a policy turns into actions, fitted by a formula of the spec."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Network
from flowrl_dsl.components.based import turned
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.embedded import network
from flowrl_dsl.components.ensembles import ensemble_values, init_ensemble
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Function, functions
from flowrl_dsl.formulas import formulas
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.registry import Copy, Drawn, Formula, Slot, option, register, slot

FIT = Slot(
    result=("ensemble", "batch", "particle"),
    values={"s": ("batch", "obs"), **dict.fromkeys(("a", "noise"), ("batch", "particle", "action"))},
    functions=("V_z", "Q", "Q_target"),
    sizes={"A": "action", "N": "particle"},
    through=("V_z",),
)


@register
class NoiseValue(Section):
    """Values V_z(s, z) of noise z, by members that each minimise ``E[fit]`` over observations of the batch and z ~ N(0, I).

    ``noise`` are so many ``draws`` of z for each observation, and ``a`` the actions within [-1, 1] into which a policy turns
    them, without further randomness.  The parameters of V_z alone are trained: everything else in ``fit`` is a constant.
    """

    name = "noise_value"
    paper = "arXiv:2506.15799"
    stage = 26
    named = True
    provides = frozenset({"noise_value"})
    of_source = MappingProxyType({"draws": frozenset({"noise_map"})})
    functions = (
        Function(
            "V_z",
            ("obs", "action"),
            ("obs", "action"),
            ("ensemble",),
            "noise_value",
            "values of the noise that a policy turns into actions",
            beside="Q",
        ),
    )
    copies = (Copy("target", "{}_target", "{}_target", "ema(0.005)"),)

    lengths = MappingProxyType({"ensemble": "ensemble"})
    shape = ("network", "ensemble")

    draws: Drawn[int] = option("noises of each observation, and the policy that turns them into actions")
    fit: Formula = slot("loss of each member at each noise; its mean is minimised", FIT)
    network: Network = option("network of one member", "mlp([256, 256])")
    ensemble: int = Field(2, ge=1, description="number of members E")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target | None = option("update rule of the copy of the parameters", "none")

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        others = {path: part for path, part in at.components.items() if path.partition(".")[0] != at.path}
        if "V_z" not in set().union(*(functions(formula) for _, formula in formulas(others))):
            yield warning("FRL0325", "these values are trained, but nothing reads V_z", at.span, "leave them out")

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", (("s", ctx.sizes.obs), ("z", ctx.sizes.action)), 1)

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        wide, steps = ctx.widened(), f"{ctx.owner}_opt"
        sizes = {"s": wide.sizes.obs, "z": wide.sizes.action}
        example = {name: call("jnp.zeros", (1, size)) for name, size in sizes.items()}
        expr = call(init_ensemble, self.module(wide), Arg(0), self.ensemble, example)
        params = ctx.builder.add("Init", expr, (key,), TREE, ctx.owner)
        state = {ctx.owner: params, steps: self.optimizer.init(ctx, params, steps)}
        return state | dict.fromkeys(self.kept(ctx.owner), params)

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step on the mean of ``fit``."""
        s, (count, source) = batch["s"], (self.draws.value, self.draws.source)
        z = ctx.normal(s, ctx.sizes.action, "noise", count)
        values = {"s": s, "noise": z, "a": turned(ctx, source, s, z, "action")}
        fit = ctx.in_training().formula(self.fit, "fit", {"N": count}, **values)
        loss = ctx.builder.add("Loss", call("jnp.mean", Arg(0)), (fit,), SCALAR, "loss")
        return ctx.descend(ctx.owner, loss, self.optimizer)

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        group, (s, z) = ctx.source or ctx.owner, arguments
        trained = group == ctx.owner
        ctx, params, s = ctx.actor(group, s)
        lead, inputs = leading(s, z), [params, s, z]
        named = {"s": rows(1, s, lead), "z": rows(2, z, lead)}
        dropout = ctx.dropout(self.network, inputs) if trained else {}
        expr = call(ensemble_values, self.module(ctx), Arg(0), named, **dropout)
        return ctx.builder.add("QValue", expr, inputs, Type(union(("ensemble",), lead)), "v_z")
