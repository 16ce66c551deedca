"""Random keys and bits by the Threefry-2x32 hash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowrl_dsl.testing.primitives.base import Parameters, Rule

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(k0: Any, k1: Any, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of two words under a key of two words (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3")."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(0x1BD11BDA))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for i in range(5):
        for by in _ROTATIONS[i % 2]:
            x0 = x0 + x1
            x1 = ((x1 << np.uint32(by)) | (x1 >> np.uint32(32 - by))) ^ x0
        x0, x1 = x0 + keys[(i + 1) % 3], x1 + keys[(i + 2) % 3] + np.uint32(i + 1)
    return x0, x1


def _numbered(keys: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of 0, 1, ... under each key: two arrays [*keys, *shape]."""
    count = np.arange(math.prod(shape), dtype=np.uint32).reshape(shape)
    wide = keys.reshape(keys.shape[:-1] + (1,) * len(shape) + (2,))
    return threefry(wide[..., 0], wide[..., 1], np.zeros_like(count), count)


def _random_bits(p: Parameters, keys: np.ndarray) -> np.ndarray:
    high, low = _numbered(keys, p["shape"])
    return (high ^ low).astype(f"uint{p['bit_width']}")


def _split_keys(p: Parameters, keys: np.ndarray) -> np.ndarray:
    return np.stack(_numbered(keys, p["shape"]), axis=-1)


def _fold_in(p: Parameters, keys: np.ndarray, data: np.ndarray) -> np.ndarray:
    word = np.asarray(data).astype(np.uint32)
    return np.stack(threefry(keys[..., 0], keys[..., 1], np.zeros_like(word), word), axis=-1)


def _seed(p: Parameters, seed: np.ndarray) -> np.ndarray:
    word = np.asarray(seed).astype(np.uint32)
    return np.stack([np.zeros_like(word), word], axis=-1)


def _same(p: Parameters, x: np.ndarray) -> np.ndarray:
    return x


RULES: dict[str, Rule] = {
    "threefry2x32": lambda p, *words: list(threefry(*words)),
    "random_wrap": _same,
    "random_unwrap": _same,
    "random_clone": _same,
    "random_seed": _seed,
    "random_bits": _random_bits,
    "random_split": _split_keys,
    "random_fold_in": _fold_in,
}
