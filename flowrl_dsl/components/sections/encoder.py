"""Section ``encoder``: embeddings of states and of state-action pairs as further inputs of policy and critic."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.base import Network
from flowrl_dsl.components.changing import Optimizer, Target
from flowrl_dsl.components.context import Context, init_params, leading, rows
from flowrl_dsl.components.first_layer import unit_size
from flowrl_dsl.components.section import Encoder
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, build, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax, jnp, nn
from flowrl_dsl.registry import Copy, option, register


@kernel
def state_action_encoder(state, pair):
    """z(s) = unit_size(f(s)) by ``embed``, and z(s, a) = g(z(s), a)."""

    class StateActionEncoder(nn.Module):
        state: nn.Module
        pair: nn.Module

        def embed(self, s):
            return unit_size(self.state({"s": s}))

        def __call__(self, s, a):
            return self.pair({"z": self.embed(s), "a": a})

    return StateActionEncoder(state, pair)


@kernel
def state_embedding(net, params, s):
    """z(s)."""
    return net.apply({"params": params}, s, method="embed")


@kernel
def pair_embedding(net, params, s, a):
    """z(s, a)."""
    return net.apply({"params": params}, s, a)


@kernel
def prediction_error(net, params, s, a, s_next, key=None):
    """Mean of (z(s, a) - z(s_next))^2, z(s_next) constant.  With a key, z(s, a) uses dropout."""
    ahead = jax.lax.stop_gradient(state_embedding(net, params, s_next))
    said = net.apply({"params": params}, s, a, rngs=None if key is None else {"dropout": key})
    return jnp.mean(jnp.square(said - ahead))


@kernel
def joined(x, z):
    """x and z concatenated; x is repeated along the leading axes of z."""
    return jnp.concatenate([jnp.broadcast_to(x, (*z.shape[:-1], x.shape[-1])), z], axis=-1)


@register
class EncoderSection(Encoder):
    """``z(s, a)`` is trained to predict ``z(s_next)``; policy and critic read z(s), the critic also z(s, a).

    Each network has a linear layer u for what is not an embedding, its output divided by its mean magnitude: the policy is
    f(u(s), z(s)), a member of the critic Q(u(s, a), z(s), z(s, a)).  With ``input_layer = none`` they are f(s, z(s)) and
    Q(s, a, z(s), z(s, a)).

    Policy and critic read ``encoder_fixed``, their targets ``encoder_target``; at each refresh ``encoder_target <-
    encoder_fixed`` and ``encoder_fixed <- encoder``.
    """

    name = "encoder"
    stage = 10
    paper: ClassVar[str] = "arXiv:2306.02451"
    requires = frozenset({"reparameterized"})
    copies = (
        Copy("target", "{}_fixed", "{}_fixed", "copy(every = 250)"),
        Copy("target", "{}_target", "{}_target", "copy(every = 250)"),
    )

    size: int = Field(256, ge=1, description="dimension of an embedding")
    input_layer: int | None = Field(
        256, ge=2, description="width of the layers u of policy and critic; none to leave them out"
    )
    network: Network = option("network of each of the two encoders", "mlp([256, 256], activation = elu)")
    optimizer: Optimizer = option("optimizer of the parameters", "adam(3e-4)")
    target: Target = option("update rule of the copies", "copy(every = 250)")

    @property
    def input_width(self) -> int | None:
        return self.input_layer

    def module(self, ctx: Context) -> Build:
        state = self.network.module("state_encoder", (("s", ctx.sizes.obs),), self.size)
        pair = self.network.module("pair_encoder", (("z", self.size), ("a", ctx.sizes.action)), self.size)
        return build("encoder_net", state_action_encoder, state=state, pair=pair)

    def init(self, ctx: Context, key: Value) -> dict[str, Value]:
        zeros = [call("jnp.zeros", (1, size)) for size in (ctx.sizes.obs, ctx.sizes.action)]
        params = ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), *zeros), (key,), TREE, "encoder")
        copies = {"encoder_fixed": params, "encoder_target": params}
        return {"encoder": params, "encoder_opt": self.optimizer.init(ctx, params, "encoder_opt"), **copies}

    def update(self, ctx: Context, batch: dict[str, Value]) -> dict[str, Value]:
        """The new versions after one gradient step on the prediction loss."""
        inputs = [ctx.versions["encoder"], batch["s"], batch["a"], batch["s_next"]]
        dropout = ctx.in_training().dropout(self.network, inputs)
        expr = call(prediction_error, self.module(ctx), *map(Arg, range(4)), **dropout)
        return ctx.descend("encoder", ctx.builder.add("Loss", expr, inputs, SCALAR, "loss"), self.optimizer)

    def follows(self, owner: str) -> dict[str, str]:
        return {"encoder_fixed": "encoder", "encoder_target": "encoder_fixed"}

    def copy_read_by(self, source: str) -> str:
        return "encoder_target" if source.endswith("_target") else "encoder_fixed"

    def with_state(self, ctx: Context, params: Value, s: Value) -> Value:
        """[s, z(s)]: [..., obs]."""
        z = ctx.builder.add("Embed", call(state_embedding, self.module(ctx), Arg(0), Arg(1)), (params, s), s.type, "z_s")
        return ctx.builder.add("Embed", call(joined, Arg(0), Arg(1)), (s, z), s.type, "s_and_z")

    def with_pair(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """[a, z(s, a)]: [..., action] over the axes of s and a."""
        lead = leading(s, a)
        type = Type(union(lead, ("action",)))
        expr = call(pair_embedding, self.module(ctx), Arg(0), rows(1, s, lead), rows(2, a, lead))
        z = ctx.builder.add("Embed", expr, (params, s, a), type, "z_sa")
        return ctx.builder.add("Embed", call(joined, rows(0, a, lead), Arg(1)), (a, z), type, "a_and_z")
