"""Continuous-time variance-preserving diffusion with noise prediction."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from flowrl_dsl.axes import union
from flowrl_dsl.components.activations import mish
from flowrl_dsl.components.base import Backbone, Draw, Embedding, Noised, NoiseSchedule
from flowrl_dsl.components.context import Context, init_params, leading, rows
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, Build, Literal, build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lazy import jax, jnp, nn
from flowrl_dsl.registry import option, register


@kernel
def observation_features(sizes):
    """Dense layers of the given widths, Mish after each; orthogonal kernels of gain sqrt 2, zero biases."""

    class ObservationFeatures(nn.Module):
        @nn.compact
        def __call__(self, s):
            for size in sizes:
                s = mish(nn.Dense(size, kernel_init=nn.initializers.orthogonal(2.0**0.5))(s))
            return s

    return ObservationFeatures()


@kernel
def denoiser(trunk, time, obs):
    """eps(a_t, t, s) = trunk(a_t, time(t), obs(s)).

    ``condition`` gives the observation's part of the trunk's first layer, which all actions and steps share; a scalar t
    is embedded as one row, whatever the number of actions.
    """

    class Denoiser(nn.Module):
        trunk: nn.Module
        time: nn.Module
        obs: nn.Module | None

        def condition(self, s):
            return self.trunk.project({"s": s if self.obs is None else self.obs(s)})

        def __call__(self, a_t, t, s=None, conditioned=None):
            conditioned = self.condition(s) if conditioned is None else conditioned
            return self.trunk({"a": a_t, "t": self.time(t)}, conditioned)

    return Denoiser(trunk, time, obs)


@kernel
def denoise(net, params, a_t, t, s):
    """The predicted noise of noisy actions."""
    return net.apply({"params": params}, a_t, t, s)


@kernel
def denoise_given(net, params, s):
    """eps(a_t, t) for fixed observations, whose part of the network is computed once."""
    conditioned = net.apply({"params": params}, s, method="condition")
    return lambda a_t, t: net.apply({"params": params}, a_t, t, conditioned=conditioned)


@kernel
def uniform_time(key, a, times):
    """A diffusion time for each action, uniform between the ends of the schedule."""
    return jax.random.uniform(key, a.shape[:-1], minval=times[0], maxval=times[1])


@kernel
def action_noise(key, a):
    """Standard normal noise of the shape of the actions."""
    return jax.random.normal(key, a.shape)


@kernel
def sigma_of(alpha):
    """sigma = sqrt(1 - alpha^2)"""
    return jnp.sqrt(1 - alpha**2)


@kernel
def diffuse(a, noise, alpha, sigma):
    """a_t = alpha a + sigma noise"""
    return alpha[..., None] * a + sigma[..., None] * noise


@register
class Diffusion(Backbone):
    """Variance-preserving diffusion policy: ``a_t = alpha_t a + sigma_t noise``, a network predicts the noise.

    The score of the noisy actions is ``-eps(a_t, t, s) / sigma_t``.  Actions are drawn by the policy's sampler.  The
    observation passes through an embedding (layers ``obs``), the time through the component ``time``.
    """

    name = "diffusion"
    paper: ClassVar[str] = "arXiv:2011.13456"
    provides = frozenset({"noise_process", "noise_prediction", "reparameterized"})
    requires = frozenset({"diffusion_sampler"})

    schedule: NoiseSchedule = option("alpha_t and sigma_t", "cosine")
    time: Embedding = option("features of the diffusion time", "fourier(64)")
    obs: tuple[int, ...] = Field((128, 128), description="layers of the observation embedding; [] for none")

    def module(self, ctx: Context) -> Build:
        network, size = ctx.policy.network, ctx.sizes
        embedding: Any = build("obs_embedding", observation_features, sizes=self.obs) if self.obs else Literal(None)
        features = self.obs[-1] if self.obs else size.obs
        time = self.time.module("time_embedding")
        inputs = (("a", size.action), ("t", self.time.hidden), ("s", features))
        trunk = network.module("policy_trunk", inputs, size.action)
        return build("policy_net", denoiser, trunk=trunk, time=time, obs=embedding)

    def init(self, ctx: Context, key: Value) -> Value:
        zeros = [call("jnp.zeros", shape) for shape in ((1, ctx.sizes.action), (1,), (1, ctx.sizes.obs))]
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), *zeros), (key,), TREE, "policy")

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """eps(a_t, t, s)."""
        lead = leading(s, a_t, t)
        args = (self.module(ctx), Arg(0), rows(2, a_t, lead), rows(3, t, lead), rows(1, s, lead))
        return ctx.builder.add("Predict", call(denoise, *args), (params, s, a_t, t), Type(union(lead, ("action",))), "eps")

    def noised(self, ctx: Context, a: Value) -> Noised:
        """Noisy actions at random times: t ~ U(t_min, t_max), a_t = alpha_t a + sigma_t noise."""
        b, schedule = ctx.builder, self.schedule
        lead = leading(a)
        times = (schedule.t_min, schedule.t_max)
        t = b.add("Noise", call(uniform_time, Arg(0), Arg(1), times=times), (ctx.draw_key("t"), a), Type(lead), "t")
        noise = b.add("Noise", call(action_noise, Arg(0), Arg(1)), (ctx.draw_key("noise"), a), a.type, "noise")
        rate = schedule.alpha()
        alpha = b.add("NoiseSchedule", call(rate.function, Arg(0), **dict(rate.kwargs)), (t,), t.type, "alpha")
        sigma = b.add("NoiseSchedule", call(sigma_of, Arg(0)), (alpha,), t.type, "sigma")
        a_t = b.add("Diffuse", call(diffuse, *map(Arg, range(4))), (a, noise, alpha, sigma), a.type, "a_t")
        return Noised(a_t=a_t, noise=noise, alpha=alpha, sigma=sigma, t=t)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Draw:
        """Actions by the policy's sampler, from standard normal noise."""
        sampler, schedule = ctx.policy.sampler, self.schedule
        prior = ctx.normal(s, ctx.sizes.action, f"{name}_prior", particles)
        inputs = [params, s, prior]
        options: dict[str, Any] = {"steps": sampler.steps, "times": (schedule.t_min, schedule.t_max)}
        for option_name, value in self._sampler_inputs(ctx, sampler, name).items():
            options[option_name] = Arg(len(inputs))
            inputs.append(value)
        eps = call(denoise_given, self.module(ctx), Arg(0), rows(1, s, leading(s, prior)))
        expr = call(sampler.kernel, eps, schedule.alpha(), Arg(2), **options)
        return Draw(ctx.builder.add("Sample", expr, inputs, prior.type, name))

    def _sampler_inputs(self, ctx: Context, sampler: Any, name: str) -> dict[str, Value]:
        found = {"key": ctx.draw_key(f"{name}_steps")} if sampler.draws else {}
        return found if sampler.clip is None else {**found, "clip": ctx.scalar(sampler.clip)}
