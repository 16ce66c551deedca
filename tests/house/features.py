"""An encoder with a loss of its own: features of states and actions from which the reward is predicted."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.changing import Optimizer
from flowrl_dsl.components.context import Context, leading, rows
from flowrl_dsl.components.section import Encoder
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import option, register


@kernel
def init_features(key, obs, action, size):
    """Two matrices of features, and the weights of the reward."""
    one, two, three = jax.random.split(key, 3)
    return {
        "s": jax.random.normal(one, (obs, size)) / obs**0.5,
        "a": jax.random.normal(two, (obs + action, size)) / (obs + action) ** 0.5,
        "r": jax.random.normal(three, (size,)) / size**0.5,
    }


@kernel
def beside_state(params, s):
    """[s, tanh(s W)]"""
    return jnp.concatenate([s, jnp.tanh(s @ params["s"])], axis=-1)


@kernel
def pair_features(params, s, a):
    """tanh([s, a] W)"""
    lead = jnp.broadcast_shapes(s.shape[:-1], a.shape[:-1])
    both = [jnp.broadcast_to(x, (*lead, x.shape[-1])) for x in (s, a)]
    return jnp.tanh(jnp.concatenate(both, axis=-1) @ params["a"])


@kernel
def beside_action(params, s, a):
    """[a, tanh([s, a] W)]"""
    z = pair_features(params, s, a)
    return jnp.concatenate([jnp.broadcast_to(a, (*z.shape[:-1], a.shape[-1])), z], axis=-1)


@kernel
def reward_error(params, s, a, r):
    """E[(tanh([s, a] W) w - r)^2], and a pull of the features of s towards nothing."""
    pull = jnp.mean(jnp.square(jnp.tanh(s @ params["s"])))
    return jnp.mean(jnp.square(pair_features(params, s, a) @ params["r"] - r)) + 1e-3 * pull


@register
class Features(Encoder):
    """phi(s) and phi(s, a), trained to predict the reward; policies and critics read the newest ones."""

    name = "features"
    stage = 5

    size: int = Field(4, ge=1, description="features")
    optimizer: Optimizer = option("turns gradients into parameters", "adam(3e-4)")

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        sizes = {"obs": ctx.sizes.obs, "action": ctx.sizes.action, "size": self.size}
        params = ctx.builder.add("Init", call(init_features, Arg(0), **sizes), (key,), TREE, ctx.owner)
        return {ctx.owner: params, f"{ctx.owner}_opt": self.optimizer.init(ctx, params, f"{ctx.owner}_opt")}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        inputs = (ctx.versions[ctx.owner], batch["s"], batch["a"], batch["r"])
        loss = ctx.builder.add("Loss", call(reward_error, *map(Arg, range(4))), inputs, SCALAR, "loss")
        return ctx.descend(ctx.owner, loss, self.optimizer)

    def copy_read_by(self, source: str) -> str:
        return "features"

    def with_state(self, ctx: Context, params: Value, s: Value) -> Value:
        return ctx.builder.add("Embed", call(beside_state, Arg(0), Arg(1)), (params, s), s.type, "s_and_features")

    def with_pair(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        lead = leading(s, a)
        expr = call(beside_action, Arg(0), rows(1, s, lead), rows(2, a, lead))
        return ctx.builder.add("Embed", expr, (params, s, a), Type(union(lead, ("action",))), "a_and_features")
