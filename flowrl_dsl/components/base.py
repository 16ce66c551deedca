"""Contracts of the component families: what each family must offer to the rest of a compiled step."""

from __future__ import annotations

from typing import ClassVar

from flowrl_dsl.registry import Component


class Section(Component):
    """A braced section of a spec."""

    family: ClassVar[str] = "section"


class Regime(Component):
    """Where data comes from and how one step is put together."""

    family: ClassVar[str] = "regime"


class Backbone(Component):
    """What kind of distribution the policy is."""

    family: ClassVar[str] = "backbone"


class Sampler(Component):
    """How actions are drawn from an iterative backbone."""

    family: ClassVar[str] = "sampler"


class NoiseSchedule(Component):
    """alpha_t and sigma_t of a forward process a_t = alpha_t a + sigma_t noise."""

    family: ClassVar[str] = "noise_schedule"


class Network(Component):
    """A feed-forward network with named inputs."""

    family: ClassVar[str] = "network"


class Embedding(Component):
    """Features of the diffusion or flow time."""

    family: ClassVar[str] = "embedding"


class Critic(Component):
    """How action values are represented and fitted to their targets."""

    family: ClassVar[str] = "critic"


class Mechanism(Component):
    """A policy-improvement mechanism: one ``improve`` block."""

    family: ClassVar[str] = "mechanism"


class ActionChoice(Component):
    """How one action is chosen for a state."""

    family: ClassVar[str] = "action"


class Optimizer(Component):
    """Turns gradients into new parameters."""

    family: ClassVar[str] = "optimizer"


class Target(Component):
    """How a copy of some parameters follows them."""

    family: ClassVar[str] = "target"


class Schedule(Component):
    """A number as a function of the update counter."""

    family: ClassVar[str] = "schedule"


class Adaptation(Component):
    """A parameter with a loss of its own."""

    family: ClassVar[str] = "adaptation"


class Normalizer(Component):
    """How observations are rescaled before any network sees them."""

    family: ClassVar[str] = "normalizer"
