"""Section ``value``: state values, fitted by the formula that the spec gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import Network
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, init_params, leading
from flowrl_dsl.components.embedded import network
from flowrl_dsl.components.entries import MEANING, OPTION, Entries
from flowrl_dsl.components.section import Section
from flowrl_dsl.diagnostics import Diagnostic, warning
from flowrl_dsl.formula import Function, functions
from flowrl_dsl.formulas import formulas
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.registry import Copy, Formula, Slot, option, register, slot

FIT = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), "gain": ("batch",), "returns": ("batch",)},
    functions=("V", "V_target", "Q", "Q_target", "log_prob"),
    sizes={"A": "action"},
    through=("V",),
    needs={"gain": "rollouts", "returns": "rollouts"},
)


@kernel
def state_value(net, params, s, key=None):
    """V(s) for each observation.  With a key it uses dropout."""
    if key is None:
        return net.apply({"params": params}, {"s": s})[..., 0]
    return net.apply({"params": params}, {"s": s}, rngs={"dropout": key})[..., 0]


@register
class ValueSection(Section):
    """State values V(s) that minimise ``E[fit(s, a)]`` over the observations and actions of the batch.

    Where batches are parts of a rollout, ``gain`` is the advantage of the action and ``returns`` the return that V is to be.
    The parameters of V alone are trained: everything else in ``fit``, V_target included, is a constant.
    """

    name = "value"
    stage = 15
    named = True
    provides = frozenset({"state_value"})
    functions = (
        Function("V", ("obs",), ("obs",), (), "state_value", "state values", beside="Q"),
        Function("V_target", ("obs",), ("obs",), (), "value_target", "state values of the target copy", "Q", False),
    )
    copies = (
        Copy("target", "{}_target", "value_target", "ema(0.005)"),
        Copy("old", "old_{}", "old_value", "rollout"),
    )

    shape = ("network", OPTION)
    quiet: ClassVar[frozenset[str]] = frozenset({OPTION})

    fit: Formula = slot("loss of V at each transition; its mean over the batch is minimised", FIT)
    network: Network = option("network of the values", "mlp([256, 256])")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target | None = option("update rule of the copy `V_target`", "none")
    old: Target | None = option("update rule of the copy `old_value`", "none")
    observation: Entries | None = Field(None, description=MEANING)

    def warnings(self, at: Position) -> Iterator[Diagnostic]:
        others = {path: part for path, part in at.components.items() if path.partition(".")[0] != at.path}
        called = set().union(*(functions(formula) for _, formula in formulas(others)))
        needed = set().union(*(part.needs() for part in others.values()))
        if not (called & {"V", "V_target"} or "old_value" in needed):
            yield warning("FRL0325", "these values are trained, but nothing reads V or V_target", at.span, "leave them out")

    def module(self, ctx: Context) -> Build:
        return network(ctx, f"{ctx.owner}_net", (("s", ctx.sizes.obs),), 1)

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        wide, steps = ctx.widened(), f"{ctx.owner}_opt"
        example = {"s": call("jnp.zeros", (1, wide.sizes.obs))}
        params = ctx.builder.add("Init", call(init_params, self.module(wide), Arg(0), example), (key,), TREE, ctx.owner)
        state = {ctx.owner: params, steps: self.optimizer.init(ctx, params, steps)}
        return state | dict.fromkeys(self.kept(ctx.owner), params)

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step on the mean of ``fit``."""
        fit = ctx.in_training().formula(self.fit, "fit", {}, **{name: batch[name] for name in FIT.values if name in batch})
        fit = ctx.broadcast(fit, ("batch",), batch["d"])
        loss = ctx.builder.add("Loss", call("jnp.mean", Arg(0)), (fit,), SCALAR, "loss")
        return ctx.descend(ctx.owner, loss, self.optimizer)

    def called(self, ctx: Context, function: str, *arguments: Value) -> Value:
        group = ctx.source or ctx.owner if function == "V" else f"{ctx.owner}_target"
        trained = group == ctx.owner
        ctx, params, s = ctx.actor(group, *arguments)
        inputs = [params, s]
        dropout = ctx.dropout(self.network, inputs) if trained else {}
        expr = call(state_value, self.module(ctx), Arg(0), Arg(1), **dropout)
        return ctx.builder.add("Predict", expr, inputs, Type(leading(s)), "v" if trained else "v_target")
