"""A baseline: a section with a stage, a fit that a formula gives, and a function that formulas call."""

from __future__ import annotations

from flowrl_dsl.axes import without
from flowrl_dsl.components.base import Network
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, init_params, leading
from flowrl_dsl.components.section import Section
from flowrl_dsl.formula import Function
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import Copy, Formula, Slot, option, register, slot

FIT = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), "r": ("batch",)},
    functions=("Q", "Q_target", "B"),
    sizes={"A": "action"},
)


@kernel
def baseline_value(net, params, s):
    """B(s)."""
    return net.apply({"params": params}, {"s": s})[..., 0]


@register
class Baseline(Section):
    """B(s), fitted by descending the mean of ``fit``; whatever else ``fit`` reads is constant."""

    name = "baseline"
    stage = 15
    provides = frozenset({"baseline"})
    functions = (Function("B", ("obs",), ("obs",), (), "baseline", "the baseline of a state", beside="Q"),)
    copies = (Copy("target", "{}_target", "baseline_target", "ema(0.005)"),)

    network: Network = option("network of the baseline", "mlp([256, 256])")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")
    target: Target | None = option("keeps the copy `baseline_target`", "none")
    fit: Formula = slot("descended in the mean over the batch", FIT)

    def module(self, ctx: Context) -> Build:
        return self.network.module(f"{ctx.owner}_net", (("s", ctx.sizes.obs),), 1)

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        example = {"s": call("jnp.zeros", (1, ctx.sizes.obs))}
        params = ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), example), (key,), TREE, ctx.owner)
        steps = self.optimizer.init(ctx, params, f"{ctx.owner}_opt")
        return {ctx.owner: params, f"{ctx.owner}_opt": steps, **dict.fromkeys(self.kept(ctx.owner), params)}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        errors = ctx.formula(self.fit, "fit", s=batch["s"], a=batch["a"], r=batch["r"])
        errors = ctx.broadcast(errors, ("batch",), batch["d"])
        loss = ctx.builder.add("Reduce", call(mean_of, Arg(0)), (errors,), SCALAR, "loss")
        return ctx.descend(ctx.owner, loss, self.optimizer)

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        (s,) = arguments
        inputs = (ctx.versions[ctx.owner], s)
        type = Type(without(leading(s), "obs"))
        return ctx.builder.add("Predict", call(baseline_value, self.module(ctx), Arg(0), Arg(1)), inputs, type, "b")


@kernel
def mean_of(x):
    """The mean over everything."""
    return jnp.mean(x)
