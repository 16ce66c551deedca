"""Contracts of the component families: the interface of each family to the rest of a compiled step.

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
from flowrl_dsl.components.noisy import Guide, Noised, Step
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Build, Call, Expr, Partial
from flowrl_dsl.registry import Component, Scalar

if TYPE_CHECKING:
    from flowrl_dsl.components.context import Context


Widths = tuple[Annotated[int, Option(ge=1, le=100_000)], ...]
"""Widths of layers, in order; the bound catches typing errors, as XLA aborts on overflowing sizes."""


@dataclass(frozen=True)
class Sampled:
    """Sampled actions [..., action] and, if the policy computes them, their log-density [...] and ``chain``.

    The chain contains the noisy actions [..., denoise, action] from which the steps of the sampler started, ``eps`` the
    noise predicted there.
    """

    action: Value
    log_prob: Value | None = None
    chain: Value | None = None
    eps: Value | None = None


@dataclass(frozen=True)
class StepKernels:
    """Kernels of a sampler whose steps have densities.

    ``draw`` takes the arguments of ``Sampler.kernel`` and a random key, and returns the actions with their chains;
    ``log_prob`` takes the chain and the actions in place of the initial noise and the key, and returns the log-density of
    each step and component, [..., denoise, action].  ``numbers`` are options of the sampler that only these kernels take.
    If the size of the noise is learned, ``network`` is what it is computed from, a function of (t, s) that they take as
    ``noise``, and ``entropy`` the kernel for the entropy of each step and component: (times, noise, numbers).
    """

    draw: str
    log_prob: str
    numbers: tuple[str, ...] = ()
    network: Network | None = None
    entropy: str | None = None


@dataclass(frozen=True)
class Future:
    """The successor of a transition, for critics that fit the spread of returns around the mean set by the backup.

    Parameters of the target copy (``critic_target`` if it exists, else ``critic``), next observation [batch, obs] and
    action [batch, action] as passed to the critic's methods, and the factor discount (1 - d) [batch] of the next value.
    """

    params: Value
    s: Value
    a: Value
    keep: Value


class Backbone(Component):
    """The type of distribution of the policy."""

    family: ClassVar[str] = "backbone"
    offers = MappingProxyType(
        {
            "mode": "mode",
            "log_prob": "log_prob",
            "noise_process": "noised",
            "noise_prediction": "predict",
            "flow_field": "velocity",
            "imitation": "imitate",
            "noise_map": "mapped",
            "zero_noise": "noiseless",
            "entropy_of_state": "entropy",
            "guided_draws": "guided",
        }
    )
    trains: ClassVar[bool] = True
    """Whether it has parameters."""
    random: ClassVar[bool] = True
    """Whether its samples of one state differ."""

    @abstractmethod
    def init(self, ctx: Context, key: Value) -> Value:
        """Fresh parameters."""

    @abstractmethod
    def draw(self, ctx: Context, params: Value, s: Value, name: str, particles: int | None) -> Sampled:
        """Actions [batch, action] for observations [batch, obs]; [batch, particle, action] with ``particles``."""

    def mode(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """The most likely actions [batch, action]; offered by backbones that provide ``mode``."""
        raise self._lacks("mode")

    def log_prob(self, ctx: Context, params: Value, s: Value, a: Value) -> Value:
        """The log-density [...] of actions [..., action]; offered by backbones that provide ``log_prob``."""
        raise self._lacks("log_prob")

    def noised(self, ctx: Context, a: Value) -> Noised:
        """Actions with noise of random level; offered by backbones that provide ``noise_process``."""
        raise self._lacks("noise_process")

    def drawn_time(self, ctx: Context, a: Value) -> Value:
        """A random time [...] for each action [..., action], as ``noised`` draws it; offered with ``noise_process``."""
        raise self._lacks("noise_process")

    def noised_at(self, ctx: Context, a: Value, noise: Value, t: Value) -> Noised:
        """Actions with this noise [..., action] at these times [...]; offered with ``noise_process``."""
        raise self._lacks("noise_process")

    def predict(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """The predicted noise [..., action]; offered by backbones that provide ``noise_prediction``."""
        raise self._lacks("noise_prediction")

    def velocity(self, ctx: Context, params: Value, s: Value, a_t: Value, t: Value) -> Value:
        """The predicted velocity [..., action]; offered by backbones that provide ``flow_field``."""
        raise self._lacks("flow_field")

    def imitate(self, ctx: Context, params: Value, s: Value, a: Value, weight: Value, bound: Scalar | None = None) -> Value:
        """The loss [] that fits the policy to the actions a [..., action], each with its weight [...].

        It depends on the backbone: a denoising error, a flow-matching error, -log pi(a | s).  ``bound`` limits each squared
        error of a predicted noise.  Offered by backbones that provide ``imitation``.
        """
        raise self._lacks("imitation")

    def entropy(self, ctx: Context, params: Value, s: Value) -> Value:
        """The entropy [...] of the policy at observations [..., obs]; offered by those that provide ``entropy_of_state``."""
        raise self._lacks("entropy_of_state")

    def mapped(self, ctx: Context, params: Value, s: Value, z: Value, name: str) -> Value:
        """What standard normal noise z [..., action] becomes; offered by policies that provide ``noise_map``."""
        raise self._lacks("noise_map")

    def step_log_prob(self, ctx: Context, params: Value, s: Value, a: Value, chain: Value) -> Value:
        """Log-densities [..., denoise, action] of the steps of a chain that ended at the actions a [..., action]."""
        raise self._lacks("step_log_prob")

    def step_entropy(self, ctx: Context, params: Value, s: Value) -> Value:
        """The entropy [..., denoise, action] of each component in each step by which an action is drawn at s [..., obs]."""
        raise self._lacks("step_entropy")

    def denoising_step(self, ctx: Context, params: Value, s: Value, a: Value, count: int) -> Step:
        """A random step of the sampler from each of the actions a [..., action] made noisy, with ``count`` draws."""
        raise self._lacks("denoising_step")

    def draw_steps(self, ctx: Context, params: Value, s: Value, name: str, particles: int) -> Sampled:
        """Actions [..., particle, action] with their chains and the noise predicted there, with ``denoising_step``."""
        raise self._lacks("denoising_step")

    def step_rates(self, ctx: Context) -> dict[str, Value]:
        """chain_t and kl_weight [denoise] of the steps of the sampler; where it provides ``denoising_step``."""
        raise self._lacks("denoising_step")

    def guided(self, ctx: Context, params: Value, s: Value, name: str, guide: Guide) -> Value:
        """The actions [..., action] of denoising steps that also follow a gradient; offered with ``guided_draws``."""
        raise self._lacks("guided_draws")

    def noiseless(self, ctx: Context, params: Value, s: Value, name: str) -> Value:
        """The actions [..., action] that zero noise becomes; offered by policies that provide ``zero_noise``."""
        raise self._lacks("zero_noise")

    def regression(self, ctx: Context, params: Value, s: Value, a: Value, noised: Noised) -> tuple[Value, Value]:
        """The network's prediction at noisy actions, and its target if they were made from the actions a: [..., action]."""
        return self.predict(ctx, params, s, noised.a_t, noised.t), noised.noise

    def _lacks(self, capability: str) -> TypeError:
        return TypeError(f'backbone "{self.name}" does not provide {capability}; its use should have been refused')


class Sampler(Component):
    """Sampling from an iterative backbone.

    ``kernel`` names the sampling function: (field[, alpha], initial noise, times[, clip][, key]) -> actions, where field
    is the prediction as a function of (a_t, t), the initial noise is standard normal (the kernel scales it if the process
    starts from more) and times are the ends of the steps, in order.  It takes a random key
    if the sampler ``draws``, and returns a log-density with the actions if it is ``rated``.  The error of a deterministic
    sampler decreases as (length of a step)^``order``; None for one that draws random numbers or takes a single step.
    ``numbers`` are those of its options that the kernel takes by name, where they are given.
    """

    family: ClassVar[str] = "sampler"
    asks: ClassVar[tuple[str, ...]] = ("kernel", "draws", "steps", "clip")
    offers = MappingProxyType({"edm_sampler": "levels"})
    kernel: ClassVar[str]
    draws: ClassVar[bool]
    rated: ClassVar[bool] = False
    order: ClassVar[int | None] = None
    numbers: ClassVar[tuple[str, ...]] = ("clip",)
    single: ClassVar[str] = ""
    """Of one that provides ``denoising_step``: the kernel of one step, (a_t, eps, alpha_t, alpha_u, last, noise[, options])
    -> a_u, and with ``kept`` that of all steps, which returns the actions, their chains and the noise predicted there."""
    kept: ClassVar[str] = ""

    def step_kernels(self) -> StepKernels | None:
        """The kernels that are used instead where its steps have densities; offered with ``step_log_prob``."""
        return None

    def constants(self) -> dict[str, Expr]:
        """Further constant arguments of the kernel: none unless overridden."""
        return {}

    def levels(self, sigma_max: float, sigma_min: float) -> Call:
        """The noise levels of the steps, falling to 0: [steps + 1]; offered by samplers that provide ``edm_sampler``."""
        raise TypeError(f'sampler "{self.name}" does not provide edm_sampler; its use should have been refused')


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
        """The decreasing times of a sampler's steps: [steps + 1]."""


class Network(Component):
    """A feed-forward network with named inputs.

    A network with an option ``dropout`` drops units exactly when it is applied with a random key of that name.
    """

    family: ClassVar[str] = "network"

    @property
    def drops_units(self) -> bool:
        """Whether the network uses dropout, in which case training must pass it a random key."""
        return getattr(self, "dropout", 0.0) > 0

    @abstractmethod
    def module(self, name: str, inputs: tuple[tuple[str, int], ...], outputs: int) -> Build:
        """A flax module for inputs (name, size): called with a dictionary of them and, optionally, the sum of first-layer
        products that its method ``project`` precomputed from some of them."""


class Embedding(Component):
    """Features of the diffusion or flow time; ``hidden`` of them."""

    family: ClassVar[str] = "embedding"
    asks: ClassVar[tuple[str, ...]] = ("hidden",)

    if TYPE_CHECKING:

        @property
        def hidden(self) -> int:
            """Number of features: an option or a class variable."""

    @abstractmethod
    def module(self, name: str) -> Build:
        """A flax module from times [...] to features [..., hidden]."""


class Critic(Component):
    """Representation of action values, and their loss against targets."""

    family: ClassVar[str] = "critic"
    offers = MappingProxyType({"energy": "energy"})
    trains: ClassVar[bool] = True
    """Whether it has trainable parameters."""

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
        """The initial state of the loss besides the parameters: groups by name."""
        return {}

    @abstractmethod
    def loss(
        self, ctx: Context, params: Value, s: Value, a: Value, y: Value, future: Future, reduction: str
    ) -> tuple[Value, dict[str, Value]]:
        """The loss [] of the values against the targets y [batch], and the new versions of ``memory``.

        y is the mean of the return for every backup.  A critic that fits the whole distribution of returns takes
        its spread from the target copy at the next state: y + keep (Z'(s', a') - E Z'(s', a')), Z' of the ensemble
        member with the lowest mean (the first of them).  No gradient flows through targets.
        """


@dataclass(frozen=True)
class Loss:
    """A loss [] to minimise, and measurements [] by name, ``kl``, ``entropy`` or ``imitation_error``, read as constants."""

    value: Value
    measures: Mapping[str, Value] = field(default_factory=dict)


class Mechanism(Component):
    """A policy-improvement mechanism: one ``improve`` block of the policy ``ctx.owner``."""

    family: ClassVar[str] = "mechanism"
    trains: ClassVar[str] = "policy"
    """The parameter group trained by its loss: policy, or critic if it shapes the values that an energy policy follows."""
    drawing: ClassVar[frozenset[str]] = frozenset({"reparameterized", "noise_map"})
    """The requirements of those that draw from the policy that they improve."""

    @abstractmethod
    def loss(self, ctx: Context, s: Value, a: Value) -> Loss:
        """The loss, given observations [batch, obs] and actions [batch, action] of the batch."""


class ActionChoice(Component):
    """Selection of one action for a state."""

    family: ClassVar[str] = "action"
    plain: ClassVar[bool] = False
    """Whether the action is a single draw of the policy, unchanged."""

    @abstractmethod
    def choose(self, ctx: Context, source: str, s: Value, name: str, values: str) -> Value:
        """Actions [batch, action] by the copy ``source`` of the policy; ``values`` names the critic that may rank them."""

    def explores(self, backbone: Backbone, algorithm: Algorithm) -> bool:
        """Whether the actions chosen for one state by a policy of this backbone differ."""
        return True


class Estimator(Component):
    """Estimation of the entropy of a policy from its samples."""

    family: ClassVar[str] = "estimator"

    @abstractmethod
    def entropy(self, ctx: Context, s: Value) -> Value:
        """The entropy [] of the policy, a mean over states among the observations [batch, obs]."""


class Normalizer(Component):
    """Rescaling of observations before all networks."""

    family: ClassVar[str] = "normalizer"
    of_data: ClassVar[bool] = False
    """Whether its moments are those of a data set, read before the first update."""

    @abstractmethod
    def init(self, ctx: Context) -> Value:
        """Moments before any observation."""

    @abstractmethod
    def update(self, ctx: Context, moments: Value, s: Value) -> Value:
        """Moments after a batch of observations."""

    @abstractmethod
    def apply(self, ctx: Context, moments: Value, s: Value, name: str) -> Value:
        """Rescaled observations."""
