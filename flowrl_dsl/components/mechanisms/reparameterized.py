"""Reparameterized: differentiates an objective of the policy's samples through the sampling."""

from __future__ import annotations

from pydantic import model_validator

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import negative_mean, uses_draw_density
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call
from flowrl_dsl.graph.nodes import SCALAR
from flowrl_dsl.registry import Formula, Slot, register, slot

OBJECTIVE = Slot(
    result=("batch",),
    values={"s": ("batch", "obs"), "a": ("batch", "action"), "a_seen": ("batch", "action")},
    functions=("Q", "Q_target", "log_prob", "draw_log_prob"),
    sizes={"A": "action"},
    through="a",
)


@register
class Reparameterized(Mechanism):
    """Maximise ``E[objective(s, a)]``, a ~ pi(. | s), by differentiating through the sampling (all denoising steps).

    ``a_seen`` is the action of the batch at s.

    Measures ``entropy = -E[log pi(a | s)]`` if the policy computes log-densities of its samples.
    """

    name = "reparameterized"
    paper = "arXiv:1801.01290"
    provides = frozenset({"entropy"})
    requires = frozenset({"reparameterized"})

    objective: Formula = slot("objective; its mean over the batch is maximised", OBJECTIVE, "min(Q(s, a), over = ensemble)")

    @model_validator(mode="after")
    def _rates_its_own_draw(self) -> Reparameterized:
        uses_draw_density(self.objective, "s", "a")
        return self

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, drawn = ctx.builder, ctx.draw(ctx.owner, s, "action")
        measures: dict[str, Value] = {}
        if ctx.rated(ctx.owner, drawn):
            density = b.stop(ctx.log_prob(ctx.owner, s, drawn), "log_prob_constant")
            measures["entropy"] = b.add("Reduce", call(negative_mean, Arg(0)), (density,), SCALAR, "entropy")
        objective = ctx.formula(self.objective, "objective", s=s, a=drawn, a_seen=a)
        return Loss(b.add("Loss", call(negative_mean, Arg(0)), (objective,), SCALAR, "loss"), measures)
