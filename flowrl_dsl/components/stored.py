"""Parameters of networks."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.graph.plain import same_result_as
from flowrl_dsl.lazy import nn


@kernel
def stored_or_new(module, name, rule, *arguments):
    """The parameter of a flax module by that name, or rule(key, *arguments) if there is none yet.

    ``nn.Module.param`` also compares its shape with that of the rule, and therefore traces the rule at each use: a fifth of
    the tracing time of an update.
    """
    if module.has_variable("params", name):
        return module.get_variable("params", name)
    return nn.Module.param(module, name, rule, *arguments)


@kernel
@same_result_as("nn.Module")
def module_class():
    """The class nn.Module with parameters by ``stored_or_new``."""

    class Module(nn.Module):
        param = nn.nowrap(stored_or_new)

    return Module


@kernel
@same_result_as("nn.Dense")
def dense_layer():
    """The class nn.Dense with parameters by ``stored_or_new``."""

    class Dense(nn.Dense):
        param = nn.nowrap(stored_or_new)

    return Dense
