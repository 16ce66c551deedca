"""Section ``data``: what updates read of the transitions that batches are drawn from."""

from __future__ import annotations

from flowrl_dsl.components.context import Context
from flowrl_dsl.components.section import Section
from flowrl_dsl.formula import variables
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Formula, Scalar, Slot, option, register, slot

STATISTICS = {
    "return_min": 0.0,
    "return_max": 1.0,
    "reward_mean": 0.0,
    "reward_std": 1.0,
}
"""Statistics of the data set that formulas read, and their values before one is read: returns of the worst and the best
episode, mean and standard deviation of the rewards."""

REWARD = Slot(result=("batch",), values={"r": ("batch",), **dict.fromkeys(STATISTICS, ())})


@kernel
def within_bound(a, bound):
    """Each component within [-bound, bound]."""
    return jnp.clip(a, -bound, bound)


@kernel
def inside_window(rewards, count):
    """The rewards [batch, window] of the first ``count`` steps, 0 after them."""
    return jnp.where(jnp.arange(rewards.shape[-1]) < count[:, None], rewards, 0.0)


@register
class DataSection(Section):
    """The reward of a stored transition becomes ``reward(r)`` and its action ``clip(a, -clip, clip)`` in every update.

    The bound below 1 keeps the density of a squashed policy finite at actions on the edge.  The transitions themselves stay
    as they were recorded, and evaluations report the task's own reward.
    """

    name = "data"

    reward: Formula = slot("reward that updates read", REWARD, "r")
    clip: Scalar | None = option("bound on the components of stored actions", "0.99999", POSITIVE)

    def prepared(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        found = dict(batch)
        if "r" in batch:
            found["r"] = self._reward(ctx, batch["r"])
        for name, count in (("rewards", "count"), ("rewards_ahead", "count_ahead")):
            if name in batch:
                inputs = (self._reward(ctx, batch[name]), batch[count])
                expr = call(inside_window, Arg(0), Arg(1))
                found[name] = ctx.builder.add("Arithmetic", expr, inputs, batch[name].type, f"{name}_inside")
        if self.clip is not None:
            bound = ctx.scalar(self.clip)
            for name in [name for name in ("a", "a_next_seen") if name in batch]:
                found[name] = ctx.builder.elementwise("within_bound", batch[name], bound, name=f"{name}_within")
        return found

    def _reward(self, ctx: Context, r: Value) -> Value:
        read = {name: ctx.statistic(name, STATISTICS[name]) for name in sorted(variables(self.reward) & STATISTICS.keys())}
        return ctx.broadcast(ctx.formula(self.reward, "reward", {}, r=r, **read), r.axes, r)
