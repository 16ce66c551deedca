"""Library functions that a printed program has in place of kernels that compute the same by quicker means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flowrl_dsl.graph.expr import Function

F = TypeVar("F", bound=Function)

WITHOUT_GRADIENT: dict[str, str] = {}
"""Functions with the values of a kernel that is there for its gradient, by the kernel's name."""

RESULTS: dict[str, str] = {}
"""What stands for the result of a kernel without arguments, by the kernel's name."""


def same_values_as(function: str) -> Callable[[F], F]:
    """Declare that a kernel differs from a library function in its gradient alone: elsewhere that function is printed."""

    def declare(kernel: F) -> F:
        WITHOUT_GRADIENT[kernel.__name__] = function
        return kernel

    return declare


def same_result_as(expression: str) -> Callable[[F], F]:
    """Declare that what a kernel without arguments returns computes as this expression, which is printed for its calls."""

    def declare(kernel: F) -> F:
        RESULTS[kernel.__name__] = expression
        return kernel

    return declare
