"""The machine: its description, its matrix-product speed, and its cache of compiled programs."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from flowrl_dsl.bench.timing import seconds

SHAPES = ((2048, 2048, 2048), (2560, 256, 256), (16384, 256, 256))
"""Matrix products [m, k] x [k, n] as (m, k, n): a large one, a layer of 256 units for a batch of actions, and for many."""

_SAMPLES = 5
_CACHE_SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def facts() -> dict[str, Any]:
    """The description needed to interpret a measurement."""
    import jax

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": platform.machine(),
        "cpus": usable,
        "device": str(jax.devices()[0].device_kind),
        "backend": jax.default_backend(),
        "jax": version("jax"),
        "python": platform.python_version(),
    }


def matrix_product_speed() -> float:
    """Floating-point operations of a float32 matrix product in a second: the best shape, the median of a few products."""
    return max(_speed(*shape) for shape in SHAPES)


def _speed(m: int, k: int, n: int) -> float:
    import jax
    import jax.numpy as jnp

    left, right = jnp.ones((m, k)), jnp.ones((k, n))
    product = jax.jit(jnp.matmul)

    def multiply() -> None:
        product(left, right).block_until_ready()

    multiply()
    return 2 * m * k * n / median(seconds(multiply) for _ in range(_SAMPLES))


@contextmanager
def empty_compilation_cache() -> Iterator[Path]:
    """Use a new folder for jax's compilation cache, and restore the previous one afterwards."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    before = {name: getattr(jax.config, name) for name in _CACHE_SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        try:
            jax.config.update("jax_compilation_cache_dir", folder)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
            # jax reads the folder's name once, at its first compilation
            compilation_cache.reset_cache()
            yield Path(folder)
        finally:
            for name, value in before.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
