"""Small algorithms put together by hand, without the language, and ways to look inside their graphs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from flowrl_dsl.algorithm import Algorithm, Alongside, Condition, Improvement, Parameter, Single, Stage, Then, When
from flowrl_dsl.axes import union, without
from flowrl_dsl.components.context import Context
from flowrl_dsl.components.sizes import Sizes
from flowrl_dsl.components.stages import program_graphs
from flowrl_dsl.formula import Bound, Constant, Formula, Gradient, Operation, Term, Variable
from flowrl_dsl.graph.builder import Builder
from flowrl_dsl.graph.nodes import TREE, Graph, Node, Type
from flowrl_dsl.graph.verify import verify
from flowrl_dsl.lowering import lower
from flowrl_dsl.lowering.evaluate import interpret
from flowrl_dsl.lowering.program import Data, Program
from flowrl_dsl.passes import run_passes
from flowrl_dsl.record import STEP
from flowrl_dsl.registry import Component, Drawn, Scalar, functions, language_of, members_of
from flowrl_dsl.testing.traced import Traced

SIZES = Sizes(obs=3, action=2)
BATCH = 8
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options for programs that run once: half the time to compile."""
BATCH_AXES = {name: ("batch", *field.axes) for name, field in STEP.items() if name != "end"}
CAPACITY = 64


def component(family: str, name: str, **options: Any) -> Any:
    """A component; options that default to none may be left out."""
    cls = members_of(family)[name]
    absent = {key: None for key, info in cls.model_fields.items() if (language_of(info) or {}).get("default") == "none"}
    return cls(**absent | options)


def scalar(name: str, value: float | None = None, schedule: Component | None = None) -> Scalar:
    return Scalar(name=name, value=value, schedule=schedule)


# formulas


def var(name: str, *axes: str) -> Variable:
    return Variable(name, axes)


def term(value: Term | float) -> Term:
    return Constant(float(value)) if isinstance(value, int | float) else value


def ew(function: str, *operands: Term | float) -> Operation:
    """An elementwise operation."""
    terms = tuple(map(term, operands))
    return Operation(function, terms, union(*(t.axes for t in terms)))


def red(function: str, value: Term, *over: str) -> Operation:
    """A reduction, over all axes when none is named."""
    return Operation(function, (value,), without(value.axes, *over) if over else (), over)


def along(function: str, value: Term, axis: str) -> Operation:
    return Operation(function, (value,), value.axes, (axis,))


def net(function: str, *arguments: Term) -> Operation:
    """A function of the algorithm's networks, such as ``Q(s, a)``."""
    known = functions()[function]
    axes = without(union(*(t.axes for t in arguments)), *known.drops)
    return Operation(function, arguments, union(axes, known.adds))


def grad(value: Term, wrt: Variable) -> Gradient:
    return Gradient(value, wrt, wrt.axes)


def let(name: str, value: Term) -> Bound:
    return Bound(name, value, value.axes)


S, A, A_T = var("s", "batch", "obs"), var("a", "batch", "action"), var("a_t", "batch", "action")
PARTICLES = var("a", "batch", "particle", "action")
S_NEXT, A_NEXT = var("s_next", "batch", "obs"), var("a_next", "batch", "action")
TEMPERATURE = var("temperature")


def backup(future: Term) -> Formula:
    """r + discount (1 - d) future"""
    value = ew("mul", ew("mul", var("discount"), ew("sub", 1.0, var("d", "batch"))), future)
    return Formula(ew("add", var("r", "batch"), value))


MIN_Q_NEXT = red("min", net("Q_target", S_NEXT, A_NEXT), "ensemble")
SOFTMAX_Q = along("softmax", ew("div", red("mean", net("Q", S, PARTICLES), "ensemble"), TEMPERATURE), "particle")


def q_score(q: str = "Q_target") -> Formula:
    """-sigma g / (temperature mean |g|), g the gradient of the ensemble's mean at a_t."""
    g = let("g", grad(red("mean", net(q, S, A_T), "ensemble"), A_T))
    scale = ew("mul", TEMPERATURE, red("mean", ew("abs", g)))
    return Formula(ew("div", ew("mul", ew("neg", var("sigma", "batch")), g), scale))


# orders


def seq(*stages: Stage | str) -> Then:
    return Then(tuple(map(_stage, stages)))


def both(*stages: Stage | str) -> Alongside:
    return Alongside(tuple(map(_stage, stages)))


def every(n: int, stage: Stage | str) -> When:
    return When(Condition(every=n), _stage(stage))


def _stage(stage: Stage | str) -> Stage:
    return Single(stage) if isinstance(stage, str) else stage


# components


def mlp(*sizes: int, **options: Any) -> Any:
    return component("network", "mlp", sizes=sizes or (8, 8), **options)


def adam(path: str, rate: float = 1e-2, **options: Any) -> Any:
    options.setdefault("clip_norm", None)
    return component("optimizer", "adam", learning_rate=scalar(f"{path}.learning_rate", rate), **options)


def ema(path: str, rate: float = 0.1) -> Any:
    return component("target", "ema", rate=scalar(f"{path}.rate", rate))


def copy(n: int) -> Any:
    return component("target", "copy", every=n)


def sample(source: str = "policy") -> Drawn:
    return Drawn(value=component("action", "sample"), source=source)


def noisy(path: str, scale: float, clip: float | None = None, source: str = "policy") -> Drawn:
    bound = None if clip is None else scalar(f"{path}.clip", clip)
    return Drawn(value=component("action", "noise", scale=scalar(f"{path}.scale", scale), clip=bound), source=source)


def best_of(n: int, by: str = "min", source: str = "policy") -> Drawn:
    return Drawn(value=component("action", "best_of", n=n, by=by), source=source)


def sampler(name: str = "ddpm", steps: int = 2, clip: float | None = 1.0) -> Any:
    return component("sampler", name, steps=steps, clip=None if clip is None else scalar("policy.sampler.clip", clip))


def diffusion(**options: Any) -> Any:
    options.setdefault("schedule", component("noise_schedule", "cosine"))
    options.setdefault("time", component("embedding", "fourier", size=4, hidden=4))
    options.setdefault("obs", (4, 4))
    return component("backbone", "diffusion", **options)


def flow(**options: Any) -> Any:
    options.setdefault("time", component("embedding", "fourier", size=4, hidden=4))
    options.setdefault("obs", (4, 4))
    return component("backbone", "flow", **options)


def policy(backbone: Any = None, **options: Any) -> Any:
    backbone = backbone or diffusion()
    options.setdefault("network", mlp(8, 8, activation="mish"))
    options.setdefault("sampler", sampler() if backbone.name == "diffusion" else None)
    options.setdefault("optimizer", adam("policy.optimizer"))
    options.setdefault("target", None)
    options.setdefault("old", None)
    return component("section", "policy", backbone=backbone, **options)


def critic(**options: Any) -> Any:
    options.setdefault("kind", component("critic", "q"))
    options.setdefault("network", mlp(8, activation="tanh"))
    options.setdefault("optimizer", adam("critic.optimizer"))
    options.setdefault("target", ema("critic.target"))
    options.setdefault("discount", scalar("critic.discount", 0.9))
    options.setdefault("next_action", sample())
    options.setdefault("backup", backup(MIN_Q_NEXT))
    return component("section", "critic", **options)


def drawn(n: int, source: str = "policy") -> Drawn:
    return Drawn(value=n, source=source)


def improve(name: str, factor: float = 1.0, label: str = "", **options: Any) -> Improvement:
    """An improvement block with ``factor`` before it; ``formula`` is the term of the option ``weight``."""
    label = label or name
    if name == "score_matching":
        options.setdefault("target", q_score())
    if name == "weighted_regression":
        options.setdefault("particles", drawn(4))
        options.setdefault("weight", Formula(options.pop("formula", SOFTMAX_Q)))
        options.setdefault("noise", None)
        options.setdefault("clip_error", None)
    if name == "selection":
        options.setdefault("particles", drawn(4))
        options.setdefault("score", Formula(red("mean", net("Q", S, PARTICLES), "ensemble")))
        options.setdefault("weight", Formula(options.pop("formula", Constant(1.0))))
        options.setdefault("uniform_weight", scalar(f"{label}.uniform_weight", 0.25))
    if name == "reparameterized":
        options.setdefault("objective", Formula(red("min", net("Q", S, A), "ensemble")))
    if name == "drift":
        options.setdefault("particles", 4)
        options.setdefault("field", Formula(grad(red("mean", net("Q", S, PARTICLES), "ensemble"), PARTICLES)))
    if name == "likelihood_ratio":
        options.setdefault("particles", drawn(4))
        q = red("mean", net("Q", S, PARTICLES), "ensemble")
        options.setdefault("advantage", Formula(ew("sub", q, red("mean", q, "particle"))))
        options.setdefault("clip", scalar(f"{label}.clip", 0.2))
    mechanism = component("mechanism", name, **options)
    return Improvement(label=label, factor=scalar(f"{label}.factor", factor), mechanism=mechanism)


def learned(name: str, **options: Any) -> Parameter:
    options.setdefault("target_kl", None)
    options.setdefault("target_entropy", None)
    options.setdefault("optimizer", adam(f"{name}.optimizer", 3e-2))
    if isinstance(options["target_kl"], float):
        options["target_kl"] = scalar(f"{name}.target_kl", options["target_kl"])
    return Parameter(name=name, value=1.0, learned=component("adaptation", "learned", **options))


def ramp(family: str, path: str, start: float, end: float, over: int) -> Any:
    return component(family, "linear", start=scalar(f"{path}.start", start), end=scalar(f"{path}.end", end), over=over)


def fixed(name: str, value: float) -> Parameter:
    return Parameter(name=name, value=value)


def algorithm(
    *improvements: Improvement,
    order: Stage | None = None,
    parameters: tuple[Parameter, ...] = (fixed("temperature", 0.5),),
    policy: Any = None,
    critic: Any = None,
    act: tuple[Drawn, Drawn] | None = None,
    observe: Any = None,
    sampling: Any = None,
    encoder: Any = None,
    name: str = "tiny",
) -> Algorithm:
    explore, evaluate = act or (noisy("act.explore", 0.1), best_of(3))
    sections = {
        "policy": policy or globals()["policy"](),
        "critic": critic or globals()["critic"](),
        "act": component("section", "act", explore=explore, evaluate=evaluate),
        "train": component("section", "train", batch=BATCH, sampling=sampling or component("sampling", "uniform")),
    }
    if encoder is not None:
        sections["encoder"] = encoder
    if observe is not None:
        sections["observe"] = component("section", "observe", normalize=observe)
    return Algorithm(
        name=name,
        regime=component("regime", "off_policy"),
        order=order or seq("critic", "policy", "targets"),
        sections=sections,
        parameters={p.name: p for p in parameters},
        improvements=improvements or (improve("score_matching"),),
        origins={},
    )


# the algorithms of the literature, tiny


def qsm() -> Algorithm:
    return algorithm(order=seq("critic", "targets", "policy"), name="qsm")


def dpmd() -> Algorithm:
    block = improve(
        "weighted_regression",
        particles=drawn(4, "old_policy"),
        noise=scalar("noise", 0.2),
        clip_error=scalar("clip_error", 1.5),
    )
    return algorithm(
        block,
        order=seq(both("critic", "policy", "temperature"), "targets"),
        parameters=(learned("temperature", target_kl=0.4),),
        policy=policy(sampler=sampler("ddim"), old=copy(2)),
        act=(sample(), best_of(3)),
        name="dpmd",
    )


def qvpo() -> Algorithm:
    score = var("score", "batch", "particle")
    advantage = red("max", ew("sub", score, red("mean", score, "particle")), "particle")
    return algorithm(
        improve("selection", uniform=2, formula=advantage),
        order=seq(both("critic", "policy"), "targets"),
        parameters=(),
        policy=policy(target=ema("policy.target")),
        critic=critic(next_action=best_of(2, "mean", "policy_target")),
        act=(sample(), best_of(4)),
        name="qvpo",
    )


def sac() -> Algorithm:
    entropy = ew("mul", TEMPERATURE, net("log_prob", S_NEXT, A_NEXT))
    objective = ew("sub", red("min", net("Q", S, A), "ensemble"), ew("mul", TEMPERATURE, net("log_prob", S, A)))
    return algorithm(
        improve("reparameterized", objective=Formula(objective)),
        order=seq("critic", "policy", "temperature", "targets"),
        parameters=(learned("temperature", target_entropy=Formula(ew("neg", var("A")))),),
        policy=policy(component("backbone", "tanh_gaussian")),
        critic=critic(backup=backup(ew("sub", MIN_Q_NEXT, entropy))),
        act=(sample(), Drawn(value=component("action", "mean"))),
        name="sac",
    )


def td3() -> Algorithm:
    return algorithm(
        improve("reparameterized", objective=Formula(red("mean", net("Q", S, A), "ensemble"))),
        order=seq("critic", every(2, seq("policy", "targets"))),
        parameters=(),
        policy=policy(component("backbone", "deterministic"), target=ema("policy.target")),
        critic=critic(reduction="sum", next_action=noisy("critic.next_action", 0.2, 0.5, "policy_target")),
        act=(noisy("act.explore", 0.1), Drawn(value=component("action", "mean"))),
        observe=component("normalizer", "running"),
        name="td3",
    )


def bptt() -> Algorithm:
    return algorithm(
        improve("reparameterized"),
        order=seq(both("critic", every(2, "policy")), "targets"),
        parameters=(),
        name="bptt",
    )


def ratio() -> Algorithm:
    return algorithm(
        improve("likelihood_ratio", particles=drawn(4, "old_policy")),
        order=seq("critic", every(2, "policy"), "temperature", "targets"),
        parameters=(learned("temperature", target_entropy=Formula(Constant(-1.0))),),
        policy=policy(component("backbone", "tanh_gaussian"), old=copy(2)),
        name="ratio",
    )


def hybrid() -> Algorithm:
    """Two blocks, a scheduled parameter and a scheduled learning rate."""
    rate = scalar("policy.optimizer.learning_rate", schedule=ramp("schedule", "rate", 1e-2, 1e-3, 4))
    optimizer = component("optimizer", "adam", learning_rate=rate, clip_norm=scalar("policy.optimizer.clip_norm", 0.5))
    schedule = ramp("schedule", "temperature", 1.0, 0.1, 4)
    return algorithm(
        improve("weighted_regression"),
        improve("score_matching", 0.5),
        parameters=(Parameter(name="temperature", value=1.0, schedule=schedule),),
        policy=policy(optimizer=optimizer, sampler=sampler("ddim")),
        name="hybrid",
    )


def nclql() -> Algorithm:
    """An energy policy: its one mechanism trains the critic."""
    size, beta = scalar("policy.sampler.size", 1e-3), scalar("policy.sampler.beta", 5.0)
    features = component("embedding", "positional", size=4, hidden=3, fastest=1.0, inner=5)
    sampler = component("sampler", "annealed_langevin", steps=2, size=size, beta=beta)
    return algorithm(
        improve("value_denoising"),
        parameters=(),
        policy=policy(component("backbone", "energy"), sampler=sampler),
        critic=critic(kind=component("critic", "noise_conditioned", levels=3, low=0.01, high=0.2, index=features)),
        act=(sample(), sample()),
        name="nclql",
    )


def rfm() -> Algorithm:
    """A flow whose velocity regresses to the mean over reverse samples, weighted by their values."""
    a_hat, noise_hat = (var(name, "batch", "reverse", "action") for name in ("a_hat", "noise_hat"))
    weight = along("softmax", ew("div", red("min", net("Q", S, a_hat), "ensemble"), TEMPERATURE), "reverse")
    mean = red("sum", ew("mul", weight, ew("sub", a_hat, noise_hat)), "reverse")
    return algorithm(
        improve("score_matching", target=None, velocity=Formula(mean), reverse=3),
        policy=policy(flow(), sampler=sampler("heun")),
        name="rfm",
    )


def td7() -> Algorithm:
    """Embeddings, a bounded range of values, prioritised batches and Huber's loss."""
    lap = component(
        "sampling", "lap", alpha=scalar("train.sampling.alpha", 0.4), floor=scalar("train.sampling.floor", 0.1), refresh=3
    )
    fitted = {"network": mlp(4, activation="elu"), "optimizer": adam("encoder.optimizer")}
    kept = Operation("within_seen", (MIN_Q_NEXT,), ("batch",))
    return algorithm(
        improve("reparameterized", objective=Formula(red("mean", net("Q", S, A), "ensemble"))),
        order=seq("encoder", "critic", every(2, "policy"), "targets"),
        parameters=(),
        policy=policy(component("backbone", "deterministic"), target=copy(2)),
        critic=critic(
            kind=component("critic", "q", huber=scalar("critic.kind.huber", 0.5)),
            target=copy(2),
            seen=copy(2),
            next_action=noisy("critic.next_action", 0.2, 0.5, "policy_target"),
            backup=backup(kept),
        ),
        act=(noisy("act.explore", 0.1), Drawn(value=component("action", "mean"))),
        sampling=lap,
        encoder=component("section", "encoder", size=3, input_layer=4, target=copy(2), **fitted),
        name="td7",
    )


ALGORITHMS = {f.__name__: f for f in (qsm, dpmd, qvpo, sac, td3, bptt, ratio, hybrid, nclql, rfm, td7)}


# graphs and programs


def graphs_of(alg: Algorithm, *, passes: bool = True) -> tuple[dict[str, Graph], dict[str, float]]:
    graphs, hyper = program_graphs(alg, SIZES, alg.regime.fields(alg))
    if passes:
        graphs = {name: run_passes(graph, rows=6, check_each=True)[0] for name, graph in graphs.items()}
    return graphs, hyper


def program_of(alg: Algorithm, capacity: int = CAPACITY) -> Program:
    graphs, hyper = graphs_of(alg)
    return lower(alg.name, graphs, hyper, data_of(alg, capacity), (SIZES.obs, SIZES.action))


def data_of(alg: Algorithm, capacity: int = CAPACITY) -> Data:
    return Data(alg.regime.stored(alg), alg.regime.source(alg, envs=1), capacity, BATCH)


@cache
def program(name: str) -> Program:
    """The program of one of ``ALGORITHMS``, compiled at most once in a test run."""
    return program_of(ALGORITHMS[name]())


def fresh(name: str) -> dict[str, Any]:
    """A state for ``program(name)``: a step may consume it."""
    return random_state(ALGORITHMS[name]())


def batch(seed: int = 0, size: int = BATCH) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = {
        "s": rng.normal(size=(size, SIZES.obs)),
        "a": rng.uniform(-1, 1, (size, SIZES.action)),
        "r": rng.normal(size=size),
        "d": rng.integers(0, 2, size),
        "s_next": rng.normal(size=(size, SIZES.obs)),
    }
    return {name: jax.numpy.asarray(value, "float32") for name, value in rows.items()}


def replay(seed: int = 1, size: int = 32) -> dict[str, Any]:
    return {**batch(seed, size), "size": jax.numpy.int32(size), "total": jax.numpy.int32(size)}


def random_state(alg: Algorithm, seed: int = 0) -> dict[str, Any]:
    """A state with random parameters, the copies unlike their originals, and fresh optimizers: nothing is compiled."""
    graph = graphs_of(alg, passes=False)[0]["init"]
    key = jax.ShapeDtypeStruct((2,), "uint32")
    shapes = jax.eval_shape(lambda key: interpret(graph, {"key": key}), key)
    rng = np.random.default_rng(seed)

    def fill(group: str, leaf: Any) -> Any:
        if group.endswith("_opt") or group == "normalizer":
            return np.zeros(leaf.shape, leaf.dtype)
        return (0.5 * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    state = {}
    for name, tree in shapes.items():
        group = name.removeprefix("state.")
        state[group] = jax.tree.map(lambda leaf, group=group: fill(group, leaf), tree)
    fixed = {"key": np.asarray(jax.random.PRNGKey(seed)), "step": np.int32(0), "bad_update": np.int32(-1)}
    return state | fixed


def random_params(net: Any, *examples: Any, seed: int = 0, scale: float = 0.5) -> Any:
    """Random parameters of a module, biases too: nothing is compiled, and no bias that is forgotten stays hidden."""
    shapes = jax.eval_shape(net.init, jax.random.PRNGKey(0), *examples)["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: (scale * rng.normal(size=leaf.shape)).astype("f"), shapes)


class Seen:
    """All values of one interpreted run of a graph: ``seen["policy.loss"]``; ``outputs`` by name.

    The run is traced as a whole and evaluated by NumPy, in a fraction of the time to compile it, unless it is ``eager``;
    conditions must then depend on the counter alone.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, Any], *, eager: bool = False):
        self.graph = graph

        def run(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            values: dict[str, Any] = {**inputs, **known}
            outputs = interpret(graph, values, lambda node, value: values.__setitem__(node.name, value))
            return outputs, dict(values)

        known = {name: value for name, value in inputs.items() if name == "state.step"}
        others = {name: value for name, value in inputs.items() if name not in known}
        self.outputs, self.values = (run if eager else Traced(run, others))(others)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def node(self, name: str) -> Node:
        return self.graph.nodes[name]

    def inputs(self, name: str) -> list[Any]:
        return [self.values[i] for i in self.graph.nodes[name].inputs]

    def named(self, suffix: str) -> Any:
        """The value of the only node whose name ends so."""
        names = [name for name in self.values if name == suffix or name.endswith("." + suffix)]
        assert len(names) == 1, (suffix, names)
        return self.values[names[0]]

    @property
    def state(self) -> dict[str, Any]:
        return {name.removeprefix("state."): v for name, v in self.outputs.items() if name.startswith("state.")}

    @property
    def metrics(self) -> dict[str, float]:
        return {name.removeprefix("metric."): float(v) for name, v in self.outputs.items() if name.startswith("metric.")}


def loss_of(
    alg: Algorithm,
    state: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    gradient: bool = False,
    newer: Mapping[str, Any] = MappingProxyType({}),
) -> Seen:
    """The loss of the first improvement block alone, as outputs ``loss`` and, when asked for, ``gradient``.

    It reads the groups of ``newer`` as stages before it would have written them.
    """
    b = Builder("loss")
    groups = [name for name in state if name not in ("key", "step", "bad_update")]
    versions = {group: b.input(f"{'newer' if group in newer else 'state'}.{group}", TREE) for group in groups}
    key = b.input("key", Type(dtype="u32"))
    ctx = Context(b, alg, SIZES, versions, key, owner="policy")
    inputs = {f"batch.{name}": b.input(f"batch.{name}", Type(axes)) for name, axes in BATCH_AXES.items()}
    found = alg.improvements[0].mechanism.loss(ctx, inputs["batch.s"], inputs["batch.a"])
    loss = found.value
    b.output("loss", loss)
    for name, value in (ctx.report.metrics | found.measures).items():
        b.output(f"metric.{name}", value)
    if gradient:
        b.output("gradient", b.grad(loss, versions["policy"], "gradient"))
    graph = b.finish()
    verify(graph)
    values = {"key": state["key"], **{f"state.{g}": state[g] for g in groups}}
    values |= {f"newer.{name}": value for name, value in newer.items()}
    values |= {f"batch.{name}": data[name] for name in BATCH_AXES}
    return Seen(graph, values | {f"hyper.{name}": np.float32(x) for name, x in ctx.report.hyper.items()})


def run_step(alg: Algorithm, state: Mapping[str, Any], data: Mapping[str, Any], *, passes: bool = False) -> Seen:
    """One step, interpreted, with every value kept."""
    graphs, hyper = graphs_of(alg, passes=passes)
    return Seen(graphs["step"], Program.step_inputs(dict(state), dict(data), hyper))


def kept(tree: Any) -> Any:
    """The tree on the host, where no donation can delete it."""
    return jax.tree.map(np.array, tree)


def same(left: Any, right: Any) -> bool:
    """Whether two trees are equal bit for bit."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return jax.tree.structure(left) == jax.tree.structure(right) and all(
        np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs
    )


def close(left: Any, right: Any, **tolerance: float) -> None:
    """Assert that two trees agree to float tolerance."""
    tolerance = {"rtol": 1e-4, "atol": 1e-5} | tolerance
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for x, y in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), **tolerance)
