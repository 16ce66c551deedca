"""Parameters of networks."""

from __future__ import annotations

from flowrl_dsl.graph.expr import kernel
from flowrl_dsl.graph.plain import same_result_as
from flowrl_dsl.lazy import nn


@kernel
def stored_or_new(module, name, rule, *arguments):
    """The parameter of a flax module by that name; where there is none yet, rule(key, *arguments).

    ``nn.Module.param`` also compares its shape with what the rule would give, and traces the rule for that at each use: a
    fifth of the time that an update takes to be traced.
    """
    if module.has_variable("params", name):
        return module.get_variable("params", name)
    return nn.Module.param(module, name, rule, *arguments)


@kernel
@same_result_as("nn.Module")
def module_class():
    """The class nn.Module, with parameters as ``stored_or_new`` finds them."""

    class Module(nn.Module):
        param = nn.nowrap(stored_or_new)

    return Module


@kernel
@same_result_as("nn.Dense")
def dense_layer():
    """The class nn.Dense, with parameters as ``stored_or_new`` finds them."""

    class Dense(nn.Dense):
        param = nn.nowrap(stored_or_new)

    return Dense
