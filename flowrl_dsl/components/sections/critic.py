"""Section ``critic``: action values, their targets and their loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flowrl_dsl.components.base import ActionChoice, Critic, Future, Network, Optimizer, Section, Target
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.registry import UNIT, Drawn, Formula, Scalar, Slot, option, register, slot

BACKUP = Slot(
    result=("batch",),
    values={
        "s": ("batch", "obs"),
        "a": ("batch", "action"),
        "r": ("batch",),
        "d": ("batch",),
        "s_next": ("batch", "obs"),
        "a_next": ("batch", "action"),
        "discount": (),
    },
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action"},
)


@kernel
def continuation(discount, d):
    """discount (1 - d): what the value of the next state is multiplied by."""
    return discount * (1 - d)


@register
class CriticSection(Section):
    """Action values fitted to temporal-difference targets: ``mean_e mean_B (Q_e(s, a) - y)^2``, y the ``backup``.

    No gradient flows through y.  a_next is chosen by ``next_action`` at s_next.
    """

    name = "critic"

    kind: Critic = option("how values are represented", "q")
    network: Network = option("network of one ensemble member", "mlp([256, 256])")
    ensemble: int = Field(2, ge=1, description="number of members E")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")
    target: Target | None = option("keeps the copy behind `Q_target`", "ema(0.005)")
    discount: Scalar = option("discount factor", "0.99", UNIT)
    next_action: Drawn[ActionChoice] = option("how a_next is chosen", "sample from policy")
    backup: Formula = slot(
        "the regression target y",
        BACKUP,
        "r + discount * (1 - d) * min(Q_target(s_next, a_next), over = ensemble)",
    )
    reduction: Literal["mean", "sum"] = Field("mean", description="of the members' losses")

    def capabilities(self) -> frozenset[str]:
        return frozenset({"q_target"} if self.target is not None else ()) | self.kind.capabilities()

    def copies(self) -> dict[str, Target]:
        """Copies of the parameters, by name."""
        return {} if self.target is None else {"critic_target": self.target}

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        params = self.kind.init(ctx, key, self.ensemble)
        state = {"critic": params, "critic_opt": self.optimizer.init(ctx, params, "critic_opt")}
        return state | self.kind.memory(ctx, self.ensemble) | {name: params for name in self.copies()}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one step towards the temporal-difference targets."""
        b, s_next = ctx.builder, batch["s_next"]
        judge = "critic_target" if self.target is not None else "critic"
        choice = self.next_action
        a_next = choice.value.choose(ctx, choice.source, s_next, "a_next", judge)
        discount = ctx.scalar(self.discount)
        values = {**batch, "a_next": a_next, "discount": discount}
        y = b.stop(ctx.formula(self.backup, "backup", **values), "y")
        y = ctx.broadcast(y, ("batch",), batch["r"])
        keep = b.add("Arithmetic", call(continuation, Arg(0), Arg(1)), (discount, batch["d"]), batch["d"].type, "keep")
        future = Future(s_next, a_next, keep, judge)
        params = ctx.versions["critic"]
        loss, memory = self.kind.loss(ctx, params, batch["s"], batch["a"], y, future, self.reduction)
        return ctx.descend("critic", loss, self.optimizer) | memory

    def follow(self, ctx: Context) -> dict[str, Value]:
        """The copies after this update."""
        return {
            name: target.follow(ctx, ctx.versions[name], ctx.versions["critic"], name)
            for name, target in self.copies().items()
        }
