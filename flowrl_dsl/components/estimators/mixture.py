"""Entropy estimate by a Gaussian mixture fitted to samples of the policy."""

from __future__ import annotations

from pydantic import Field

from flowrl_dsl.axes import union, without
from flowrl_dsl.components.base import Estimator
from flowrl_dsl.components.common import add_noise
from flowrl_dsl.components.context import Context
from flowrl_dsl.graph.builder import Value
from flowrl_dsl.graph.expr import Arg, call, kernel
from flowrl_dsl.graph.nodes import SCALAR, Type
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.registry import NOT_NEGATIVE, Scalar, option, register


@kernel
def first_rows(x, n):
    """The first n rows; all if n is None or there are fewer."""
    return x[:n]


@kernel
def mixture_start(key, x, components):
    """Initial responsibilities [samples, components] of Gaussians centred at some of the points x [samples, d].

    The first centre is a random point; each further one is drawn in proportion to the squared distance from the nearest
    previous centre.  All Gaussians are isotropic and as wide as the data, so coinciding points get equal responsibilities.
    """
    keys = jax.random.split(key, components)
    centres = [x[jax.random.randint(keys[0], (), 0, x.shape[0])]]
    for k in range(1, components):
        nearest = jnp.min(jnp.stack([jnp.sum(jnp.square(x - c), axis=-1) for c in centres]), axis=0)
        centres.append(x[jax.random.categorical(keys[k], jnp.log(nearest + 1e-12))])
    distance = jnp.stack([jnp.sum(jnp.square(x - c), axis=-1) for c in centres], axis=-1)
    return jax.nn.softmax(-distance / (2 * jnp.mean(jnp.var(x, axis=0)) + 1e-6), axis=-1)


@kernel
def mixture_parameters(x, share, floor):
    """The M step: weights [k], means [k, d], and eigenvalues [k, d] and -vectors [k, d, d] of the covariances.

    The covariances are full, floor added to their diagonals.  Eigenvalues are used instead of a Cholesky factor:
    negative rounding errors are set to 0, also for coinciding points.
    """
    total = jnp.sum(share, axis=0)
    mean = jnp.einsum("nk,nd->kd", share, x, precision="highest") / jnp.maximum(total, 1e-6)[:, None]
    away = x[:, None, :] - mean
    covariance = jnp.einsum("nk,nki,nkj->kij", share, away, away, precision="highest")
    # one matrix after the other: a thread that waits for a batch of them may keep others from being done (see init_ensemble)
    values, vectors = jax.lax.map(jnp.linalg.eigh, covariance / jnp.maximum(total, 1e-6)[:, None, None])
    return total / x.shape[0], mean, jnp.maximum(values, 0.0) + floor, vectors


@kernel
def mixture_shares(x, weight, mean, values, vectors):
    """The E step: the probability [samples, k] of each component given each point."""
    along = jnp.einsum("nki,kij->nkj", x[:, None, :] - mean, vectors, precision="highest")
    distance = jnp.sum(jnp.square(along) / values, axis=-1)
    log_density = -(distance + jnp.sum(jnp.log(values), axis=-1)) / 2
    return jax.nn.softmax(jnp.log(jnp.maximum(weight, 1e-12)) + log_density, axis=-1)


@kernel
def fit_mixture(x, share, iterations, floor):
    """The parameters of the mixture after ``iterations`` steps of expectation-maximisation from given responsibilities."""

    def step(_, share):
        return mixture_shares(x, *mixture_parameters(x, share, floor))

    return mixture_parameters(x, jax.lax.fori_loop(0, iterations, step, share), floor)


@kernel
def mixture_bound(weight, values):
    """sum_k w_k (-log w_k + 1/2 log((2 pi e)^d |C_k|)), an upper bound of the entropy of the mixture."""
    gaussian = jnp.sum(jnp.log(2 * jnp.pi * jnp.e * values), axis=-1) / 2
    return jnp.sum(weight * (gaussian - jnp.log(jnp.maximum(weight, 1e-12))))


@kernel
def mixture_entropy(key, a, components, iterations, floor):
    """The mean over states of the entropy bound of a mixture fitted to the actions a [state, samples, action]."""

    def one(state):
        key, x = state
        weight, _, values, _ = fit_mixture(x, mixture_start(key, x, components), iterations, floor)
        return mixture_bound(weight, values)

    return jnp.mean(jax.lax.map(one, (jax.random.split(key, a.shape[0]), a)))


@register
class Mixture(Estimator):
    """``sum_k w_k (-log w_k + 1/2 log((2 pi e)^d |C_k|))`` of a Gaussian mixture fitted to ``samples`` actions per state.

    An upper bound of the mixture's entropy, exact if its components do not overlap.  The fit is expectation-maximisation
    with full covariances: the components of an action are correlated, and ignoring this would overestimate the entropy.
    The estimate is the mean over the first ``states`` states of the batch, which bounds time and memory, or over all.  With
    ``noise`` it is the entropy of noisy actions, clipped to [-1, 1] as those of a policy that explores with noise.
    """

    name = "mixture"
    paper = "arXiv:2405.15177"

    components: int = Field(3, ge=1, description="number of Gaussians")
    samples: int = Field(200, ge=2, description="number of actions per state")
    noise: Scalar | None = option("standard deviation of Gaussian noise added to the actions", "none", NOT_NEGATIVE)
    states: int | None = Field(32, ge=1, description="number of states of the batch; none for the whole batch")
    iterations: int = Field(30, ge=1, description="steps of expectation-maximisation")
    floor: float = Field(
        1e-6, gt=0, description="variance added in all directions, so that coinciding samples have a density"
    )

    def entropy(self, ctx: Context, s: Value) -> Value:
        b = ctx.builder
        axes = union(("state",), without(s.axes, "batch"))
        few = b.add("Select", call(first_rows, Arg(0), self.states), (s,), Type(axes), "states")
        a = ctx.draw("policy", few, "samples", particles=self.samples, frozen=True)
        if self.noise is not None:
            added = ctx.normal(few, ctx.sizes.action, "samples_noise", self.samples)
            a = b.add(
                "Noise", call(add_noise, *map(Arg, range(3))), (a, added, ctx.scalar(self.noise)), a.type, "noisy_samples"
            )
        options = {"components": self.components, "iterations": self.iterations, "floor": self.floor}
        expr = call(mixture_entropy, Arg(0), Arg(1), **options)
        return b.add("Estimate", expr, (ctx.draw_key("mixture"), a), SCALAR, "entropy")
