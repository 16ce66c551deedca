"""jax, flax and optax, imported when first used.

Component files are read by the checker, which must answer without loading jax; their numerical functions use these names.
Type checkers see the modules themselves.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


class _Lazy:
    """Stands for a module until one of its attributes is needed."""

    def __init__(self, module: str):
        self._module = module

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._module), attribute)
        setattr(self, attribute, value)
        return value


if TYPE_CHECKING:
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
else:
    jax = _Lazy("jax")
    jnp = _Lazy("jax.numpy")
    nn = _Lazy("flax.linen")
    optax = _Lazy("optax")
    np = _Lazy("numpy")

MODULES: dict[str, Any] = {"jax": jax, "jnp": jnp, "nn": nn, "optax": optax}
