"""Adjoint matching: a flow learns to move against the costate of another flow's path, without gradients through the path."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from flowrl_dsl.components.base import Loss, Mechanism
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, TREE, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import Drawn, Formula, Slot, option, register, slot

SLOPE = Slot(
    result=("batch", "action"),
    values={"s": ("batch", "obs"), "a": ("batch", "action")},
    functions=("Q", "Q_target"),
    sizes={"A": "action"},
)


@kernel
def step_times(x):
    """The times k / K of the states of a path: [batch, denoise]."""
    steps = x.shape[-2]
    return jnp.broadcast_to(jnp.arange(steps) / steps, x.shape[:-1])


@kernel
def memoryless_noise(t, h):
    """sigma = sqrt(2 (1 - t + h) / (t + h)), with which the end of a path does not depend on its beginning."""
    return jnp.sqrt(2 * (1 - t + h) / (t + h))


@kernel(quick="quick")
def memoryless_path(tuned, base, x_0, key, steps, quick=False):
    """The states x_0 ... x_{K-1} [..., denoise, action] of a path, and its end x_K [..., action], h = 1 / K:

        x_{k+1} = x_k + h (2 v(x_k, t) - x_k / (t + h)) + sqrt(h) sigma z,    t = k h

    v is the tuned field.  The last step is x + h v_b(x, t), v_b the field of the base, without noise.
    """
    h, times = 1 / steps, jnp.arange(steps) / steps

    def step(x, now):
        t, key = now
        drift = 2 * tuned(x, t) - x / (t + h)
        return x + h * drift + jnp.sqrt(h) * memoryless_noise(t, h) * normal_numbers(key, x.shape, quick), x

    x, before = jax.lax.scan(step, x_0, (times[:-1], jax.random.split(key, steps - 1)))
    states = jnp.concatenate([before, x[None]])
    return jnp.moveaxis(states, 0, -2), x + h * base(x, times[-1])


@kernel
def lean_adjoint(base, x, slope):
    """The costates of the states x [..., denoise, action] of a path whose end has the costate -slope:

    lambda_k = lambda_{k+1} + h (2 dv_b/dx - I / (t + h))^T lambda_{k+1}, v_b at (x_k, t + h): one vjp a step.
    """
    steps = x.shape[-2]
    h = 1 / steps

    def back(costate, now):
        x_k, t = now
        _, pull = jax.vjp(lambda x: 2 * base(x, t + h) - x / (t + h), x_k)
        costate = costate + h * pull(costate)[0]
        return costate, costate

    _, found = jax.lax.scan(back, -slope, (jnp.moveaxis(x, -2, 0), jnp.arange(steps) / steps), reverse=True)
    return jnp.moveaxis(found, 0, -2)


@kernel
def adjoint_error(v, v_base, costate, t):
    """E_batch[sum_k |2 (v - v_base) / sigma_k + sigma_k lambda_k|^2]"""
    sigma = memoryless_noise(t, 1 / t.shape[-1])[..., None]
    return jnp.mean(jnp.sum(jnp.square(2 * (v - v_base) / sigma + sigma * costate), axis=(-2, -1)))


@register
class AdjointMatching(Mechanism):
    """``E[sum_k |2 (v(x_k, t_k) - v_b(x_k, t_k)) / sigma_k + sigma_k lambda_k|^2]`` on K states of a path of the policy.

    v is the velocity of the policy, v_b that of a base policy.  The path starts from standard normal noise and has the
    noise ``sigma = sqrt(2 (1 - t + h) / (t + h))`` on each step but the last.  lambda is minus ``slope`` at its end, and
    goes back along it through the linearised base alone.  Path and lambda are constants: no gradient flows through a step.

    With ``slope = grad Q / temperature``, the best v draws from the density of the base times exp(Q / temperature).  As in
    the authors' code the base is linearised at the end of each step, and the last step follows the base.
    """

    name = "adjoint_matching"
    paper = "arXiv:2601.14234"
    requires = frozenset({"flow_field"})
    of_source = MappingProxyType({"steps": frozenset({"flow_field"})})
    samples_source: ClassVar[bool] = False

    steps: Drawn[int] = option("number of steps K of a path, and the base policy")
    slope: Formula = slot("gradient at the end a of a path, which is not clipped", SLOPE)

    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        b = ctx.builder
        x, end = self._path(ctx, s)
        slope = b.stop(ctx.formula(self.slope, "slope", s=s, a=end), "fixed_slope")
        slope = ctx.broadcast(slope, ("batch", "action"), end)
        base, params, seen = ctx.actor(self.steps.source, s)
        params = b.stop(params, "base_params")
        field = base.own.backbone.followed(base, Arg(0), Arg(1))
        costate = b.add("Predict", call(lean_adjoint, field, Arg(2), Arg(3)), (params, seen, x, slope), x.type, "costate")
        t = b.add("Weights", call(step_times, Arg(0)), (x,), Type(("batch", "denoise")), "t")
        anchor = base.own.backbone.velocity(base, params, seen, x, t)
        own, *trained = ctx.in_training().actor(ctx.owner, s)
        said = own.own.backbone.velocity(own, *trained, x, t)
        constants = (b.stop(anchor, "base_velocity"), b.stop(costate, "fixed_costate"), t)
        return Loss(b.add("Loss", call(adjoint_error, *map(Arg, range(4))), (said, *constants), SCALAR, "loss"))

    def _path(self, ctx: Context, s: Value) -> tuple[Value, Value]:
        """The states [batch, denoise, action] and the end [batch, action] of a path of the policy, constants."""
        b, size = ctx.builder, ctx.sizes.action
        x_0 = ctx.normal(s, size, "path_start")
        pairs = [ctx.actor(source, s) for source in (ctx.owner, self.steps.source)]
        fields = [one.own.backbone.followed(one, Arg(2 * i), Arg(2 * i + 1)) for i, (one, *_) in enumerate(pairs)]
        inputs = [value for _, params, seen in pairs for value in (b.stop(params, "path_params"), seen)]
        inputs += [x_0, ctx.draw_key("path")]
        path = b.add("Sample", call(memoryless_path, *fields, Arg(4), Arg(5), self.steps.value), inputs, TREE, "path")
        return b.item(path, 0, Type(("batch", "denoise", "action")), "states"), b.item(path, 1, x_0.type, "end")
