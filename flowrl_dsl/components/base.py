"""Contracts of the component families: what each family must offer to the rest of a compiled step.

Methods take the :class:`~flowrl_dsl.components.context.Context` of the graph being built and :class:`Value` handles of its
nodes, and add nodes to it.  Axes are written as in diagnostics: ``[batch, action]``; ``[...]`` stands for ``[batch]`` or
``[batch, particle]``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field as Option

from flowrl_dsl.algorithm import Algorithm
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Build, Call, Expr, Partial
from flowrl_dsl.registry import Component, Scalar

if TYPE_CHECKING:
    from flowrl_dsl.components.context import Context


Widths = tuple[Annotated[int, Option(ge=1, le=100_000)], ...]
"""Widths of layers, the first one first; what is wider was not meant, and XLA aborts where sizes overflow."""


@dataclass(frozen=True)
class Draw:
    """Drawn actions [..., action] and, where the policy has one, their log-density [...]."""

    action: Value
    log_prob: Value | None = None


@dataclass(frozen=True)
class Noised:
    """Noisy actions and what made them: a_t = alpha a + sigma noise; a_t and noise [..., action], the others [...]."""

    a_t: Value
    noise: Value
    alpha: Value
    sigma: Value
    t: Value

    def values(self) -> dict[str, Value]:
        return {"a_t": self.a_t, "noise": self.noise, "alpha": self.alpha, "sigma": self.sigma, "t": self.t}


@dataclass(frozen=True)
class Future:
    """What follows a transition, for critics that fit the spread of returns around the mean that the backup gives.

    Parameters of the copy that judges (``critic_target`` where it is kept, else ``critic``), next observation [batch, obs]
    and action [batch, action] as the critic's methods are given them, and what the next value is multiplied by,
    discount (1 - d) [batch].
    """

    params: Value
    s: Value
    a: Value
    keep: Value


class Backbone(Component):
    """What kind of distribution the policy is."""

    family: ClassVar[str] = "backbone"
    offers = MappingProxyType(
        {
            "mode": "mode",
            "log_prob": "log_prob",
            "noise_process": "noised",
            "noise_prediction": "predict",
            "flow_field": "velocity",
            "imitation": "imitate",
        }
    )
    trains: ClassVar[bool] = True
    """Whether it has parameters of its own."""
    random: ClassVar[bool] = True
    """Whether its samples of one state differ."""

    @abstractmethod
    def init(self, ctx: Context, key: Value) -> Value:
        """Fresh parameters."""

    @abstractmethod
    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Draw:
        """Actions [batch, action] for observations [batch, obs]; [batch, particle, action] when ``particles`` is given."""

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """The most likely actions [batch, action]; offered by backbones that provide ``mode``."""
        raise self._lacks("mode")

    def log_prob(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The log-density [...] of actions [..., action]; offered by backbones that provide ``log_prob``."""
        raise self._lacks("log_prob")

    def noised(self, ctx: Context, a: Value) -> Noised:
        """Actions with noise of random size; offered by backbones that provide ``noise_process``."""
        raise self._lacks("noise_process")

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """The predicted noise [..., action]; offered by backbones that provide ``noise_prediction``."""
        raise self._lacks("noise_prediction")

    def velocity(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """The predicted velocity [..., action]; offered by backbones that provide ``flow_field``."""
        raise self._lacks("flow_field")

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """The loss [] whose descent draws the policy to the actions a [..., action], each with its weight [...].

        Each backbone has its own: a denoising error, a flow-matching error, -log pi(a | s).  ``bound`` limits each squared
        error of a predicted noise.  Offered by backbones that provide ``imitation``.
        """
        raise self._lacks("imitation")

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """What the network says of noisy actions, and what it should say where the actions a made them: [..., action]."""
        return self.predict(ctx, params, s, noised.a_t, noised.t), noised.noise

    def _lacks(self, capability: str) -> TypeError:
        return TypeError(f'backbone "{self.name}" does not provide {capability}; its use should have been refused')


class Sampler(Component):
    """How actions are drawn from an iterative backbone.

    ``kernel`` names the function that does it: (field[, alpha], initial noise, times[, clip][, key]) -> actions, where field
    is the prediction as a function of (a_t, t), the initial noise is standard normal (where the process starts from more
    than that, the kernel scales it) and times are the ends of the steps, in the order they are taken.  It takes a random key
    if the sampler ``draws``, and returns a log-density with the actions if it is ``rated``.  The error of a deterministic
    sampler falls as (length of a step)^``order``; None for one that draws random numbers or takes a single step.
    """

    family: ClassVar[str] = "sampler"
    asks: ClassVar[tuple[str, ...]] = ("kernel", "draws", "steps", "clip")
    offers = MappingProxyType({"edm_sampler": "levels"})
    kernel: ClassVar[str]
    draws: ClassVar[bool]
    rated: ClassVar[bool] = False
    order: ClassVar[int | None] = None

    def constants(self) -> dict[str, Expr]:
        """Further arguments of the kernel, which are the same in every program: none unless overridden."""
        return {}

    def levels(self, sigma_max: float, sigma_min: float) -> Call:
        """The noise levels of the steps, falling to 0: [steps + 1]; offered by samplers that provide ``edm_sampler``."""
        raise TypeError(f'sampler "{self.name}" does not provide edm_sampler; its use should have been refused')


class EnergySampler(Sampler):
    """How actions are drawn by following the gradient of an energy."""

    provides = frozenset({"energy_sampler"})
    asks = ()

    @abstractmethod
    def chain(self, ctx: Context, energy: Expr, start: Expr, key: Expr, inputs: list[Value]) -> Call:
        """The drawn actions, from initial ones; ``energy`` is a function of (a, level), level 1 the one without noise.

        Numbers that are inputs of the program are appended to ``inputs``, the node's.
        """


class NoiseSchedule(Component):
    """alpha_t and sigma_t of a forward process a_t = alpha_t a + sigma_t noise, t in [0, 1]."""

    family: ClassVar[str] = "noise_schedule"

    @abstractmethod
    def alpha(self) -> Partial:
        """alpha as a function of t."""

    @abstractmethod
    def draw(self) -> Call:
        """A random time for each action: an expression of (key, actions)."""

    @abstractmethod
    def times(self, steps: int) -> Call:
        """The times of a sampler's steps, falling: [steps + 1]."""


class Network(Component):
    """A feed-forward network with named inputs.

    One with an option ``dropout`` drops units exactly when it is applied with a random key of that name.
    """

    family: ClassVar[str] = "network"

    @property
    def drops_units(self) -> bool:
        """Whether the network differs in training, so that what trains it must hand it a random key."""
        return getattr(self, "dropout", 0.0) > 0

    @abstractmethod
    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        """A flax module for inputs (name, size): called with a dictionary of them and, optionally, the sum of first-layer
        products that its method ``project`` made of some of them beforehand."""


class Embedding(Component):
    """Features of the diffusion or flow time; ``hidden`` of them."""

    family: ClassVar[str] = "embedding"
    hidden: int

    @abstractmethod
    def module(self, name: str) -> Build:
        """A flax module from times [...] to features [..., hidden]."""


class Critic(Component):
    """How action values are represented and fitted to their targets."""

    family: ClassVar[str] = "critic"
    offers = MappingProxyType({"energy": "energy"})
    trains: ClassVar[bool] = True
    """Whether it has parameters to fit."""

    @abstractmethod
    def init(self, ctx: Context, key: Value, members: int) -> Value:
        """Fresh parameters of an ensemble."""

    @abstractmethod
    def value(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """Q_e(s, a): [ensemble, ...]."""

    def energy(self, ctx: Context, params: Expr, s: Expr) -> Expr:
        """mean_e Q_e(s, a) as a function of (a, level); offered by kinds that provide ``energy``."""
        raise TypeError(f'critic "{self.name}" does not provide energy; its use should have been refused')

    def memory(self, ctx: Context, members: int) -> dict[str, Value]:
        """What the loss keeps from update to update beside the parameters, before the first one: groups by name."""
        return {}

    @abstractmethod
    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        """The loss [] whose descent moves the values towards the targets y [batch], and the new versions of ``memory``.

        y is the mean of the return, whatever backup gave it.  A critic that fits the whole distribution of returns takes
        its spread from the judging copy at the next state: y + keep (Z'(s', a') - E Z'(s', a')), Z' of the ensemble
        member with the lowest mean (the first of them).  No gradient flows through targets.
        """


@dataclass(frozen=True)
class Loss:
    """A loss [] to descend, and what was measured on the way: constants [] by name, ``kl`` or ``entropy``."""

    value: Value
    measures: Mapping[str, Value] = field(default_factory=dict)


class Mechanism(Component):
    """A policy-improvement mechanism: one ``improve`` block of the policy ``ctx.owner``."""

    family: ClassVar[str] = "mechanism"
    trains: ClassVar[str] = "policy"
    """The parameter group that descends its loss: policy, or critic for what shapes the values an energy policy follows."""

    @abstractmethod
    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        """The loss, given observations [batch, obs] and actions [batch, action] of the batch."""


class ActionChoice(Component):
    """How one action is chosen for a state."""

    family: ClassVar[str] = "action"

    @abstractmethod
    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        """Actions [batch, action] by the copy ``source`` of the policy; ``values`` names the critic that may judge them."""

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        """Whether the actions chosen for one state by a policy of this backbone differ."""
        return True


class Optimizer(Component):
    """Turns gradients into new parameters."""

    family: ClassVar[str] = "optimizer"

    @abstractmethod
    def init(self, ctx: Context, params: Value, name: str) -> Value:
        """The state before the first step."""

    @abstractmethod
    def step(self, ctx: Context, params: Value, gradient: Value, state: Value) -> tuple[Value, Value]:
        """New parameters and new state, by a node of operation ``GradientStep``."""


class Target(Component):
    """How a copy of some parameters follows them."""

    family: ClassVar[str] = "target"

    @abstractmethod
    def follow(self, ctx: Context, copy: Value, params: Value, name: str) -> Value:
        """The copy after this update."""


class Schedule(Component):
    """A number as a function of the update counter."""

    family: ClassVar[str] = "schedule"

    @abstractmethod
    def value(self, ctx: Context, step: Value, name: str) -> Value:
        """The number [] at update ``step``, counted from 0."""


class Adaptation(Component):
    """A positive parameter with a loss of its own; the state holds its logarithm."""

    family: ClassVar[str] = "adaptation"
    optimizer: Optimizer

    @abstractmethod
    def measured(self, ctx: Context, s: Value) -> Value:
        """What it is learned from [], a constant: measured by the mechanisms, or here at observations [batch, obs]."""

    @abstractmethod
    def start(self, ctx: Context, name: str) -> Value:
        """The logarithm of the value at the start."""

    @abstractmethod
    def loss(self, ctx: Context, log_x: Value, measured: Value) -> Value:
        """The loss [] of the logarithm."""


class Estimator(Component):
    """How the entropy of a policy is estimated from its samples."""

    family: ClassVar[str] = "estimator"

    @abstractmethod
    def entropy(self, ctx: Context, s: Value) -> Value:
        """The entropy [] of the policy, a mean over states among the observations [batch, obs]."""


class Normalizer(Component):
    """How observations are rescaled before any network sees them."""

    family: ClassVar[str] = "normalizer"

    @abstractmethod
    def init(self, ctx: Context) -> Value:
        """Moments before any observation."""

    @abstractmethod
    def update(self, ctx: Context, moments: Value, s: Value) -> Value:
        """Moments after a batch of observations."""

    @abstractmethod
    def apply(self, ctx: Context, moments: Value, s: Value, name: str) -> Value:
        """Rescaled observations."""
