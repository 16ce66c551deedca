"""Selection: imitates the best of several proposals."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.algorithm import Position
from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.common import imitation, take_best
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import NOT_NEGATIVE, Drawn, Formula, Scalar, Slot, option, register, slot

SCORE = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)
WEIGHT = Slot(result=("batch",), values={"score": ("batch", "particle")}, sizes={"A": "action", "N": "particle"})


@kernel
def repeat_weight(weight, factor, particles):
    """factor times the weight, for each of the particles."""
    return jnp.repeat(factor * weight[:, None], particles, axis=-1)


@register
class Selection(Mechanism):
    """``E[w (mean_A (eps - noise)^2 at the best proposal + f sum_m the same at uniform actions)]``.

    The best of N proposals by ``score`` is imitated with weight w, a formula of all scores; ``uniform`` random actions
    of each state are imitated with f times that weight, which maintains the entropy.  Weights are constants.
    """

    name = "selection"
    paper = "arXiv:2405.16173"
    requires = frozenset({"imitation"})

    particles: Drawn[int] = option("proposals per state, and the policy copy that samples them", "64 from policy")
    score: Formula = slot("score by which the best proposal is chosen", SCORE, "mean(Q(s, a), over = ensemble)")
    weight: Formula = slot("weight of the chosen action, a formula of all scores", WEIGHT, "1")
    uniform: int = Field(0, ge=0, description="uniformly random actions per state that maintain the entropy")
    uniform_weight: Scalar = option("their weight as a fraction of the chosen action's", "0.01", NOT_NEGATIVE)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b, count = ctx.builder, self.particles.value
        proposals = ctx.draw(self.particles.source, s, "proposals", particles=count, frozen=True)
        raw = b.stop(ctx.formula(self.score, "score", sizes={"N": count}, s=s, a=proposals), "constant_score")
        score = ctx.broadcast(raw, ("batch", "particle"), proposals)
        chosen = b.add("Select", call(take_best, Arg(0), Arg(1)), (proposals, score), a.type, "best")
        weight = ctx.formula(self.weight, "weight", sizes={"N": count}, score=score)
        weight = ctx.broadcast(weight, ("batch",), chosen)
        ctx.metric("selection_weight", weight)
        loss = imitation(ctx, s, chosen, weight)
        if self.uniform:
            spread = self._entropy(ctx, s, weight)
            ctx.metric("best_loss", loss)
            ctx.metric("uniform_loss", spread)
            loss = b.elementwise("jnp.add", loss, spread, name="loss")
        return Loss(loss)

    def _entropy(self, ctx: Context, s: Value, weight: Value) -> Value:
        a = ctx.uniform(s, "uniform", self.uniform)
        expr = call(repeat_weight, Arg(0), Arg(1), particles=self.uniform)
        factor = ctx.scalar(self.uniform_weight)
        weights = ctx.builder.add("Weights", expr, (weight, factor), Type(("batch", "particle")), "uniform_weight")
        with ctx.scope("uniform"):
            return imitation(ctx, s, a, weights)

    def idle(self, at: Position) -> dict[str, str]:
        return {"uniform_weight": "there are no uniform actions"} if self.uniform == 0 else {}
