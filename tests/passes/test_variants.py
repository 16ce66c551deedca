"""Variants that kernels declare: passes choose them whoever wrote the kernel, and leave alone what declares none."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

from flowrl_dsl import registry
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import KERNELS, Arg, Call, Variant, as_variant, build, call, kernel, variants
from flowrl_dsl.graph.nodes import Graph, Type
from flowrl_dsl.graph.text import print_graph
from flowrl_dsl.lazy import jax, jnp
from flowrl_dsl.lowering.emit.kernels import kernel_definition
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.passes import run_passes

ACTIONS = Type(("batch", "particle", "action"))
VALUES = Type(("ensemble", "batch", "particle"))


@kernel(quick="fast")
def their_noise(params, a, fast=False):
    """A kernel of a plugin: every row of actions, moved a little."""
    return a + (0.25 if fast else jnp.sqrt(0.0625)) * params


@kernel(chunk="rows")
def their_field_once(net, params, a, rows=None):
    """A velocity with its condition computed beforehand."""
    return lambda a_t, t: a_t * params


@kernel(given="their_field_once")
def their_field(net, params, a):
    """The same velocity."""
    return lambda a_t, t: a_t * params


@kernel(together="most")
def their_values(params, a, most=None):
    """A value of an ensemble of one."""
    return jnp.sum(params * a, axis=-1)[None]


@kernel
def their_quick_cube(x):
    """x^3, in two multiplications."""
    return x * x * x


@kernel(cheap="their_quick_cube")
def their_cube(x):
    """x^3"""
    return jnp.power(x, 3)


@kernel(split="by_input", activation="act")
def their_network(inputs, act, by_input=False):
    """A network of a plugin."""


@kernel
def their_sampler(field, a):
    """One step along a field."""
    return a + field(a, 0.0)


@kernel
def their_secret_draw(key, quick=False):
    """A kernel that declares nothing, whatever its arguments are called."""
    return jax.random.normal(key, (3,))


def one_node(op: str, expression: Call, type: Type = ACTIONS) -> Graph:
    """A graph of one node, of parameters and many actions for each state."""
    b = Builder("t")
    inputs = [b.input("state.p", Type()), b.input("state.a", ACTIONS)]
    b.output("o", b.add(op, expression, inputs, type, "x"))
    return b.finish()


def optimised(graph: Graph) -> str:
    return print_graph(run_passes(graph)[0])


def test_a_plugin_draws_quickly_and_computes_the_same_values() -> None:
    graph = one_node("Noise", call(their_noise, Arg(0), Arg(1)))
    assert "= their_noise($0, $1, fast=True)" in optimised(graph)
    inputs = {"state.p": np.float32(2), "state.a": np.ones((2, 3, 1), "f")}
    np.testing.assert_array_equal(interpret(graph, inputs)["o"], interpret(run_passes(graph)[0], inputs)["o"])


def test_a_field_of_a_plugin_is_conditioned_once_and_computed_in_pieces() -> None:
    network = call(their_field, None, Arg(0), Arg(1))
    graph = one_node("Sample", call(their_sampler, network, Arg(1)))
    assert "their_field(None, $0, $1)" in print_graph(graph)
    assert "their_field_once(None, $0, $1, rows=4096)" in optimised(graph)


def test_an_ensemble_of_a_plugin_is_computed_member_by_member() -> None:
    text = optimised(one_node("QValue", call(their_values, Arg(0), Arg(1)), VALUES))
    assert "in pieces of 4096 = their_values($0, $1, most=1024)" in text


def test_a_network_of_a_plugin_is_split_and_has_a_cheap_activation() -> None:
    network = build("net", their_network, inputs=(("a", 2),), act="their_cube")
    text = optimised(one_node("Sample", call(their_sampler, network, Arg(1))))
    assert "module net_by_input_quick = their_network(inputs=(('a', 2),), act='their_quick_cube', by_input=True)" in text


def test_what_declares_no_variant_stays_as_it_is() -> None:
    graph = one_node("Noise", call(their_secret_draw, Arg(0)))
    assert optimised(graph) == print_graph(graph)


def test_an_option_that_a_component_sets_itself_stays() -> None:
    written = call(their_values, Arg(0), Arg(1), most=16)
    assert as_variant(written, "together", 1024) == written


def test_a_variant_must_exist() -> None:
    def lonely(x): ...

    for declared in ({"quick": "fast"}, {"given": "no_such_kernel"}):
        with pytest.raises(ValueError, match=r"kernel lonely: \w+ is neither one of its parameters nor a kernel"):
            kernel(**declared)(lonely)
    with pytest.raises(ValueError, match="kernel lonely: no pass asks for a variant speedy, only for quick, given"):
        kernel(speedy="x")(lonely)
    assert "lonely" not in KERNELS


def test_kernels_are_printed_without_their_decorators() -> None:
    printed = {name: ast.unparse(kernel_definition(name)) for name in KERNELS}
    assert printed["their_quick_cube"].startswith('def their_quick_cube(x):\n    """x^3, in')
    assert printed["their_field"].startswith("def their_field(net, params, a):")
    assert not any(source.startswith("@") for source in printed.values())


def test_a_shipped_kernel_does_without_the_options_of_its_variants() -> None:
    """Components call kernels as they are: an option that a pass sets has a default that turns it off."""
    registry.families()
    declared = {(name, kind): variant for name in KERNELS for kind, variant in variants(name).items()}
    assert declared["denoise_at", "given"] == Variant("denoise_given")
    for (name, kind), variant in declared.items():
        if variant.option and kind != "activation":
            assert not inspect.signature(KERNELS[name]).parameters[variant.option].default, (name, kind)
