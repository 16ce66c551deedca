"""No name of a printed program hides another one."""

from __future__ import annotations

import ast

import pytest

from flowrl_dsl.driver import compile_report
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.expr import KERNELS, RESERVED, Arg, call
from flowrl_dsl.graph.nodes import SCALAR, TREE, Graph, Type
from flowrl_dsl.lowering.emit.functions import function_statement
from flowrl_dsl.lowering.emit.names import Names
from tests.lowering.emit.pieces import printed, tidy

ACTION = Type(("action",))


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (["q"], "q"),
        (["loss", "critic_loss"], "critic_loss"),
        (["loss"], "loss_2"),
        (["sum"], "sum_2"),
        (["lambda"], "lambda_2"),
        (["jnp"], "jnp_2"),
        (["gaussian_noise", "policy_gaussian_noise"], "policy_gaussian_noise"),
        (["draw_key"], "draw_key_2"),
        (['state["critic"]'], "state_critic"),
        (["1st", "critic_1st"], "critic_1st"),
    ],
)
def test_free_names_avoid_the_file_kernels_libraries_builtins_and_keywords(wanted, name, monkeypatch) -> None:
    monkeypatch.setitem(KERNELS, "gaussian_noise", None)
    assert Names(["loss"]).free(*wanted) == name


def test_a_name_is_given_once() -> None:
    names = Names([])
    assert [names.free("q"), names.free("q"), names.free("q", "critic_q")] == ["q", "q_2", "critic_q"]


def step(graph: Graph) -> str:
    """The function of a graph as it is printed before its kernels are simplified."""
    return printed([function_statement("step", graph, ["init", "step"])])


def test_the_argument_of_an_inner_function_hides_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss of V(s) is a function of the group ``value``, and a kernel is called ``state_value``."""
    monkeypatch.setitem(KERNELS, "state_value", None)
    b = Builder("step", "step")
    value, s = b.input("state.value", ACTION), b.input("batch.s", ACTION)
    v = b.add("QValue", call("state_value", Arg(0), Arg(1)), [value, s], ACTION, "value.v")
    loss = b.add("Loss", call("jnp.sum", Arg(0)), [v], SCALAR, "value.loss")
    b.output("state.value", b.elementwise("jnp.subtract", value, b.grad(loss, value, "value.gradient"), name="value.new"))
    b.output("metric.loss", loss)
    assert step(b.finish()) == tidy(
        """
        def step(state, batch, hyper):
            '''One update of the state, with its metrics.'''
            def value_loss(state_value_2):
                v = state_value(state_value_2, batch["s"])
                value_loss_value = jnp.sum(v)
                return value_loss_value
            value_loss_value, value_gradient = jax.value_and_grad(value_loss)(state["value"])
            value = state["value"] - value_gradient
            new_state = {"value": value}
            metrics = {"loss": value_loss_value}
            return new_state, metrics
        """
    )


def test_a_local_variable_hides_no_builtin_and_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "returns", None)
    b = Builder("step", "step")
    r = b.input("batch.r", ACTION)
    total = b.add("Backup", call("returns", Arg(0)), [r], ACTION, "critic.returns")
    largest = b.add("Backup", call("jnp.abs", Arg(0)), [total], ACTION, "critic.max")
    b.output("metric.max", largest)
    b.output("metric.returns", total)
    assert step(b.finish()) == tidy(
        """
        def step(state, batch, hyper):
            '''One update of the state, with its metrics.'''
            critic_returns = returns(batch["r"])
            critic_max = jnp.abs(critic_returns)
            new_state = {}
            metrics = {"max": critic_max, "returns": critic_returns}
            return new_state, metrics
        """
    )


def test_a_kernel_may_be_called_like_a_group_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new group is called after itself, unless a kernel has that name; parameters in a loss are ``params``."""
    monkeypatch.setitem(KERNELS, "critic", None)
    b = Builder("step", "step")
    params, s = b.input("state.critic", TREE), b.input("batch.s", ACTION)
    q = b.add("QValue", call("critic", Arg(0), Arg(1)), [params, s], ACTION, "critic.q")
    loss = b.add("Loss", call("jnp.sum", Arg(0)), [q], SCALAR, "critic.loss")
    gradient = b.grad(loss, params, "critic.gradient")
    b.output("state.critic", b.add("GradientStep", call("moved", Arg(0), Arg(1)), [params, gradient], TREE, "critic.new"))
    b.output("metric.loss", loss)
    assert step(b.finish()) == tidy(
        """
        def step(state, batch, hyper):
            '''One update of the state, with its metrics.'''
            def critic_loss(params):
                q = critic(params, batch["s"])
                critic_loss_value = jnp.sum(q)
                return critic_loss_value
            critic_loss_value, critic_gradient = jax.value_and_grad(critic_loss)(state["critic"])
            critic_new = moved(state["critic"], critic_gradient)
            new_state = {"critic": critic_new}
            metrics = {"loss": critic_loss_value}
            return new_state, metrics
        """
    )


def test_the_functions_of_a_program_and_their_arguments_are_reserved() -> None:
    """A kernel of such a name is refused, so that none is hidden."""
    functions = [
        node for node in ast.parse(compile_report("qsm", "python", None, ())).body if isinstance(node, ast.FunctionDef)
    ]
    own = [function for function in functions if function.name not in KERNELS]
    assert {"init", "step"} < {function.name for function in own}
    names = {name for function in own for name in (function.name, *(arg.arg for arg in function.args.args))}
    assert names - {"name"} <= RESERVED
