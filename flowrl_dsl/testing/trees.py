"""Trees of arrays: on the host and on the device, compared up to rounding or bitwise."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RTOL, ATOL = 2e-3, 2e-5
"""By how much two ways to compute the same may differ: relative to the largest number of an array, and absolutely."""


def on_host(tree: Any) -> Any:
    """The tree as NumPy arrays, which donation cannot delete."""
    return jax.tree.map(np.array, tree)


def as_arrays(tree: Any) -> Any:
    """A copy of the tree on the device, which a step may consume."""
    return jax.tree.map(jnp.array, tree)


@cache
def _compiler_log() -> list[str]:
    log: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            log.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return log


def compilations() -> int:
    """The number of executables compiled in this process since the first call of this function."""
    return len(_compiler_log())


def same_structure(left: Any, right: Any) -> bool:
    """Whether two trees differ only in their leaves."""
    here: Any = jax.tree.structure(left)
    return bool(here == jax.tree.structure(right))


def assert_close(what: str, left: Any, right: Any, rtol: float = RTOL, atol: float = ATOL) -> None:
    """Trees of equal structure agree: arrays within ``atol`` + ``rtol`` times the largest magnitude; nan equals only nan."""
    assert same_structure(left, right), f"{what}: trees of different structure"
    for (path, x), y in zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True):
        difference = unlike(np.asarray(x), np.asarray(y), rtol, atol)
        assert not difference, f"{what}{jax.tree_util.keystr(path)}: {difference}\n{x}\n{y}"


def unlike(x: np.ndarray, y: np.ndarray, rtol: float = RTOL, atol: float = ATOL) -> str:
    """A description of how two arrays differ by more than rounding; empty if they do not."""
    if x.shape != y.shape:
        return f"shapes {x.shape} and {y.shape}"
    if x.dtype.kind != "f":
        return "" if np.array_equal(x, y) else "not the same"
    if not np.array_equal(np.isnan(x), np.isnan(y)):
        return "nan in different places"
    scale = max(np.abs(v[np.isfinite(v)]).max(initial=0.0) for v in (x, y))
    difference = np.abs(np.nan_to_num(x) - np.nan_to_num(y)).max(initial=0.0)
    close = difference <= atol + rtol * scale
    return "" if close else f"differ by {difference:.3g} where the largest number is {scale:.3g}"


def distance(x: Any, y: Any) -> float:
    """The largest difference of two arrays; infinite if one of them is not finite."""
    x, y = np.asarray(x), np.asarray(y)
    finite = x.dtype.kind == "f" and np.isfinite(x).all() and np.isfinite(y).all()
    return float(np.abs(x - y).max(initial=0.0)) if finite else np.inf


def furthest(x: Any, others: Iterable[Any]) -> float:
    """The largest distance to one of the others; non-finite ones are ignored."""
    return max((d for other in others if (d := distance(x, other)) < np.inf), default=0.0)


def assert_equal(what: str, left: Any, right: Any) -> None:
    """Trees are bitwise equal."""
    assert same_structure(left, right), f"{what}: trees of different structure"
    for (path, x), y in zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True):
        equal = np.array_equal(np.asarray(x), np.asarray(y), equal_nan=np.asarray(x).dtype.kind == "f")
        assert equal, f"{what}{jax.tree_util.keystr(path)}: not bit for bit the same\n{x}\n{y}"
