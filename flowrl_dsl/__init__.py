"""A language and compiler for reinforcement learning with diffusion and flow policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowrl_dsl.api import Compiled, Policy, Run, load, load_policy, train
    from flowrl_dsl.diagnostics import DiagnosticError

__version__ = "0.2.0"
__all__ = ["Compiled", "DiagnosticError", "Policy", "Run", "__version__", "load", "load_policy", "train"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first used: the command line needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = "flowrl_dsl.diagnostics" if name == "DiagnosticError" else "flowrl_dsl.api"
    return getattr(import_module(home), name)
