"""Section ``policy``: the backbone, its network, how it is sampled and trained, and which copies of it are kept."""

from __future__ import annotations

from functools import reduce
from typing import ClassVar

from flowrl_dsl.components.base import Backbone, Network, Optimizer, Sampler, Section, Target
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.registry import option, register


@register
class Policy(Section):
    """The actor: one descent of the weighted sum of the ``improve`` blocks' losses at each update.

    Blocks whose mechanism trains the critic descend the critic's parameters instead, with the critic's optimizer.
    """

    name = "policy"
    stage: ClassVar[int | None] = 30

    backbone: Backbone = option("kind of distribution")
    network: Network = option("the network inside the backbone", "mlp([256, 256, 256], activation = mish)")
    sampler: Sampler | None = option("how actions are drawn from an iterative backbone", "none")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")
    target: Target | None = option("keeps the copy `policy_target`", "none")
    old: Target | None = option("keeps the copy `old_policy`", "none")

    def unread(self) -> dict[str, str]:
        if self.backbone.trains:
            return {}
        reason = f'backbone "{self.backbone.name}" has no parameters of its own'
        return dict.fromkeys(("network", "optimizer", "target", "old"), reason)

    def capabilities(self) -> frozenset[str]:
        return frozenset(self.copies())

    def copies(self) -> dict[str, Target]:
        """Copies of the parameters, by name."""
        kept = {"policy_target": self.target, "old_policy": self.old}
        return {name: target for name, target in kept.items() if target is not None}

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        params = self.backbone.init(ctx.widened(), key)
        state = {"policy": params, "policy_opt": self.optimizer.init(ctx, params, "policy_opt")}
        return state | {name: params for name in self.copies()}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one step on the sum of the weighted losses."""
        s, a = batch["s"], batch["a"]
        losses: dict[str, list[Value]] = {}
        for block in ctx.algorithm.improvements:
            with ctx.scope(block.label, block.span):
                loss = block.mechanism.loss(ctx, s, a)
                if len(ctx.algorithm.improvements) > 1:
                    ctx.metric(f"{block.label}_loss", loss)
                weighted = ctx.builder.elementwise("jnp.multiply", ctx.scalar(block.weight), loss, name="weighted_loss")
                losses.setdefault(block.mechanism.trains, []).append(weighted)
        written: dict[str, Value] = {}
        for group, terms in losses.items():
            total = reduce(lambda x, y: ctx.builder.elementwise("jnp.add", x, y, name="loss"), terms)
            own = group == "policy"
            written |= ctx.descend(group, total, (self if own else ctx.critic).optimizer, "" if own else "improve")
        return written

    def follow(self, ctx: Context) -> dict[str, Value]:
        """The copies after this update."""
        return {
            name: target.follow(ctx, ctx.versions[name], ctx.versions["policy"], name)
            for name, target in self.copies().items()
        }
