"""Euler steps along a velocity field with noise of learned size."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from flowrl_dsl.components.base import Network, Sampler, StepKernels
from flowrl_dsl.components.densities import log_normal_by_component, reached
from flowrl_dsl.components.random_numbers import normal_numbers
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def euler_mean(a_t, velocity, length, clip=None):
    """a_t + h v, clipped to [-clip, clip]."""
    mean = a_t + length * velocity
    return mean if clip is None else jnp.clip(mean, -clip, clip)


@kernel
def euler_means(velocity, a_0, times, clip=None):
    """Actions by steps ``euler_mean`` without noise, from each time to the next."""

    def step(a_t, now):
        t, u = now
        return euler_mean(a_t, velocity(a_t, t), u - t, clip), None

    return jax.lax.scan(step, a_0, (times[:-1], times[1:]))[0]


@kernel
def noise_between(w, low, high):
    """low^(1 - x) high^x with x = (1 + tanh w) / 2: a standard deviation between the two."""
    x = (1 + jnp.tanh(w)) / 2
    return jnp.exp((1 - x) * jnp.log(low) + x * jnp.log(high))


@kernel(quick="quick")
def noisy_euler_chain(velocity, a_0, key, times, noise, low, high, clip=None, quick=False):
    """Actions by steps ``euler_mean``, each with noise of the standard deviation ``noise_between``.

    Returns them, and the actions [..., denoise, action] from which each step started.
    """

    def step(a_t, now):
        t, u, key = now
        mean = euler_mean(a_t, velocity(a_t, t), u - t, clip)
        return mean + noise_between(noise(t), low, high) * normal_numbers(key, a_t.shape, quick), a_t

    keys = jax.random.split(key, times.shape[0] - 1)
    a, chain = jax.lax.scan(step, a_0, (times[:-1], times[1:], keys))
    return a, jnp.moveaxis(chain, 0, -2)


@kernel
def noisy_euler_log_prob(velocity, chain, a, times, noise, low, high, clip=None):
    """log N(a_u; mean, std^2) of each step and component of a ``noisy_euler_chain`` that ended at a: [..., denoise, action].

    The steps have the times at which they were drawn.
    """
    t, length = times[:-1], (times[1:] - times[:-1])[:, None]
    mean = euler_mean(chain, velocity(chain, t), length, clip)
    return log_normal_by_component(reached(chain, a), mean, noise_between(noise(t), low, high))


@kernel
def noisy_euler_entropy(t, noise, low, high):
    """log(std sqrt(2 pi e)) of each step, starting at the times t, and component: [..., denoise, action]."""
    return jnp.log(noise_between(noise(t), low, high)) + 0.5 * jnp.log(2 * jnp.pi * jnp.e)


@register
class NoisyEuler(Sampler):
    """``a_u ~ N(a_t + (u - t) v(a_t, t), std(t, s)^2)``, the mean clipped; a network learns the size of the noise.

    ``std = low^(1 - x) high^x``, ``x = (1 + tanh w(t, s)) / 2``: each component of a step has a standard deviation of its
    own, between ``low`` and ``high``.  The network w belongs to the parameters of the policy; it has features of the time of
    its own, of the kind of the backbone's.  A ratio of densities of steps trains it, not a regression of the velocity.
    Only the mean of an action is bounded.

    Without noise, the first one included, the steps are those of ``euler``: so acts ``zero_noise``.
    """

    name = "noisy_euler"
    paper: ClassVar[str] = "arXiv:2505.22094"
    provides = frozenset({"flow_sampler", "step_log_prob", "step_entropy", "zero_noise"})
    requires = frozenset({"flow_field"})

    steps: int = Field(4, ge=1, description="steps K from noise to action")
    low: Scalar = option("smallest standard deviation of a step", "0.1", POSITIVE)
    high: Scalar = option("greatest standard deviation of a step", "0.24", POSITIVE)
    network: Network = option("network of the noise", "mlp([64, 64], activation = tanh, head = 0.01)")
    clip: Scalar | None = option("bound on the mean of each step; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "euler_means"
    draws: ClassVar[bool] = False
    order: ClassVar[int | None] = 1

    def step_kernels(self) -> StepKernels:
        numbers = ("low", "high")
        return StepKernels("noisy_euler_chain", "noisy_euler_log_prob", numbers, self.network, "noisy_euler_entropy")
