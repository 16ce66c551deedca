"""One of several samples, drawn by a weight that a formula gives each of them."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.axes import without
from flowrl_dsl.components.base import ActionChoice, Backbone
from flowrl_dsl.components.candidates import MEANING, Also, candidates
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Formula, Slot, register, slot

WEIGHT = Slot(
    result=("batch", "particle"),
    values={"s": ("batch", "obs"), "a": ("batch", "particle", "action")},
    functions=("Q", "Q_target", "log_prob"),
    sizes={"A": "action", "N": "particle"},
)


@kernel
def take_by_weight(key, a, weight):
    """One of the particles of each state, in proportion to the positive part of its weight; any if none is positive."""
    positive = jnp.maximum(weight, 0.0)
    chances = jnp.where(jnp.sum(positive, axis=-1, keepdims=True) > 0, positive, 1.0)
    index = jax.random.categorical(key, jnp.log(chances), axis=-1)
    return jnp.take_along_axis(a, index[..., None, None], axis=-2)[..., 0, :]


@register
class OneOf(ActionChoice):
    """``a = a_n`` with probability ``w_n / sum_m w_m``, w the ``weight`` of each of n samples of the policy.

    ``top1(...)`` as weight takes the best sample, ``softmax(q / temperature, over = particle)`` draws by value.  A negative
    weight counts as 0.  With ``also = bases`` the candidates are n actions of the policy's base and their n edits.
    """

    name = "one_of"
    paper = "arXiv:2304.10573"

    n: int = Field(ge=1, description="number of samples")
    weight: Formula = slot("weight of each sample", WEIGHT, "1")
    also: Also = Field(None, description=MEANING)

    def needs(self) -> frozenset[str]:
        return self.requires | (frozenset({"base_action"}) if self.also else frozenset())

    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        a = candidates(ctx, source, s, name, self.n, self.also)
        weight = ctx.formula(self.weight, f"{name}_weight", sizes={"N": 2 * self.n if self.also else self.n}, s=s, a=a)
        weight = ctx.broadcast(weight, without(a.axes, "action"), a)
        expr = call(take_by_weight, Arg(0), Arg(1), Arg(2))
        chosen = Type(without(a.axes, "particle"))
        return ctx.builder.add("Select", expr, (ctx.draw_key(f"{name}_index"), a, weight), chosen, name)

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        return backbone.random
