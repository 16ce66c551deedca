"""Ensemble of Gaussian distributions of returns."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Future
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.ensembles import Distributional, of_lowest_member, over_members
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Partial, call, kernel, partial
from flowrl_dsl.graph.nodes import SCALAR, TREE
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, UNIT, Scalar, option, register


@kernel
def return_mean(outputs):
    """Mean of the return: the first output."""
    return outputs[..., 0]


@kernel
def return_std(outputs):
    """Standard deviation of the return: softplus of the second output."""
    return jax.nn.softplus(outputs[..., 1])


@kernel
def random_return(key, outputs, q, y, keep):
    """y + keep std z, z standard normal, std that of the member with the lowest mean: a return drawn around y."""
    std = of_lowest_member(return_std(outputs), q)
    return y + keep * std * jax.random.normal(key, y.shape)


@kernel
def no_spread(members):
    """The initial averages of the standard deviation and the variance: zeros."""
    return {"std": jnp.zeros(members), "variance": jnp.zeros(members)}


@kernel
def averaged_spread(spread, std, rate):
    """Each member's moving averages updated by a batch [E, B]; the first batch sets them."""
    now = {"std": jnp.mean(std, axis=-1), "variance": jnp.mean(jnp.square(std), axis=-1)}
    return {name: jnp.where(old > 0, old + rate * (now[name] - old), now[name]) for name, old in spread.items()}


@kernel
def gaussian_return_loss(outputs, y, z, spread, rate, clip, floor, reduction):
    """A loss with the gradients of DSAC-T, and the new averages of std (b) and variance (omega) that scale them:

    for the mean -(omega + floor) (y - mean) / (std^2 + floor), for the standard deviation
    -(omega + floor) (clip(z - mean, -clip b, clip b)^2 - std^2) / (std^3 + floor); y and z are [B].
    """
    mean, std = return_mean(outputs), return_std(outputs)
    fixed_mean, fixed_std = jax.lax.stop_gradient(mean), jax.lax.stop_gradient(std)
    spread = averaged_spread(spread, fixed_std, rate)
    bound = clip * spread["std"][:, None]
    error = jnp.clip(z - fixed_mean, -bound, bound)
    by_mean = (y - fixed_mean) / (jnp.square(fixed_std) + floor)
    by_std = (jnp.square(error) - jnp.square(fixed_std)) / (fixed_std**3 + floor)
    losses = -(spread["variance"] + floor) * jnp.mean(by_mean * mean + by_std * std, axis=-1)
    return over_members(losses, reduction), spread


@register
class Gaussian(Distributional):
    """``Z_e(s, a) = N(mean_e, std_e^2)``, std by softplus; the value is the mean.  Losses of DSAC-T.

    The mean follows y.  The standard deviation follows a random return z = y + discount (1 - d) std' noise, std' that of
    the target copy's member with the lowest mean at (s', a').  With omega and b moving averages of std^2 and std, the
    gradients are ``-(omega + floor) (y - mean) / (std^2 + floor)`` and
    ``-(omega + floor) (c^2 - std^2) / (std^3 + floor)``, c = z - mean limited to [-clip b, clip b].
    Only the gradients of the reported loss are meaningful, not its value.
    """

    name = "gaussian"
    paper = "arXiv:2310.05858"
    provides = frozenset({"q_value", "energy", "value_distribution"})

    heads: ClassVar[int] = 2

    clip: Scalar = option("bound on |z - mean|, in average standard deviations", "3", POSITIVE)
    rate: Scalar = option("rate of the moving averages of the standard deviation and the variance", "0.005", UNIT)
    floor: Scalar = option("added to bound the gradients for small standard deviations", "0.1", POSITIVE)

    def mean(self) -> Partial:
        return partial(return_mean)

    def memory(self, ctx: Context, members: int) -> dict[str, Value]:
        name = f"{ctx.owner}_spread"
        return {name: ctx.builder.add("Init", call(no_spread, members), (), TREE, name)}

    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        b = ctx.builder
        outputs = self.fitted(ctx, params, s, a)
        inputs = [outputs, y, self._random_return(ctx, y, future), ctx.versions[f"{ctx.owner}_spread"]]
        inputs += [ctx.scalar(number) for number in (self.rate, self.clip, self.floor)]
        expr = call(gaussian_return_loss, *map(Arg, range(7)), reduction=reduction)
        fit = b.add("Loss", expr, inputs, TREE, "fit")
        spread = b.item(fit, 1, TREE, "spread")
        std = b.add("Reduce", call("jnp.mean", call(return_std, Arg(0))), (outputs,), SCALAR, "return_std")
        ctx.metric("return_std", std)
        return b.item(fit, 0, SCALAR, "loss"), {f"{ctx.owner}_spread": spread}

    def _random_return(self, ctx: Context, y: Value, future: Future) -> Value:
        outputs, q = self.judged(ctx, future)
        inputs = (ctx.draw_key("return"), outputs, q, y, future.keep)
        drawn = ctx.builder.add("Noise", call(random_return, *map(Arg, range(5))), inputs, y.type, "random_return")
        return ctx.builder.stop(drawn, "z")
