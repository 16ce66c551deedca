"""The size of the noise of a sampler's steps, learned by a network beside the one that denoises."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import nn

PART = "noise"
"""Where the parameters of a policy contain those of its noise; what is beside them is the denoising network's."""


@kernel
def step_noise(net, time):
    """w(t, s) = net(time(t), s): [..., action] for times [...] and observations [..., obs]."""

    class StepNoise(nn.Module):
        net: nn.Module
        time: nn.Module

        def __call__(self, t, s):
            return self.net({"t": self.time(t), "s": s})

    return StepNoise(net, time)


@kernel
def with_noise(params, noise):
    """The parameters of a denoising network, and those of the noise of its sampler's steps."""
    return {**params, "noise": noise}


@kernel
def noise_at(net, params, s):
    """w(t) for fixed observations."""
    return lambda t: net.apply({"params": params["noise"]}, t, s)
