"""Section ``policy``: the backbone, its network, how it is sampled and trained, and which copies of it are kept."""

from __future__ import annotations

from flowrl_dsl.components.base import Backbone, Network, Optimizer, Sampler, Section, Target
from flowrl_dsl.registry import option, register


@register
class Policy(Section):
    """The actor."""

    name = "policy"

    backbone: Backbone = option("kind of distribution")
    network: Network = option("the network inside the backbone", "mlp([256, 256, 256], activation = mish)")
    sampler: Sampler | None = option("how actions are drawn from an iterative backbone", "none")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")
    target: Target | None = option("keeps the copy `policy_target`", "none")
    old: Target | None = option("keeps the copy `old_policy`", "none")

    def capabilities(self) -> frozenset[str]:
        kept = {"policy_target": self.target, "old_policy": self.old}
        return frozenset(name for name, copy in kept.items() if copy is not None)
