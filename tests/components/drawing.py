"""Samplers as functions, from what the registry holds of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flowrl_dsl.components.base import Sampler
from flowrl_dsl.graph.expr import resolve
from flowrl_dsl.registry import members_of


def names(capability: str, ordered: bool = False) -> list[str]:
    """The samplers that provide a capability; with ``ordered`` those whose error falls with an order."""
    found: dict[str, Any] = members_of("sampler")
    return sorted(name for name, cls in found.items() if capability in cls.provides and (cls.order or not ordered))


def sampler(name: str) -> Sampler:
    """One with the options that it has unless a spec sets them, without a bound."""
    found: Any = members_of("sampler")[name]
    one: Sampler = found.model_construct(clip=None)  # options written in the language have no value without a spec
    return one


def kernel_of(name: str) -> Callable[..., Any]:
    """The kernel of a sampler, with the arguments that are the same in every program."""
    one = sampler(name)
    return partial(resolve(one.kernel), **{key: value.value for key, value in one.constants().items()})


def drawn(name: str, *args: Any, key: Any = None, **options: Any) -> Any:
    """Actions by a sampler from (field[, alpha], noise), whether or not it takes a key or returns a log-density."""
    cls: Any = members_of("sampler")[name]
    found = kernel_of(name)(*args, **options, **({"key": key} if cls.draws else {}))
    return found[0] if cls.rated else found
