"""Noisy actions: with their parts, after a denoising step, and what a sampler follows at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Expr


@dataclass(frozen=True)
class Noised:
    """Noisy actions and their components: a_t = alpha a + sigma noise; a_t and noise [..., action], the others [...]."""

    a_t: Value
    noise: Value
    alpha: Value
    sigma: Value
    t: Value

    def values(self) -> dict[str, Value]:
        return {"a_t": self.a_t, "noise": self.noise, "alpha": self.alpha, "sigma": self.sigma, "t": self.t}


NOISED = MappingProxyType(
    {**dict.fromkeys(("a_t", "noise"), ("batch", "action")), **dict.fromkeys(("alpha", "sigma", "t"), ("batch",))}
)
"""The axes of :meth:`Noised.values` in formulas, one noisy action per transition."""


@dataclass(frozen=True)
class Step:
    """Denoising steps from ``noised`` to ``a_less`` [..., particle, action], several draws of each; the others [...].

    They end at the time ``t_less``; ``last`` is 1 where no step follows, else 0.  ``kl_weight`` |e - e'|^2 is the divergence
    of two steps with the predicted noises e and e'.
    """

    noised: Noised
    a_less: Value
    t_less: Value
    last: Value
    kl_weight: Value

    def values(self) -> dict[str, Value]:
        step = {"a_less": self.a_less, "t_less": self.t_less, "last": self.last, "kl_weight": self.kl_weight}
        return self.noised.values() | step


STEP = MappingProxyType(
    {"a_less": ("batch", "particle", "action"), **dict.fromkeys(("t_less", "last", "kl_weight"), ("batch",))}
)
"""The axes of what a step adds to the values of formulas."""


@dataclass(frozen=True)
class Guide:
    """Values of noisy actions that steps of a sampler follow: ``scale`` times their gradient.

    ``function`` makes an expression of (a_t, t) from those of parameters and observations.
    """

    function: Callable[[Expr, Expr], Expr]
    params: Value
    s: Value
    scale: Value
