"""Shared by backbones that denoise actions: a network of the noisy action, its time and the observation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flowrl_dsl.algorithm import Position
from flowrl_dsl.axes import Axes, union, without
from flowrl_dsl.components.activations import activation_function
from flowrl_dsl.components.base import Backbone, Embedding, Network, Sampled, StepKernels, Widths
from flowrl_dsl.components.common import no_noise, weighted_squares
from flowrl_dsl.components.context import Context, init_params, leading, rows
from flowrl_dsl.components.embedded import network, observation_network
from flowrl_dsl.components.noisy import Guide, Noised
from flowrl_dsl.components.random_numbers import normal_numbers, uniform_numbers
from flowrl_dsl.components.step_noise import noise_at, step_noise, with_noise
from flowrl_dsl.components.stored import dense_layer
from flowrl_dsl.formula import Operation, terms
from flowrl_dsl.formulas import formulas
from flowrl_dsl.graph.builder import Value, aligned
from flowrl_dsl.graph.expr import Arg, Build, Call, Expr, Literal, build, call, kernel
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.graph.pieces import in_pieces
from flowrl_dsl.lazy import jax, jnp, nn
from flowrl_dsl.registry import Scalar, SectionKind

NOTHING: Mapping[str, Value] = MappingProxyType({})


@kernel(activation="activation")
def observation_features(sizes, activation="mish"):
    """Dense layers of the given widths, Mish after each; orthogonal kernels of gain sqrt 2, zero biases."""
    act = activation_function(activation)
    dense = dense_layer()

    class ObservationFeatures(nn.Module):
        @nn.compact
        def __call__(self, s):
            for size in sizes:
                s = act(dense(size, kernel_init=nn.initializers.orthogonal(2.0**0.5))(s))
            return s

    return ObservationFeatures()


@kernel
def denoiser(trunk, time, obs):
    """f(a_t, t, s) = trunk(a_t, time(t), obs(s)).

    ``condition`` computes the part that depends only on the observation, shared by all actions and steps; a scalar t is
    embedded as one row for any number of actions.
    """

    class Denoiser(nn.Module):
        trunk: nn.Module
        time: nn.Module
        obs: nn.Module | None

        def condition(self, s):
            return self.trunk.project({"s": s if self.obs is None else self.obs(s)})

        def __call__(self, a_t, t, s=None, conditioned=None):
            return self.trunk({"a": a_t, "t": self.time(t)}, self.condition(s) if conditioned is None else conditioned)

    return Denoiser(trunk, time, obs)


@kernel
def denoise(net, params, a_t, t, s, key=None):
    """The network's prediction at noisy actions: their noise, or their velocity.  With a key it uses dropout."""
    if key is None:
        return net.apply({"params": params}, a_t, jnp.asarray(t), s)
    return net.apply({"params": params}, a_t, jnp.asarray(t), s, rngs={"dropout": key})


@kernel(chunk="chunk")
def denoise_given(net, params, s, chunk=None):
    """f(a_t, t) for fixed observations, whose part of the network is computed once for all steps.

    With ``chunk`` the network is applied to at most that many rows at once.
    """
    conditioned = net.apply({"params": params}, s, method="condition")

    def f(a_t, t, c):
        return net.apply({"params": params}, a_t, t, conditioned=c)

    if chunk is None:
        return lambda a_t, t: f(a_t, t, conditioned)
    return lambda a_t, t: in_pieces(lambda a, c: (f(a, t, c),), (a_t, conditioned), (0, 0), (0,), chunk)[0]


@kernel(given="denoise_given")
def denoise_at(net, params, s):
    """f(a_t, t) for fixed observations."""
    return lambda a_t, t: net.apply({"params": params}, a_t, t, s)


@kernel(quick="quick")
def action_noise(key, a, quick=False):
    """Standard normal noise of the shape of the actions."""
    return normal_numbers(key, a.shape, quick)


@kernel(quick="quick")
def uniform_time(key, a, times, quick=False):
    """A time for each action, uniform between two bounds."""
    return uniform_numbers(key, a.shape[:-1], times[0], times[1], quick)


@kernel
def diffuse(a, noise, alpha, sigma):
    """a_t = alpha a + sigma noise"""
    return alpha[..., None] * a + sigma[..., None] * noise


@kernel
def guided_noise(eps, values, scale, alpha=None):
    """eps(a_t, t) - scale sigma grad V(a_t, t): the noise whose score is larger by the gradient of scale V.

    sigma = sqrt(1 - alpha(t)^2), or t where no alpha is given.
    """
    slope = jax.grad(lambda a_t, t: jnp.sum(values(a_t, t)))

    def guided(a_t, t):
        sigma = t if alpha is None else jnp.sqrt(1 - alpha(t) ** 2)
        return eps(a_t, t) - scale * sigma * slope(a_t, t)

    return guided


@kernel
def time_grid(start, end, steps):
    """The times of a sampler's steps, evenly spaced: [steps + 1]."""
    return jnp.linspace(start, end, steps + 1)


@kernel
def step_starts(times):
    """The times at which steps start, of those of their ends: [steps]."""
    return times[:-1]


class Timed(Backbone):
    """A backbone with a network of (a_t, t, s).

    The observation is embedded by layers ``obs``, the time by the component ``time``.
    """

    time: Embedding
    obs: Widths

    def module(self, ctx: Context) -> Build:
        size, name = ctx.sizes, f"{ctx.owner}_trunk"
        time, inputs = self.time.module(f"{ctx.owner}_time"), (("a", size.action), ("t", self.time.hidden))
        embedding: Any = Literal(None)
        if self.obs:
            features = build(f"{ctx.owner}_obs", observation_features, sizes=self.obs, activation="mish")
            embedding = observation_network(ctx, features)
            trunk = ctx.own.network.module(name, (*inputs, ("s", self.obs[-1])), size.action)
        else:
            trunk = network(ctx, name, (*inputs, ("s", size.obs)), size.action)
        return build(f"{ctx.owner}_net", denoiser, trunk=trunk, time=time, obs=embedding)

    def init(self, ctx: Context, key: Value) -> Value:
        zeros = [call("jnp.zeros", shape) for shape in ((1, ctx.sizes.action), (1,), (1, ctx.sizes.obs))]
        return ctx.builder.add("Init", call(init_params, self.module(ctx), Arg(0), *zeros), (key,), TREE, ctx.owner)


class Denoising(Timed):
    """A backbone that denoises; the subclass defines its prediction and the noise process."""

    def init(self, ctx: Context, key: Value) -> Value:
        params, sampler = super().init(ctx, key), ctx.own.sampler
        steps = None if sampler is None else sampler.step_kernels()
        if steps is None or steps.network is None:
            return params
        zeros = [call("jnp.zeros", shape) for shape in ((1,), (1, ctx.sizes.obs))]
        noise = call(init_params, self._noise_module(ctx, steps.network), Arg(1), *zeros)
        own = ctx.builder.key(key, f"{ctx.owner}_noise")
        return ctx.builder.add("Init", call(with_noise, Arg(0), noise), (params, own), TREE, ctx.owner)

    def raw(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value, name: str) -> Value:
        """The network's output [..., action]."""
        lead = leading(s, a_t, t)
        inputs = [params, s, a_t, t]
        args = (self.module(ctx), Arg(0), rows(2, a_t, lead), rows(3, t, lead), rows(1, s, lead))
        expr = call(denoise, *args, **ctx.dropout(ctx.own.network, inputs))
        return ctx.builder.add("Predict", expr, inputs, Type(union(lead, ("action",))), name)

    def followed(self, ctx: Context, params: Expr, s: Expr) -> Call:
        """The field of these parameters at these observations, as a function of (a_t, t)."""
        return self.field(call(denoise_at, self.module(ctx), params, s))

    def field(self, network: Call) -> Call:
        """The field followed by the sampler; ``network`` is an expression of the network as a function of (a_t, t)."""
        return network

    def _is_fitted(self, at: Position) -> bool:
        """Whether a mechanism of the policy, or a formula that reads its ``denoising_loss``, evaluates the regression."""
        blocks = [block for block in at.algorithm.improvements if block.owner == at.owner]
        if any("imitation" in block.mechanism.needs() for block in blocks):
            return True
        section = at.components[at.owner]
        assert isinstance(section, SectionKind)
        own = {*(block.label for block in blocks), at.owner, *section.kept(at.owner)}
        calls = ((path, term) for path, formula in formulas(at.components) for term in terms(formula.term))
        return any(
            isinstance(term, Operation)
            and term.function == "denoising_loss"
            and (term.source or path.partition(".")[0]) in own
            for path, term in calls
        )

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """The weighted error of the regression at noisy actions, each with its own time and noise."""
        noised = self.noised(ctx, a)
        said, truth = self.regression(ctx, params, s, a, noised)
        return weighted_squares(ctx, said, truth, weight, bound)

    def noised(self, ctx: Context, a: Value) -> Noised:
        """Noisy actions at random times."""
        t = self.drawn_time(ctx, a)
        draw = call(action_noise, Arg(0), Arg(1))
        return self.noised_at(ctx, a, ctx.builder.add("Noise", draw, (ctx.draw_key("noise"), a), a.type, "noise"), t)

    def _time(self, ctx: Context, a: Value, draw: Call) -> Value:
        """A random time for each action; ``draw`` is an expression of (key, actions)."""
        return ctx.builder.add("Noise", draw, (ctx.draw_key("t"), a), Type(leading(a)), "t")

    def _noised(self, ctx: Context, a: Value, noise: Value, alpha: Value, sigma: Value, t: Value) -> Noised:
        """a_t = alpha a + sigma noise; alpha and sigma may be the same for several actions of one state."""
        lead = without(noise.axes, "action")
        rates = (aligned(2, alpha.axes, lead), aligned(3, sigma.axes, lead))
        expr = call(diffuse, aligned(0, a.axes, noise.axes), Arg(1), *rates)
        a_t = ctx.builder.add("Diffuse", expr, (a, noise, alpha, sigma), noise.type, "a_t")
        return Noised(a_t=a_t, noise=noise, alpha=alpha, sigma=sigma, t=t)

    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        """Actions by the policy's sampler, from standard normal noise."""
        return self._sampled(ctx, params, s, ctx.normal(s, ctx.sizes.action, f"{name}_prior", particles), name)

    def mapped(self, ctx: Context, params: Value, s: Value, z: Value, name: str) -> Value:
        """The actions that the policy's sampler reaches from the noise z, without noise in its steps."""
        expr, inputs = self._sampling(ctx, ctx.own.sampler.kernel, [params, s, z])
        return ctx.builder.add("Sample", expr, inputs, z.type, name)

    def guided(self, ctx: Context, params: Value, s: Value, name: str, guide: Guide) -> Value:
        """Actions by the policy's sampler, which follows its field and the gradient of the guide."""
        prior = ctx.normal(s, ctx.sizes.action, f"{name}_prior")
        return self._sampled(ctx, params, s, prior, name, guide).action

    def guided_field(self, field: Call, values: Expr, scale: Expr) -> Call:
        """A field of predicted noise moved along scale times the gradient of values, all functions of (a_t, t)."""
        raise self._lacks("guided_draws")

    def noiseless(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """The actions that the policy's sampler reaches from zero noise."""
        return self.mapped(ctx, params, s, no_noise(ctx, s, f"{name}_noise"), name)

    @abstractmethod
    def grid(self, ctx: Context) -> tuple[Expr, ...]:
        """The times of the sampler's steps, and what else its kernel takes: a noise schedule."""

    def _sampled(
        self, ctx: Context, params: Value, s: Value, prior: Value, name: str, guide: Guide | None = None, kept: str = ""
    ) -> Sampled:
        """Actions by the policy's sampler, from noise; by its kernel ``kept`` with their chains and the noise predicted."""
        b, sampler = ctx.builder, ctx.own.sampler
        steps = sampler.step_kernels()
        function = kept or (sampler.kernel if steps is None else steps.draw)
        key = {"key": ctx.draw_key(f"{name}_steps")} if sampler.draws or steps is not None else {}
        expr, inputs = self._sampling(ctx, function, [params, s, prior], steps, key, guide=guide)
        if steps is None and not kept and not sampler.rated:
            return Sampled(b.add("Sample", expr, inputs, prior.type, name))
        drawn = b.add("Sample", expr, inputs, TREE, f"{name}_draw")
        action = b.item(drawn, 0, prior.type, name)
        each = Type(union(prior.axes, ("denoise",)))
        if kept:
            return Sampled(action, None, *(b.item(drawn, i, each, f"{name}_{what}") for i, what in KEPT))
        if steps is not None:
            return Sampled(action, chain=b.item(drawn, 1, each, f"{name}_chain"))
        return Sampled(action, b.item(drawn, 1, Type(without(prior.axes, "action")), f"{name}_log_prob"))

    def step_log_prob(self, ctx: Context, params: Value, s: Value, a: Value, chain: Value) -> Value:
        """By the policy's sampler: one call of the network for all steps."""
        steps, lead = ctx.own.sampler.step_kernels(), leading(s, a, chain)
        given = rows(2, chain, lead), aligned(3, a.axes, without(union(lead, ("action",)), "denoise"))
        expr, inputs = self._sampling(ctx, steps.log_prob, [params, s, chain, a], steps, given=given)
        return ctx.builder.add("Predict", expr, inputs, Type(union(lead, ("action",))), "step_log_prob")

    def step_entropy(self, ctx: Context, params: Value, s: Value) -> Value:
        """By the learned noise of the policy's sampler."""
        steps, axes = ctx.own.sampler.step_kernels(), Type(("denoise",))
        t = ctx.builder.add("Constant", call(step_starts, self.grid(ctx)[0]), (), axes, "step_times")
        lead, inputs = leading(s, t), [params, s, t]
        expr = call(steps.entropy, Arg(2), **self._step_options(ctx, steps, s, lead, inputs))
        return ctx.builder.add("Predict", expr, inputs, Type(union(lead, ("action",))), "step_entropy")

    def _sampling(
        self,
        ctx: Context,
        function: str,
        inputs: list[Value],
        steps: StepKernels | None = None,
        named: Mapping[str, Value] = NOTHING,
        given: tuple[Expr, ...] = (Arg(2),),
        guide: Guide | None = None,
    ) -> tuple[Call, list[Value]]:
        """A kernel of the sampler on parameters, observations and further inputs, ``given`` to it: expression and inputs."""
        sampler, s, lead = ctx.own.sampler, inputs[1], leading(*inputs[1:])
        times, *schedule = self.grid(ctx)
        field = self.followed(ctx, Arg(0), rows(1, s, lead))
        if guide is not None:
            at = len(inputs)
            inputs += [guide.params, guide.s, guide.scale]
            values = guide.function(Arg(at), rows(at + 1, guide.s, union(lead, leading(guide.s))))
            field = self.guided_field(field, values, Arg(at + 2))
        options = {"times": times, **sampler.constants()}
        for name, value in {**named, **numbers_of(ctx, sampler)}.items():
            options[name] = Arg(len(inputs))
            inputs.append(value)
        if steps is not None:
            options |= self._step_options(ctx, steps, s, lead, inputs)
        return call(function, field, *schedule, *given, **options), inputs

    def _step_options(self, ctx: Context, steps: StepKernels, s: Value, lead: Axes, inputs: list[Value]) -> dict[str, Expr]:
        """What only the kernels of steps take: numbers, as further ``inputs``, and the network of their noise."""
        options: dict[str, Expr] = {name: ctx.argument(getattr(ctx.own.sampler, name), inputs) for name in steps.numbers}
        if steps.network is not None:
            options["noise"] = call(noise_at, self._noise_module(ctx, steps.network), Arg(0), rows(1, s, lead))
        return options

    def _noise_module(self, ctx: Context, net: Network) -> Build:
        inputs = (("t", self.time.hidden), ("s", ctx.sizes.obs))
        net_module = net.module(f"{ctx.owner}_noise", inputs, ctx.sizes.action)
        return build(f"{ctx.owner}_step_noise", step_noise, net=net_module, time=self.time.module(f"{ctx.owner}_time"))


KEPT = ((1, "chain"), (2, "eps"))
"""What the kernel ``kept`` of a sampler returns behind the actions."""


def numbers_of(ctx: Context, sampler: Any) -> dict[str, Value]:
    """The options of a sampler that are inputs of its kernels."""
    given = {name: getattr(sampler, name) for name in sampler.numbers}
    return {name: ctx.scalar(number) for name, number in given.items() if number is not None}
