"""Orders of convergence, in float64, for a target whose score is known: a mixture of two Gaussians in the plane.

Noised by a_t = alpha a + sigma noise, the mixture sum_k w_k N(m_k, c^2 I) is the mixture of N(alpha m_k, v I) with
v = alpha^2 c^2 + sigma^2, and given a_t and its component

    E[noise] = sigma/v (a_t - alpha m_k)        E[a] = m_k + alpha c^2/v (a_t - alpha m_k).

Samplers are compared with the path that the Runge-Kutta method of fourth order follows from the same initial noise.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.denoising import time_grid
from flowrl_dsl.components.noise_schedules.cosine import cosine_alpha
from flowrl_dsl.components.runge_kutta import RungeKutta
from flowrl_dsl.components.samplers.edm_heun import falling_levels
from flowrl_dsl.registry import members_of
from tests import reference
from tests.components.drawing import kernel_of, names
from tests.helpers import QUICK

MEANS = np.array([[0.5, -0.4], [-0.6, 0.3]])
WEIGHTS = np.array([0.6, 0.4])
SPREAD = 0.25
START = np.random.default_rng(0).normal(size=(64, 2))
ENDS = (0.05, 0.9)
ALPHA = partial(cosine_alpha, s=0.008)


def expected(a_t, alpha, sigma, np=jnp):
    """E[noise] and E[a] given a_t, for rows of a_t."""
    v = alpha**2 * SPREAD**2 + sigma**2
    off = a_t[:, None] - alpha * MEANS
    log_weight = np.log(WEIGHTS) - np.sum(off**2, -1) / (2 * v)
    weight = np.exp(log_weight - np.max(log_weight, -1, keepdims=True))
    weight = (weight / np.sum(weight, -1, keepdims=True))[..., None]
    return np.sum(weight * sigma / v * off, 1), np.sum(weight * (MEANS + alpha * SPREAD**2 / v * off), 1)


def noise(a_t, alpha, sigma, np=jnp):
    return expected(a_t, alpha, sigma, np)[0]


def velocity(a_t, t, np=jnp):
    """E[a - noise] on the straight way from noise to action."""
    n, a = expected(a_t, t, 1 - t, np)
    return a - n


def probability_flow(a, start, end):
    """The exact path between two pairs (alpha, sigma): d(a/alpha)/d(sigma/alpha) = E[noise], in log(sigma/alpha)."""

    def slope(z, x):
        return np.exp(x) * noise(z, 1.0, np.exp(x), np)

    ends = (np.log(sigma / alpha) for alpha, sigma in (start, end))
    return end[0] * reference.runge_kutta(slope, a / start[0], *ends)


def order(draw, exact, steps=(40, 80)):
    """The power of the step size that the error is proportional to."""
    with jax.enable_x64(True):
        drawn = jax.jit(lambda start: [draw(start, n) for n in steps], compiler_options=QUICK)(jnp.asarray(START))
        errors = [np.sqrt(np.mean((np.asarray(a) - exact) ** 2)) for a in drawn]
    assert errors[0] < 0.05
    return np.log2(errors[0] / errors[1])


def expected_order(name):
    """The order that the sampler declares, as measured between two finite numbers of steps."""
    return pytest.approx(members_of("sampler")[name].order, abs=0.25)


@pytest.mark.parametrize("name", names("diffusion_sampler", ordered=True))
def test_diffusion_samplers(name):
    ends = [(kept, np.sqrt(1 - kept**2)) for kept in map(reference.cosine_alpha, ENDS)]
    exact = probability_flow(START, ends[1], ends[0])

    def eps(a_t, t):
        return noise(a_t, ALPHA(t), jnp.sqrt(1 - ALPHA(t) ** 2))

    def draw(a, n):
        return kernel_of(name)(eps, ALPHA, a, time_grid(ENDS[1], ENDS[0], n))

    assert order(draw, exact) == expected_order(name)


@pytest.mark.parametrize("name", names("edm_sampler", ordered=True))
def test_samplers_of_noise_levels(name):
    """Both end with the same step from the least noise level to none, which no number of steps makes exact."""
    most, least = 10.0, 0.02
    path = probability_flow(most * START, (1.0, most), (1.0, least))
    exact = path - least * noise(path, 1.0, least, np)

    def eps(a_t, t):
        return noise(a_t, 1.0, t)

    # n + 1 steps: n between the two levels
    def draw(a, n):
        return kernel_of(name)(eps, a, falling_levels(most, least, n + 1, 7.0))

    assert order(draw, exact) == expected_order(name)


@pytest.mark.parametrize("name", names("flow_sampler", ordered=True))
def test_flow_samplers(name):
    exact = reference.runge_kutta(partial(velocity, np=np), START, 0.0, 1.0)
    assert order(lambda a, n: kernel_of(name)(velocity, a, time_grid(0.0, 1.0, n)), exact) == expected_order(name)


def tableaux():
    return sorted(name for name, cls in members_of("sampler").items() if issubclass(cls, RungeKutta))


@pytest.mark.parametrize("name", tableaux())
def test_a_tableau_is_explicit_and_consistent(name):
    """Row i takes the i stages before it, and the weights sum to 1, without which the order is 0."""
    cls = members_of("sampler")[name]
    assert [len(row) for row in cls.stages] == list(range(len(cls.weights)))
    assert sum(cls.weights) == pytest.approx(1, abs=1e-15)


def test_the_exact_paths_end_where_the_mixture_lies():
    """The reference itself: the map from noise to actions carries the standard normal to the mixture."""
    a = reference.runge_kutta(partial(velocity, np=np), np.random.default_rng(1).normal(size=(4000, 2)), 0.0, 1.0, 100)
    mean = WEIGHTS @ MEANS
    covariance = SPREAD**2 * np.eye(2) + (MEANS - mean).T @ np.diag(WEIGHTS) @ (MEANS - mean)
    np.testing.assert_allclose(a.mean(0), mean, atol=5 * 0.6 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(a.T), covariance, atol=5 * 0.6 / np.sqrt(4000))
