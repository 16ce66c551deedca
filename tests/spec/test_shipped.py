"""The shipped specs say what the papers say; docs of the values: algorithms.md, sections 2 and 3."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowrl_dsl.algorithm import Alongside, Condition, Single, Then, When, show_stage
from flowrl_dsl.formula import functions, variables
from flowrl_dsl.registry import Scalar
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse_file
from tests.spec.helpers import algorithm_of, calls_of

SPECS = shipped_specs()
TASKS = (None, "Hopper-v5", "Ant-v5", "HalfCheetah-v5")
GEMPO = ("gempo_exp", "gempo_linear", "gempo_square")
HYBRIDS = ("dime_redq", "drift_entropy", "edm_mirror", "flow_anchor", "qsm_dpmd", "qsm_td7", "sdac_quantile")
OURS = (
    "dacer",
    "diffusion_bptt",
    "dpmd",
    "driftpo",
    *GEMPO,
    "idem",
    "nclql",
    "qsm",
    *HYBRIDS,
    "qvpo",
    "redq",
    "rfm",
    "rfm_flow",
    "sac",
    "sdac",
    "td3",
    "td7",
)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", SPECS)
def test_resolves_without_a_finding(name: str, task: str | None) -> None:
    found = resolve(str(SPECS[name]), task=task)
    algorithm_of(found)
    assert list(found.diagnostics) == []


@pytest.mark.parametrize("name", SPECS)
def test_is_short_and_formatted(name: str) -> None:
    text = SPECS[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 36
    assert sum(not line.lstrip().startswith("#") for line in text.splitlines() if line.strip()) <= 30
    assert text.startswith("# ")
    assert format_file(parse_file(SPECS[name])[0]) == text


def test_the_agreed_specs_are_there() -> None:
    assert {*OURS} <= {*SPECS}


def test_qsm() -> None:
    algorithm = algorithm_of(resolve("qsm"))
    assert algorithm.paper == "arXiv:2312.11752"
    assert algorithm.order == Then((Single("critic"), Single("targets"), Single("policy")))
    policy, act = algorithm.sections["policy"], algorithm.sections["act"]
    assert (policy.sampler.steps, policy.sampler.clip) == (20, Scalar(name="policy.sampler.clip", value=1.0))
    assert (policy.network.sizes, policy.network.activation) == ((256, 256, 256), "mish")
    assert (act.explore.value.scale.value, act.evaluate.value.n) == (0.1, 10)
    assert algorithm.parameters["temperature"].value == 0.1
    assert str(algorithm.parameters["temperature"].interval) == "(0, 10]"


def test_sac() -> None:
    algorithm = algorithm_of(resolve("sac"))
    assert show_stage(algorithm.order) == "critic -> policy -> temperature -> targets"
    learned = algorithm.parameters["temperature"].learned
    assert learned.init == 1.0 and learned.target_entropy.text == "-A" and learned.target_kl is None
    assert learned.optimizer.learning_rate == Scalar(name="temperature.optimizer.learning_rate", value=3e-4)
    assert [p.name for p in algorithm.learned()] == ["temperature"]


def test_td3() -> None:
    algorithm = algorithm_of(resolve("td3"))
    assert algorithm.order == Then((Single("critic"), When(Condition(2), Then((Single("policy"), Single("targets"))))))
    critic = algorithm.sections["critic"]
    assert critic.reduction == "sum" and critic.next_action.source == "policy_target"
    assert (critic.next_action.value.scale.value, critic.next_action.value.clip.value) == (0.2, 0.5)


@pytest.mark.parametrize(("task", "kl"), [(None, 2.0), ("Hopper-v5", 3.0), ("Ant-v5", 1.0), ("Walker2d-v5", 2.0)])
def test_dpmd(task: str | None, kl: float) -> None:
    algorithm = algorithm_of(resolve("dpmd", task=task))
    together = Alongside((Single("critic"), Single("policy"), Single("temperature")))
    assert algorithm.order == Then((together, Single("targets")))
    assert algorithm.parameters["temperature"].learned.target_kl.value == kl
    assert algorithm.task == task
    (block,) = algorithm.improvements
    assert (block.mechanism.particles.value, block.mechanism.particles.source) == (64, "old_policy")
    assert algorithm.sections["policy"].old.every == 1000


@pytest.mark.parametrize(("task", "kl"), [(None, 2.0), ("Hopper-v5", 2.5), ("Ant-v5", 1.5), ("Walker2d-v5", 2.0)])
@pytest.mark.parametrize("name", GEMPO)
def test_gempo(name: str, task: str | None, kl: float) -> None:
    algorithm, base = (algorithm_of(resolve(spec, task=task)) for spec in (name, "dpmd"))
    assert algorithm.parameters["temperature"].learned.target_kl.value == kl
    (block,), (plain,) = algorithm.improvements, base.improvements
    assert block.mechanism.clip_error.value == 5.0
    assert (block.mechanism.particles, block.mechanism.noise) == (plain.mechanism.particles, plain.mechanism.noise)
    assert algorithm.order == base.order and algorithm.sections == base.sections
    function = {"gempo_exp": "softmax", "gempo_linear": "simplex_linear", "gempo_square": "simplex_square"}[name]
    assert block.mechanism.weight.term.function == function
    lines = [line for line in SPECS[name].read_text(encoding="utf-8").splitlines() if line.strip()]
    assert sum(not line.startswith("#") for line in lines) <= 15


@pytest.mark.parametrize(
    ("task", "strength", "reach"), [(None, 4, 1), ("Hopper-v5", 2, 1), ("Walker2d-v5", 2, 1), ("Humanoid-v5", 4, 0.5)]
)
def test_driftpo(task: str | None, strength: float, reach: float) -> None:
    algorithm = algorithm_of(resolve("driftpo", task=task))
    assert show_stage(algorithm.order) == "critic -> policy -> targets"
    assert {name: p.value for name, p in algorithm.parameters.items()} == {"strength": strength, "reach": reach}
    assert algorithm.sections["policy"].backbone.noise == 16 and algorithm.sections["critic"].ensemble == 5
    (block,) = algorithm.improvements
    assert (block.mechanism.particles, block.mechanism.others) == (1, 32)
    assert "min(subset(Q_target(s_next, a_next), 2), over = ensemble)" in algorithm.sections["critic"].backup.text


@pytest.mark.parametrize(("task", "start"), [(None, 0.3), ("HalfCheetah-v5", 0.45), ("Humanoid-v5", 0.45)])
def test_dacer(task: str | None, start: float) -> None:
    algorithm = algorithm_of(resolve("dacer", task=task))
    assert show_stage(algorithm.order) == "[critic, every(2, policy), every(10000, noise_scale)] -> targets"
    learned = algorithm.parameters["noise_scale"].learned
    assert (learned.init, learned.target_entropy.text, learned.optimizer.learning_rate.value) == (start, "-0.9 * A", 3e-2)
    assert (learned.entropy.components, learned.entropy.samples, learned.entropy.states) == (3, 200, None)
    assert learned.entropy.noise == algorithm.sections["critic"].next_action.value.scale == Scalar(name="noise_scale")
    assert algorithm.sections["act"].evaluate.value.name == "sample"
    rates = [algorithm.sections[name].optimizer.learning_rate.value for name in ("policy", "critic")]
    assert rates == [1e-4, 1e-4] and algorithm.sections["critic"].backup.text.startswith("0.2 * r + ")
    assert algorithm.sections["act"].explore.value.scale == Scalar(name="noise_scale")
    assert algorithm.sections["critic"].kind.name == "gaussian"


def test_dacer_measures_its_entropy_over_the_whole_batch_of_the_control_suite() -> None:
    algorithm = algorithm_of(resolve("dacer", task="dm_control/cartpole-swingup"))
    assert algorithm.sections["train"].batch == 512
    assert algorithm.parameters["noise_scale"].learned.entropy.states is None


def test_redq() -> None:
    algorithm, base = (algorithm_of(resolve(spec)) for spec in ("redq", "sac"))
    assert show_stage(algorithm.order) == "critic -> targets -> every(20, policy -> temperature)"
    critic, train = algorithm.sections["critic"], algorithm.sections["train"]
    assert (critic.ensemble, train.updates) == (10, 20)
    assert critic.backup.term.function == "add" and algorithm.sections["policy"] == base.sections["policy"]
    assert algorithm.improvements[0].mechanism.objective.text.startswith("mean(Q(s, a), over = ensemble)")


@pytest.mark.parametrize(("task", "bins", "most"), [(None, 101, 200), ("HalfCheetah-v5", 201, 1500)])
def test_qsm_hl_gauss(task: str | None, bins: int, most: float) -> None:
    algorithm, base = (algorithm_of(resolve(spec, task=task)) for spec in ("qsm_hl_gauss", "qsm"))
    kind = algorithm.sections["critic"].kind
    assert (kind.name, kind.bins, kind.v_max) == ("hl_gauss", bins, most)
    assert algorithm.improvements == base.improvements and algorithm.sections["policy"] == base.sections["policy"]


@pytest.mark.parametrize(("task", "n"), [(None, 2), ("HalfCheetah-v5", 4), ("Hopper-v5", None)])
def test_qvpo(task: str | None, n: int | None) -> None:
    algorithm = algorithm_of(resolve("qvpo", task=task))
    next_action = algorithm.sections["critic"].next_action
    assert next_action.source == "policy_target" and getattr(next_action.value, "n", None) == n
    (block,) = algorithm.improvements
    assert (block.mechanism.uniform, block.mechanism.uniform_weight.value) == (10, 0.01)
    assert algorithm.sections["act"].evaluate.value.n == 32


def test_the_hybrid_starts_from_dpmd() -> None:
    algorithm = algorithm_of(resolve("qsm_dpmd"))
    regression, score = algorithm.improvements
    assert regression.mechanism.particles.value == 32 and regression.mechanism.noise.value == 0.2
    assert regression.factor == Scalar(name="weighted_regression.factor", value=1.0)
    assert score.factor == Scalar(name="score_matching.factor", value=0.5)
    assert algorithm.paper == "unpublished"


@pytest.mark.parametrize("name", [*HYBRIDS, "flow_steps", "flow_mirror"])
def test_a_hybrid_is_short_and_says_that_nobody_has_published_it(name: str) -> None:
    lines = [line for line in SPECS[name].read_text(encoding="utf-8").splitlines() if line.strip()]
    assert sum(not line.startswith("#") for line in lines) <= 20
    assert algorithm_of(resolve(name)).paper == "unpublished"


def test_reinflow_and_its_hybrids() -> None:
    reinflow, steps, mirror = (algorithm_of(resolve(name)) for name in ("reinflow", "flow_steps", "flow_mirror"))
    sampler = reinflow.sections["policy"].sampler
    assert (sampler.name, sampler.steps, sampler.low.value, sampler.high.value) == ("noisy_euler", 4, 0.1, 0.24)
    assert reinflow.parameters["reach"].value == 0.01 and steps.sections["policy"].sampler == sampler
    whole, each = reinflow.improvements[0].mechanism, steps.improvements[0].mechanism
    assert "step_log_prob" in functions(whole.ratio) and "step_entropy" in functions(each.objective)
    assert "steps_left" in variables(each.objective) and "steps_left" not in variables(whole.objective)
    assert "gain" in variables(mirror.improvements[0].mechanism.weight) and mirror.sections["policy"].old is None


def test_sdac_quantile() -> None:
    algorithm, base = (algorithm_of(resolve(spec)) for spec in ("sdac_quantile", "sdac"))
    critic, (block,) = algorithm.sections["critic"], algorithm.improvements
    assert (critic.kind.name, critic.ensemble) == ("quantile", 5)
    assert block.mechanism.reverse == 500 and block.mechanism.target.text == base.improvements[0].mechanism.target.text
    assert {"std", "Q"} <= functions(block.mechanism.target) and {"std", "Q_target"} <= functions(critic.backup)
    assert algorithm.order == base.order and algorithm.sections["policy"] == base.sections["policy"]


def test_flow_anchor() -> None:
    algorithm = algorithm_of(resolve("flow_anchor"))
    anchor, climb = algorithm.improvements
    assert anchor.factor == Scalar(name="anchor") and climb.factor.value == 1
    assert algorithm.parameters["anchor"].schedule.over == 100_000
    assert (anchor.mechanism.name, climb.mechanism.name) == ("weighted_regression", "reparameterized")
    policy = algorithm.sections["policy"]
    assert (policy.backbone.name, policy.sampler.name, policy.sampler.steps) == ("flow", "midpoint", 4)


@pytest.mark.parametrize(("task", "kl"), [(None, 2.0), ("Hopper-v5", 2.5)])
def test_edm_mirror(task: str | None, kl: float) -> None:
    algorithm, base = (algorithm_of(resolve(spec, task=task)) for spec in ("edm_mirror", "gempo_square"))
    policy = algorithm.sections["policy"]
    assert (policy.backbone.name, policy.sampler.name, policy.sampler.steps) == ("edm", "edm_heun", 10)
    assert algorithm.improvements == base.improvements and algorithm.order == base.order
    assert algorithm.parameters["temperature"].learned.target_kl.value == kl


def test_drift_entropy() -> None:
    algorithm, base = (algorithm_of(resolve(spec)) for spec in ("drift_entropy", "driftpo"))
    assert show_stage(algorithm.order) == "critic -> policy -> every(100, temperature) -> targets"
    learned = algorithm.parameters["temperature"].learned
    assert (learned.init, learned.target_entropy.text, learned.entropy.samples) == (0.25, "-0.5 * A", 64)
    (block,) = algorithm.improvements
    assert variables(block.mechanism.field) >= {"temperature", "reach"} and "strength" not in variables(
        block.mechanism.field
    )
    assert algorithm.sections["critic"] == base.sections["critic"]


def test_dime_redq() -> None:
    algorithm, base = (algorithm_of(resolve(spec)) for spec in ("dime_redq", "dime"))
    assert show_stage(algorithm.order) == "critic -> targets -> every(5, [policy, temperature])"
    critic = algorithm.sections["critic"]
    assert (critic.ensemble, algorithm.sections["train"].updates) == (5, 5)
    assert {"subset", "draw_log_prob"} <= functions(critic.backup)
    assert algorithm.sections["policy"] == base.sections["policy"]


def test_qsm_td7() -> None:
    algorithm, base = (algorithm_of(resolve(spec)) for spec in ("qsm_td7", "qsm"))
    assert show_stage(algorithm.order) == "encoder -> critic -> policy -> targets"
    critic = algorithm.sections["critic"]
    assert algorithm.sections["encoder"].size == 128 and critic.kind.huber.value == 1.0
    assert "within_seen" in functions(critic.backup) and algorithm.sections["train"].sampling.name == "lap"
    assert algorithm.sections["policy"] == base.sections["policy"] and algorithm.parameters == base.parameters


def test_resolving_takes_little_work() -> None:
    """Counted in function calls, of which a machine makes some millions a second; a median of 60 000 when written."""
    made = []
    for path in SPECS.values():
        resolve(str(path))
        made.append(calls_of(lambda path=path: resolve(str(path))))
    assert sorted(made)[len(made) // 2] < 100_000


def test_the_room_imports_neither_jax_nor_lowering() -> None:
    import subprocess

    program = (
        "import sys; from flowrl_dsl.spec.resolve import resolve; found = resolve('qsm'); "
        "bad = {'jax', 'flax', 'optax', 'numpy'} & {*sys.modules}; "
        "sys.exit(f'{bad}' if bad or found.algorithm is None else 0)"
    )
    folder = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
