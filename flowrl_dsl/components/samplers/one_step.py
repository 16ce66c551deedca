"""One step from pure noise to the action."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.lazy import jnp
from flowrl_dsl.registry import POSITIVE, Scalar, option, register


@kernel
def one_step(field, *process, times, clip=None):
    """The action of a single prediction at the first time; ``process`` ends with the initial noise z.

    For a flow, v is the velocity: a = z + (u - t) v(z, t).  For a variance-preserving process, with alpha before z, eps
    is the noise: a = (z - sigma_t eps(z, t)) / alpha_t.  The result is clipped.
    """
    *schedule, z = process
    t, u = times[0], times[-1]
    if schedule:
        kept = schedule[0](t)
        a = (z - jnp.sqrt(1 - kept**2) * field(z, t)) / kept
    else:
        a = z + (u - t) * field(z, t)
    return a if clip is None else jnp.clip(a, -clip, clip)


@register
class OneStep(Sampler):
    """The clean action predicted from noise z: ``a = z + v(z, 0)``, or ``a = (z - sigma eps(z, t)) / alpha`` at t_max.

    One network call.  The prediction from noise alone is a mean of actions: samples have less variance than the training
    actions, unless the network is trained through this sampler, or its paths are straight.
    """

    name = "one_step"
    paper: ClassVar[str] = "arXiv:2209.03003"
    provides = frozenset({"diffusion_sampler", "flow_sampler", "one_step_sampler", "noise_map", "zero_noise"})
    requires = frozenset({"noise_process"})

    steps: ClassVar[int] = 1
    clip: Scalar | None = option("bound on the sampled action; none for unbounded", "1.0", POSITIVE)

    kernel: ClassVar[str] = "one_step"
    draws: ClassVar[bool] = False
