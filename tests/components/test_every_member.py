"""What every critic, network, normaliser and embedding of the registry must do, whichever file it comes from.

Samplers have their tests in test_samplers.py and test_sampler_orders.py, optimizers in test_optimizers.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowrl_dsl.components.context import Context
from flowrl_dsl.driver import build_program, resolve_or_raise
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import TREE, Type
from flowrl_dsl.lowering.evaluate import evaluate, interpret
from flowrl_dsl.registry import members_of
from tests.helpers import QUICK, SIZES, algorithm, component

REQUIRED = {"mlp": "mlp([8, 8])", "hl_gauss": "hl_gauss(-2, 2)"}
"""Members with options that have no default; the others are written by their names alone."""
CONSTANT = 0.7


def written(family: str) -> list[str]:
    return [REQUIRED.get(name, name) for name in sorted(members_of(family))]


# critics


def learning() -> list[str]:
    return [REQUIRED.get(name, name) for name, cls in sorted(members_of("critic").items()) if cls.trains]


@pytest.mark.parametrize("kind", learning())
def test_every_critic_fits_a_constant(kind: str) -> None:
    """The backup is the same number everywhere: after some updates every member's value is that number, on every row."""
    sets = [
        f"critic.kind={kind}",
        f"critic.backup={CONSTANT} + 0 * mean(a_next, over = action)",
        "critic.network=mlp([16])",
        "policy.network=mlp([4])",
    ]
    sets += ["critic.optimizer=adam(0.01)", "train.batch=16"]
    found = resolve_or_raise("td3", None, sets)[0]
    program = build_program(found, SIZES.obs, SIZES.action, passes=())
    rng = np.random.default_rng(0)
    batch = {name: rng.normal(size=shape.shape).astype("f") for name, shape in program.batch_shapes().items()}
    batch["a"], batch["d"] = np.tanh(batch["a"]), np.ones_like(batch["d"])
    step = jax.jit(program._step, compiler_options=QUICK)
    state = program.init(0)
    for _ in range(400):
        state, metrics, _ = step(state, batch, {name: np.float32(value) for name, value in program.hyper.items()})
    values = ensemble_values(found, state, batch)
    np.testing.assert_allclose(values, CONSTANT, atol=0.05)
    assert float(metrics["critic_gradient_norm"]) < 0.5


def ensemble_values(found: Any, state: Any, batch: Any) -> np.ndarray:
    """Q_e(s, a) of the batch: [ensemble, batch]."""
    b = Builder("values")
    ctx = Context(b, found, SIZES, {"critic": b.input("critic", TREE)}, b.input("key", Type(dtype="u32")), owner="critic")
    s, a = b.input("s", Type(("batch", "obs"))), b.input("a", Type(("batch", "action")))
    b.output("q", ctx.q("critic", s, a))
    inputs = {"critic": state["critic"], "key": state["key"], "s": batch["s"], "a": batch["a"]}
    return np.asarray(interpret(b.finish(), inputs)["q"])


# networks

INPUTS = (("a", 2), ("t", 3), ("s", 4))
VALUES = {name: np.random.default_rng(i).normal(size=(5, size)).astype("f") for i, (name, size) in enumerate(INPUTS)}


@cache
def network(text: str) -> tuple[Any, Any]:
    """A network with random parameters, as the critic of a spec would have it."""
    sets = [f"critic.network={text}"]
    made = resolve_or_raise("td3", None, sets)[0].sections["critic"].network  # type: ignore[attr-defined]
    module = evaluate(made.module("net", INPUTS, 2), ())
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), VALUES)["params"]
    leaves, structure = jax.tree.flatten(shapes)
    rng = np.random.default_rng(0)
    filled = [(rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])).astype("f") for leaf in leaves]
    return module, jax.tree.unflatten(structure, filled)


@pytest.mark.parametrize("text", written("network"))
def test_every_network_takes_its_inputs_by_name(text: str) -> None:
    """The order in which they are handed over does not count, and each of them does."""
    net, params = network(text)
    out = net.apply({"params": params}, VALUES)
    assert out.shape == (5, 2) and np.isfinite(out).all()
    np.testing.assert_array_equal(out, net.apply({"params": params}, dict(reversed(VALUES.items()))))
    for name in VALUES:
        moved = net.apply({"params": params}, VALUES | {name: VALUES[name] + 1})
        assert (np.abs(moved - out).max(axis=-1) > 1e-6).all(), name


@pytest.mark.parametrize("text", written("network"))
@pytest.mark.parametrize("known", [("s",), ("a", "t")])
def test_every_network_takes_the_product_of_some_inputs_beforehand(text: str, known: tuple[str, ...]) -> None:
    net, params = network(text)
    projected = net.apply({"params": params}, {n: VALUES[n] for n in known}, method="project")
    rest = {n: v for n, v in VALUES.items() if n not in known}
    whole = net.apply({"params": params}, VALUES)
    np.testing.assert_allclose(net.apply({"params": params}, rest, projected), whole, rtol=1e-4, atol=1e-4)


# embeddings


@pytest.mark.parametrize("name", written("embedding"))
def test_every_embedding_tells_times_apart(name: str) -> None:
    """Features of the size it declares, finite on [0, 1], and no two times of a sampler alike."""
    made = component("embedding", name)
    module = evaluate(made.module("time"), ())
    times = jnp.linspace(0.0, 1.0, 21)
    params = module.init(jax.random.PRNGKey(0), times)
    features = np.asarray(module.apply(params, times))
    assert features.shape == (21, made.hidden) and np.isfinite(features).all()
    apart = np.linalg.norm(features[:, None] - features[None], axis=-1) + np.eye(21)
    assert apart.min() > 1e-5


# normalisers


@pytest.mark.parametrize("name", written("normalizer"))
def test_every_normaliser_ends_at_mean_0_and_deviation_1(name: str) -> None:
    """After many batches of one distribution, or given its moments, its rows have those of standard numbers."""
    made = component("normalizer", name)
    b = Builder("normalizer")
    ctx = Context(b, algorithm(), SIZES, {}, b.input("key", Type(dtype="u32")), owner="observe")
    s = b.input("s", Type(("batch", "obs")))
    b.output("fresh", made.init(ctx))
    fresh = b.finish()
    b.outputs.clear()
    moments = b.input("moments", TREE)
    b.output("moments", made.update(ctx, moments, s))
    b.output("normal", made.apply(ctx, moments, s, "normal"))
    graph = b.finish()
    rng = np.random.default_rng(0)
    centre, spread = rng.normal(size=SIZES.obs), rng.uniform(0.1, 5, size=SIZES.obs)
    rows = (centre + spread * rng.normal(size=(50, 64, SIZES.obs))).astype("f")
    known = {"s": rows[0], "key": np.zeros(2, np.uint32)}
    state = interpret(fresh, known)["fresh"]
    if made.of_data:
        state = {"mean": rows.mean((0, 1)), "std": rows.std((0, 1))}
    for batch in rows:
        found = interpret(graph, known | {"s": batch, "moments": state})
        state = found["moments"]
    normal = np.asarray(interpret(graph, known | {"s": rows.reshape(-1, SIZES.obs), "moments": state})["normal"])
    np.testing.assert_allclose(normal.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(normal.std(0), 1, atol=0.02)
