"""Slow NumPy references in float64, written from the equations alone: one loop for each index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import brentq


def mish(x: np.ndarray) -> np.ndarray:
    """x tanh(log(1 + e^x))"""
    return x * np.tanh(np.logaddexp(0.0, x))


ACTIVATIONS: dict[str, Callable] = {
    "mish": mish,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
}


def f64(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: f64(value) for key, value in tree.items()}
    return np.asarray(tree, np.float64)


def mlp(params: Any, inputs: list[np.ndarray], names: list[str], activation: str) -> np.ndarray:
    """One row through the network whose first layer reads the concatenated inputs."""
    act = ACTIVATIONS[activation]
    h = np.concatenate(inputs) @ np.concatenate([params["first"][name] for name in names]) + params["bias"]
    h = act(h)
    for i in range(sum(key.startswith("hidden") for key in params)):
        h = act(h @ params[f"hidden_{i}"]["kernel"] + params[f"hidden_{i}"]["bias"])
    return h @ params["head"]["kernel"] + params["head"]["bias"]


def member(tree: Any, e: int) -> Any:
    """The parameters of one member of an ensemble."""
    return {k: member(v, e) for k, v in tree.items()} if isinstance(tree, Mapping) else tree[e]


def q_values(params: Any, s: np.ndarray, a: np.ndarray, activation: str = "tanh") -> np.ndarray:
    """Q_e(s, a) of each member, for one state and action."""
    members = params["bias"].shape[0]
    return np.array([mlp(member(params, e), [s, a], ["s", "a"], activation)[0] for e in range(members)])


def normalized_layer(params: Any, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """u = W x + b divided by the mean of |u|."""
    u = params["bias"] + sum(x @ params["first"][name] for name, x in inputs.items())
    return u / np.abs(u).mean()


def beside_embeddings(
    params: Any, raw: Mapping[str, np.ndarray], z: Mapping[str, np.ndarray], activation: str
) -> np.ndarray:
    """One row through a network of the normalised layer's output and of embeddings."""
    u = normalized_layer(params["layer"], raw)
    return mlp(params["net"], [u, *z.values()], ["x", *(f"z_{name}" for name in z)], activation)


def gradient(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Central differences."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        out[i] = (f(up) - f(down)) / (2 * h)
    return out


def fourier(params: Any, t: float) -> np.ndarray:
    angle = 2 * np.pi * t * params["frequencies"]
    h = np.concatenate([np.cos(angle), np.sin(angle)])
    h = mish(h @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
    return h @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]


def positional(params: Any, t: float, size: int, fastest: float = 1000.0, longest: float = 10_000.0) -> np.ndarray:
    angle = np.array([fastest * longest ** (-i / (size // 2)) * t for i in range(size // 2)])
    h = np.concatenate([np.cos(angle), np.sin(angle)])
    h = mish(h @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
    return h @ params["Dense_1"]["kernel"] + params["Dense_1"]["bias"]


def denoiser(params: Any, a_t: np.ndarray, t: float, s: np.ndarray) -> np.ndarray:
    """eps(a_t, t, s) for one row: Fourier time, observation embedding (Mish after each layer), Mish trunk."""
    features = s
    for i in range(len(params["obs"])):
        layer = params["obs"][f"Dense_{i}"]
        features = ACTIVATIONS["mish"](features @ layer["kernel"] + layer["bias"])
    return mlp(params["trunk"], [a_t, fourier(params["time"], t), features], ["a", "t", "s"], "mish")


def cosine_alpha(t: float, s: float = 0.008) -> float:
    return float(np.cos(np.pi / 2 * (t + s) / (1 + s)) / np.cos(np.pi / 2 * s / (1 + s)))


def linear_alpha(t: float, low: float = 0.1, high: float = 20.0) -> float:
    return float(np.exp(-(high - low) * t * t / 4 - low * t / 2))


def times(t_min: float, t_max: float, steps: int) -> list[float]:
    """The grid t_max = t_K > ... > t_0 = t_min, uniform."""
    return [t_max + (t_min - t_max) * k / steps for k in range(steps + 1)]


def ddim(eps: Callable, alpha: Callable, a: np.ndarray, grid: list[float], clip: float | None) -> np.ndarray:
    """The deterministic sampler for one action."""
    for t, u in pairwise(grid):
        sigma_t, sigma_u = np.sqrt(1 - alpha(t) ** 2), np.sqrt(1 - alpha(u) ** 2)
        clean = (a - sigma_t * eps(a, t)) / alpha(t)
        if clip is not None:
            clean = np.clip(clean, -clip, clip)
        noise = (a - alpha(t) * clean) / sigma_t
        a = alpha(u) * clean + sigma_u * noise
    return a if clip is None else np.clip(a, -clip, clip)


def ddpm(
    eps: Callable, alpha: Callable, a: np.ndarray, noises: np.ndarray, grid: list[float], clip: float | None
) -> np.ndarray:
    """The ancestral sampler for one action; ``noises`` [K, A] are its standard normals, the last one unused."""
    steps = len(grid) - 1
    for k, (t, u) in enumerate(pairwise(grid)):
        kept_t, kept_u = alpha(t) ** 2, alpha(u) ** 2
        rate = kept_t / kept_u  # of the single step from u to t: a_t = sqrt(rate) a_u + sqrt(1 - rate) noise
        clean = (a - np.sqrt(1 - kept_t) * eps(a, t)) / np.sqrt(kept_t)
        if clip is not None:
            clean = np.clip(clean, -clip, clip)
        # the mean of a_u given a_t and a_0, by the product of two Gaussians in a_u
        prior_mean, prior_var = np.sqrt(kept_u) * clean, 1 - kept_u  # no variance at the end of a discrete schedule
        precision = 1 + prior_var * rate / (1 - rate)  # times prior_var
        a = (prior_mean + prior_var * np.sqrt(rate) * a / (1 - rate)) / precision
        if k < steps - 1:
            a = a + np.sqrt(1 - rate) * noises[k]
    return a if clip is None else np.clip(a, -clip, clip)


def dpm_solver_2(eps: Callable, alpha: Callable, a: np.ndarray, grid: list[float], clip: float | None) -> np.ndarray:
    """Single steps of second order for one action, as published: in log-SNR, with exponentials of its steps."""

    def sigma(t: float) -> float:
        return np.sqrt(1 - alpha(t) ** 2)

    def snr(t: float) -> float:
        return np.log(alpha(t) / sigma(t))

    def noise(a: np.ndarray, t: float) -> np.ndarray:
        found = eps(a, t)
        clean = (a - sigma(t) * found) / alpha(t)
        return found if clip is None else (a - alpha(t) * np.clip(clean, -clip, clip)) / sigma(t)

    for t, u in pairwise(grid):
        h = snr(u) - snr(t)
        middle = brentq(lambda x, level: snr(x) - level, u, t, args=((snr(t) + snr(u)) / 2,))
        between = alpha(middle) / alpha(t) * a - sigma(middle) * np.expm1(h / 2) * noise(a, t)
        a = alpha(u) / alpha(t) * a - sigma(u) * np.expm1(h) * noise(between, middle)
    return a if clip is None else np.clip(a, -clip, clip)


def dpm_solver_pp_2m(eps: Callable, alpha: Callable, a: np.ndarray, grid: list[float], clip: float | None) -> np.ndarray:
    """Multistep on the predicted clean action for one action, first order in the first and the last step."""
    bound = np.inf if clip is None else clip
    steps = [(t, u, np.sqrt(1 - alpha(t) ** 2), np.sqrt(1 - alpha(u) ** 2)) for t, u in pairwise(grid)]
    before, h_before = None, None
    for k, (t, u, sigma_t, sigma_u) in enumerate(steps):
        h = np.log(alpha(u) / sigma_u) - np.log(alpha(t) / sigma_t)
        clean = np.clip((a - sigma_t * eps(a, t)) / alpha(t), -bound, bound)
        direction = clean
        if 0 < k < len(steps) - 1:
            ratio = h_before / h
            direction = np.clip((1 + 1 / (2 * ratio)) * clean - 1 / (2 * ratio) * before, -bound, bound)
        a = sigma_u / sigma_t * a - alpha(u) * np.expm1(-h) * direction
        before, h_before = clean, h
    return np.clip(a, -bound, bound)


def noise_levels(most: float, least: float, steps: int, rho: float) -> list[float]:
    """Levels evenly spaced in their rho-th root, then 0."""
    roots = [most ** (1 / rho) + k / max(steps - 1, 1) * (least ** (1 / rho) - most ** (1 / rho)) for k in range(steps)]
    return [root**rho for root in roots] + [0.0]


def edm_heun(denoise: Callable, a: np.ndarray, levels: list[float], clip: float | None) -> np.ndarray:
    """Heun's steps in the noise level for one action; ``denoise(a, sigma)`` predicts the clean action."""
    bound = np.inf if clip is None else clip
    a = levels[0] * a
    for t, u in pairwise(levels):
        slope = (a - np.clip(denoise(a, t), -bound, bound)) / t
        there = a + (u - t) * slope
        if u > 0:
            slope = (slope + (there - np.clip(denoise(there, u), -bound, bound)) / u) / 2
        a = a + (u - t) * slope
    return a


def edm_denoiser(params: Any, a_t: np.ndarray, sigma: float, s: np.ndarray, data: float) -> np.ndarray:
    """D = c_skip a_t + c_out F(c_in a_t, log(sigma)/4, s)"""
    total = sigma**2 + data**2
    f = denoiser(params, a_t / np.sqrt(total), np.log(sigma) / 4, s)
    return data**2 / total * a_t + sigma * data / np.sqrt(total) * f


def euler(velocity: Callable, a: np.ndarray, steps: int, clip: float | None) -> np.ndarray:
    for k in range(steps):
        a = a + velocity(a, k / steps) / steps
    return a if clip is None else np.clip(a, -clip, clip)


def noisy_euler(velocity: Callable, a: np.ndarray, steps: int, clip: float | None) -> np.ndarray:
    """Without its noise: the action is clipped after every step."""
    for k in range(steps):
        a = a + velocity(a, k / steps) / steps
        a = a if clip is None else np.clip(a, -clip, clip)
    return a


def midpoint(velocity: Callable, a: np.ndarray, steps: int, clip: float | None) -> np.ndarray:
    for k in range(steps):
        halfway = a + velocity(a, k / steps) / (2 * steps)
        a = a + velocity(halfway, (k + 0.5) / steps) / steps
    return a if clip is None else np.clip(a, -clip, clip)


def heun(velocity: Callable, a: np.ndarray, steps: int, clip: float | None) -> np.ndarray:
    for k in range(steps):
        first = velocity(a, k / steps)
        a = a + (first + velocity(a + first / steps, (k + 1) / steps)) / (2 * steps)
    return a if clip is None else np.clip(a, -clip, clip)


def ralston(velocity: Callable, a: np.ndarray, steps: int, clip: float | None) -> np.ndarray:
    for k in range(steps):
        first = velocity(a, k / steps)
        second = velocity(a + 2 * first / (3 * steps), (k + 2 / 3) / steps)
        a = a + (first + 3 * second) / (4 * steps)
    return a if clip is None else np.clip(a, -clip, clip)


def runge_kutta(slope: Callable, a: np.ndarray, start: float, end: float, steps: int = 400) -> np.ndarray:
    """The classical fourth-order method for da/dx = slope(a, x)."""
    h = (end - start) / steps
    for k in range(steps):
        x = start + k * h
        k1 = slope(a, x)
        k2 = slope(a + h / 2 * k1, x + h / 2)
        k3 = slope(a + h / 2 * k2, x + h / 2)
        k4 = slope(a + h * k3, x + h)
        a = a + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return a


def adam(params: np.ndarray, gradients: list[np.ndarray], rate: float, clip: float | None = None) -> np.ndarray:
    m, v = np.zeros_like(params), np.zeros_like(params)
    for k, g in enumerate(gradients, 1):
        if clip is not None:
            g = g * min(1.0, clip / np.sqrt(np.sum(g * g)))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        params = params - rate * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return params


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def simplex(z: np.ndarray, weights: Callable[[np.ndarray], np.ndarray], width: float) -> np.ndarray:
    """weights(z - nu) with nu between max z - width and max z such that they sum to 1, by bisection."""
    low, high = z.max() - width, z.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if weights(z - middle).sum() > 1 else (low, middle)
    return weights(z - high)


def mean_shift(x: np.ndarray, others: np.ndarray, floor: float) -> np.ndarray:
    """The kernel mean-shift vector [d] from a point to others [n, d]; variance median |x - y|^2 / (2 log(n + 1))."""
    points = [np.asarray(y, np.float64) for y in others]
    squares = [float(np.sum((x - y) ** 2)) for y in points]
    variance = max(float(np.median(squares)) / (2 * np.log(len(points) + 1)), floor)
    k = [np.exp(-square / (2 * variance)) for square in squares]
    return np.asarray(sum(w * y for w, y in zip(k, points, strict=True)) / sum(k) - x)


def expectation_maximisation(x: np.ndarray, share: np.ndarray, steps: int, floor: float) -> tuple[np.ndarray, ...]:
    """Weights, means and covariances of a Gaussian mixture, from given shares [points, components]."""
    share = np.array(share, np.float64)
    n, d = x.shape
    for step in range(steps + 1):
        weight, mean, covariance = [], [], []
        for k in range(share.shape[1]):
            total = sum(share[i, k] for i in range(n))
            m = sum(share[i, k] * x[i] for i in range(n)) / total
            c = sum(share[i, k] * np.outer(x[i] - m, x[i] - m) for i in range(n)) / total + floor * np.eye(d)
            weight.append(total / n), mean.append(m), covariance.append(c)
        if step == steps:
            break
        for i in range(n):
            density = np.array([
                w * np.exp(-(x[i] - m) @ np.linalg.solve(c, x[i] - m) / 2) / np.sqrt(np.linalg.det(2 * np.pi * c))
                for w, m, c in zip(weight, mean, covariance, strict=True)
            ])  # fmt: skip
            share[i] = density / density.sum()
    return np.array(weight), np.array(mean), np.array(covariance)
