"""``extends``, ``for task`` and ``--set``: what holds when several say something."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.algorithm import show_stage
from flowrl_dsl.registry import Interval, Scalar
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.applies import applies
from flowrl_dsl.spec.resolve import Resolution, resolve
from tests.spec.helpers import CRITIC, algorithm_of, codes, gaussian, place, resolve_text, spec


def child(tmp_path: Path, body: str, base: str = "dpmd.flowrl", **how: object) -> Resolution:
    return resolve_text(tmp_path, f'algorithm child extends "{base}" {{\n{body}\n}}\n', "child.flowrl", **how)


# --- extends


def test_an_empty_child_is_its_base(tmp_path: Path) -> None:
    base, found = algorithm_of(resolve("dpmd")), algorithm_of(child(tmp_path, ""))
    assert found.name == "child" and found.title == base.title and found.paper == base.paper
    assert (found.sections, found.order, found.parameters) == (base.sections, base.order, base.parameters)


def test_sections_merge_key_by_key_and_values_are_replaced_whole(tmp_path: Path) -> None:
    found = algorithm_of(child(tmp_path, "policy { sampler = ddim(steps = 5) }"))
    policy = found.sections["policy"]
    assert policy.sampler.name == "ddim" and policy.sampler.steps == 5
    assert policy.old.every == 1000 and policy.optimizer.learning_rate.value == 1e-4
    assert found.origins["policy.sampler"].source.endswith("child.flowrl")
    assert found.origins["policy.old"].source == str(shipped_specs()["dpmd"])


def test_a_parameter_keeps_the_range_of_its_base(tmp_path: Path) -> None:
    found = algorithm_of(child(tmp_path, "param temperature = 0.5", "qsm.flowrl"))
    assert found.parameters["temperature"].value == 0.5
    assert found.parameters["temperature"].interval == Interval(0.0, 10.0, True, False)
    assert codes(child(tmp_path, "param temperature = 50", "qsm.flowrl")) == ["FRL0214"]
    wider = algorithm_of(child(tmp_path, "param temperature = 50 in (0, 100]", "qsm.flowrl"))
    assert wider.parameters["temperature"].value == 50


def test_improve_blocks_replace_the_list_and_start_from_the_base(tmp_path: Path) -> None:
    score = "improve score_matching { target = -sigma * grad(mean(Q(s, a_t), over = ensemble), wrt = a_t) / temperature }"
    found = algorithm_of(child(tmp_path, "order = [critic, policy] -> targets\nparam temperature = 0.2\n" + score))
    assert [block.label for block in found.improvements] == ["score_matching"]
    both = algorithm_of(child(tmp_path, "improve weighted_regression { noise = 0.1 }\n" + score))
    regression = both.improvements[0].mechanism
    assert regression.noise.value == 0.1 and regression.particles.value == 64 and regression.clip_error.value == 3.0


def test_what_a_child_no_longer_needs_of_its_base_is_gone(tmp_path: Path) -> None:
    """The temperature was learned from the weights; with them it goes, from the order too."""
    found = algorithm_of(child(tmp_path, "improve reparameterized {}"))
    assert found.parameters == {} and show_stage(found.order) == "[critic, policy] -> targets"
    assert not [path for path in found.origins if path.startswith("temperature")]


def test_lets_and_defs_merge_by_name(tmp_path: Path) -> None:
    base = gaussian("def bonus(x) = x + k", "let k = 1").replace(
        "improve reparameterized {}",
        "improve reparameterized { let q = min(Q(s, a), over = ensemble)  objective = bonus(q) + k }",
    )
    base = base.replace("x + k", "x + 1")
    (tmp_path / "base.flowrl").write_text(base)
    found = algorithm_of(child(tmp_path, "let k = 5\ndef bonus(x) = 2 * x", "base.flowrl"))
    formula = found.improvements[0].mechanism.objective
    assert formula.text == "bonus(q) + k"
    left, right = formula.term.operands
    assert left.function == "mul" and right.name == "k" and right.value.value == 5


def test_beside_the_file_comes_before_the_shipped_specs(tmp_path: Path) -> None:
    (tmp_path / "qsm.flowrl").write_text(gaussian("train { batch = 7 }"))
    assert algorithm_of(child(tmp_path, "", "qsm.flowrl")).sections["train"].batch == 7
    (tmp_path / "qsm.flowrl").write_text('algorithm mine extends "qsm.flowrl" { train { batch = 9 } }')
    own = algorithm_of(resolve(str(tmp_path / "qsm.flowrl")))
    assert own.sections["train"].batch == 9 and own.improvements[0].label == "score_matching"


def test_circles(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{one}.flowrl").write_text(f'algorithm {one} extends "{other}.flowrl" {{}}')
    found = resolve(str(tmp_path / "a.flowrl"))
    assert codes(found) == ["FRL0203"]
    assert found.diagnostics.errors[0].notes == ("the chain is a.flowrl -> b.flowrl -> c.flowrl -> a.flowrl",)


def test_errors_of_a_base_are_shown_in_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.flowrl").write_text(gaussian("train { batch = 0 }"))
    found = child(tmp_path, "", "base.flowrl")
    assert codes(found) == ["FRL0214"]
    assert found.diagnostics.errors[0].span.file == str(tmp_path / "base.flowrl")


# --- for task


TASKS = 'for task "A-v1", "B-v1" { train { batch = 8 } }\nfor task "B-v1" { train { warmup = 100 } }'


def test_tasks_override_in_order(tmp_path: Path) -> None:
    plain = algorithm_of(child(tmp_path, TASKS))
    a = algorithm_of(child(tmp_path, TASKS, task="A-v1"))
    b = algorithm_of(child(tmp_path, TASKS, task="B-v1"))
    settings = [(x.sections["train"].batch, x.sections["train"].warmup) for x in (plain, a, b)]
    assert settings == [(256, 5000), (8, 5000), (8, 100)]
    assert a.origins["train.batch"].source == 'task "A-v1", "B-v1"' and a.task == "A-v1"


@pytest.mark.parametrize(
    ("patterns", "task", "data", "found"),
    [
        (("Hopper-v5",), "Hopper-v5(frame_skip=2)", None, True),
        (("Hopper-v5", "Ant-*"), "Ant-v5", None, True),
        (("hopper-v5",), "Hopper-v5", None, False),
        (("hopper-medium-*",), "Hopper-v4", "hopper_medium-v2", True),
        (("hopper_medium-v2",), None, "hopper_medium-v2", True),
        (("Hopper_Medium-v2",), None, "hopper_medium-v2", False),
        (("walker2d-*",), "Walker2d-v4", "hopper_medium-v2", False),
        (("antmaze-umaze-*",), None, "D4RL/antmaze/umaze-v1", True),
        (("hopper-medium-*",), "Hopper-v5", "mujoco/hopper/medium-v0", True),
        (("hopper-medium-*",), "Hopper-v5", "mujoco/hopper/medium-expert/v0", False),
        (("halfcheetah-*",), "HalfCheetah-v5", "flowrl/halfcheetah-good-v0", False),
        (("*",), None, None, False),
        ((), "Hopper-v5", "hopper_medium-v2", False),
    ],
)
def test_names_match_the_task_or_the_data_set(patterns, task: str | None, data: str | None, found: bool) -> None:
    assert applies(patterns, task, data) is found


def test_a_file_of_d4rl_has_the_settings_of_its_set() -> None:
    by_name = {
        data: algorithm_of(resolve("iql", data=data)) for data in ("hopper_medium_expert-v2", "hopper-medium-expert-v2")
    }
    assert {one.parameters["tau"].value for one in by_name.values()} == {0.5}
    assert algorithm_of(resolve("iql", data="hopper_medium-v2")).parameters["tau"].value == 0.7


def test_a_childs_task_comes_after_its_bases(tmp_path: Path) -> None:
    body = 'for task "Hopper-v5" { param temperature = learned(target_kl = 9) }'
    found = algorithm_of(child(tmp_path, body, task="Hopper-v5"))
    assert found.parameters["temperature"].learned.target_kl.value == 9


def test_improve_blocks_of_a_task_change_one_block(tmp_path: Path) -> None:
    body = 'for task "A-v1" { improve weighted_regression { noise = 0.5 } }'
    found = algorithm_of(child(tmp_path, body, "qsm_dpmd.flowrl", task="A-v1"))
    assert [block.label for block in found.improvements] == ["weighted_regression", "score_matching"]
    assert found.improvements[0].mechanism.noise.value == 0.5 and found.improvements[1].factor.value == 0.5


def test_blocks_of_other_tasks_are_checked_too(tmp_path: Path) -> None:
    found = child(tmp_path, 'for task "A-v1" { train { batch = 0 } }\nfor task "B-v1" { trian {} }')
    assert codes(found) == ["FRL0207", "FRL0214"]


def test_what_a_block_for_another_task_breaks_elsewhere_is_reported(tmp_path: Path) -> None:
    sampler = "policy { backbone = diffusion  sampler = ddpm(steps = 20) }"
    improve = "improve score_matching { target = -sigma * a_t }"
    task = 'for task "A-v1" { policy { backbone = tanh_gaussian  sampler = none } }'
    found = resolve_text(tmp_path, spec(sampler, CRITIC, improve, task))
    assert codes(found) == ["FRL0212", "FRL0212"] and "score_matching" in found.diagnostics.errors[0].message
    assert all(d.notes[-1] == 'for task "A-v1"' for d in found.diagnostics.errors)
    # what is wrong without the block is said once, as it is
    found = resolve_text(tmp_path, spec(sampler, CRITIC, improve.replace("sigma", "sgma"), task))
    assert codes(found) == ["FRL0240"]


def test_blocks_for_other_tasks_are_linted(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, gaussian('for task "A-v1" { train { warmup = 10 } }'))
    assert [d.code for d in found.diagnostics] == ["FRL0306"] and place(found, "FRL0306") == "10"


def test_what_only_a_task_uses_is_used(tmp_path: Path) -> None:
    objective = "improve reparameterized { objective = beta * min(Q(s, a), over = ensemble) }"
    text = gaussian("param beta = 2 in (0, 4]", f'for task "A-v1" {{ {objective} }}')
    assert codes(resolve_text(tmp_path, text)) == []


# --- --set


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.batch=64", ("train", "batch"), 64),
        ("policy.sampler.steps=5", ("policy", "sampler", "steps"), 5),
        ("policy.network=mlp([64, 64])", ("policy", "network", "sizes"), (64, 64)),
        ("policy.network.sizes=[32]", ("policy", "network", "sizes"), (32,)),
        ("policy.network.layer_norm = true", ("policy", "network", "layer_norm"), True),
        ("critic.next_action=best_of(3) from policy", ("critic", "next_action", "value", "n"), 3),
        ("act.evaluate.n=4", ("act", "evaluate", "value", "n"), 4),
        ("act.evaluate.by=mean", ("act", "evaluate", "value", "by"), "mean"),
        ("critic.optimizer.clip_norm=1", ("critic", "optimizer", "clip_norm", "value"), 1.0),
        ("policy.backbone.schedule=linear", ("policy", "backbone", "schedule", "name"), "linear"),
        ("policy.backbone.schedule.s=0.01", ("policy", "backbone", "schedule", "s"), 0.01),
        (
            "policy.optimizer.learning_rate=linear(1e-3 -> 1e-4, over = 9)",
            ("policy", "optimizer", "learning_rate", "schedule", "over"),
            9,
        ),
    ],
)
def test_set_reaches_options(override: str, path: tuple[str, ...], value: object) -> None:
    found = algorithm_of(resolve("qsm", sets=[override]))
    reached: object = found.sections[path[0]]
    for name in path[1:]:
        reached = getattr(reached, name)
    assert reached == value
    assert "--set" in {origin.source for origin in found.origins.values()}


def test_set_of_a_default_call_keeps_the_rest() -> None:
    plain, found = algorithm_of(resolve("sac")), algorithm_of(resolve("sac", sets=["policy.optimizer.b1=0.5"]))
    assert found.sections["policy"].optimizer.b1 == 0.5
    assert found.sections["policy"].optimizer.learning_rate == plain.sections["policy"].optimizer.learning_rate


def test_set_of_parameters() -> None:
    found = algorithm_of(resolve("qsm", sets=["temperature=0.05"]))
    assert found.parameters["temperature"].value == 0.05
    assert codes(resolve("qsm", sets=["temperature=50"])) == ["FRL0214"]
    learned = algorithm_of(resolve("dpmd", sets=["temperature.target_kl=4", "temperature.optimizer.learning_rate=1e-3"]))
    assert learned.parameters["temperature"].learned.target_kl.value == 4
    assert learned.parameters["temperature"].learned.optimizer.learning_rate.value == 1e-3


def test_a_fixed_parameter_leaves_the_order() -> None:
    found = algorithm_of(resolve("dpmd", sets=["temperature=0.5"]))
    assert show_stage(found.order) == "[critic, policy] -> targets"
    assert algorithm_of(resolve("dpmd", sets=["policy.old=none", "weighted_regression.particles=8"]))


def test_set_of_improve_blocks() -> None:
    sets = ["score_matching.factor=0.25", "weighted_regression.particles=16 from policy", "weighted_regression=2"]
    regression, score = algorithm_of(resolve("qsm_dpmd", sets=sets)).improvements
    assert score.factor == Scalar(name="score_matching.factor", value=0.25)
    assert regression.factor == Scalar(name="weighted_regression.factor", value=2.0)
    assert (regression.mechanism.particles.value, regression.mechanism.particles.source) == (16, "policy")
    source = algorithm_of(resolve("qsm_dpmd", sets=["weighted_regression.particles.source=policy"])).improvements[0]
    assert (source.mechanism.particles.value, source.mechanism.particles.source) == (32, "policy")


def test_set_of_a_formula_and_of_the_order() -> None:
    weight = "weighted_regression.weight=top1(min(Q(s, a), over = ensemble))"
    found = algorithm_of(resolve("dpmd", sets=[weight, "order=critic -> targets -> [policy, temperature]"]))
    assert found.improvements[0].mechanism.weight.term.function == "best"
    assert show_stage(found.order) == "critic -> targets -> [policy, temperature]"
    assert codes(resolve("dpmd", sets=[weight, "temperature=1"])) == ["FRL0225"]


def test_set_comes_after_tasks() -> None:
    found = algorithm_of(resolve("qvpo", task="HalfCheetah-v5", sets=["critic.next_action.n=6"]))
    assert found.sections["critic"].next_action.value.n == 6
    assert found.sections["critic"].next_action.source == "policy_target"


def test_a_parameter_that_an_override_no_longer_reads_is_no_error() -> None:
    found = resolve("qsm", sets=["score_matching.target=noise + grad(mean(Q(s, a_t), over = ensemble), wrt = a_t)"])
    algorithm_of(found)


@pytest.mark.parametrize(
    ("override", "code", "where", "hint"),
    [
        ("temprature=1", "FRL0261", "temprature", 'did you mean "temperature"?'),
        ("polcy.sampler.steps=1", "FRL0261", "polcy", 'did you mean "policy.sampler.steps"?'),
        ("policy.sampler.stepz=1", "FRL0261", "stepz", 'did you mean "policy.sampler.steps"?'),
        ("policy.sampler.steps.x=1", "FRL0261", "x", "policy.sampler.steps is `20`, which has no options"),
        ("policy.old.every=5", "FRL0261", "every", "policy.old is `none`, which has no options"),
        ("policy=1", "FRL0261", "policy", None),
        ("temperature.start=1", "FRL0261", "start", "param temperature has no options"),
        ("score_matching.fcator=1", "FRL0261", "fcator", 'did you mean "score_matching.factor"?'),
        ("temperature", "FRL0260", "temperature", None),
        ("=1", "FRL0260", "=1", None),
        ("temperature=", "FRL0260", "temperature=", None),
        ("a..b=1", "FRL0260", "a..b=1", None),
        ("train.batch=0", "FRL0214", "0", None),
        ("policy.sampler=ddpn(steps = 5)", "FRL0211", "ddpn", 'did you mean "ddpm"?'),
    ],
)
def test_bad_overrides(override: str, code: str, where: str, hint: str | None) -> None:
    found = resolve("qsm", sets=["train.envs=2", override])
    assert codes(found) == [code]
    assert place(found, code) == where and found.diagnostics.errors[0].span.line == 2
    assert found.sources["--set"].splitlines()[1] == override
    assert hint is None or hint in found.diagnostics.errors[0].notes


def test_syntax_errors_of_overrides_are_shown_in_their_line() -> None:
    found = resolve("qsm", sets=["train.envs=2", "temperature=0.1 +"])
    (error,) = found.diagnostics.errors
    assert error.code.startswith("FRL01") and error.span.file == "--set" and error.span.line == 2


def test_an_option_of_a_base_may_go_unread_beside_those_of_a_child(tmp_path: Path) -> None:
    """The child's backup reads no next action: td3's choice of it cannot be taken back, and is no mistake of the child's."""
    child = 'algorithm child extends "td3.flowrl" { critic { backup = r } }'
    assert not resolve_text(tmp_path, child).diagnostics.errors
    own = 'algorithm child extends "td3.flowrl" { critic { backup = r  next_action = sample } }'
    assert codes(resolve_text(tmp_path, own)) == ["FRL0226"]


def test_an_option_may_go_unread_for_some_tasks(tmp_path: Path) -> None:
    """The block's backup reads no next action; the choice of it is read for all other tasks."""
    rest = 'critic { next_action = sample }  for task "Hopper-v5" { critic { backup = r } }'
    text = f'algorithm child extends "td3.flowrl" {{ {rest} }}'
    for task in ("Hopper-v5", "Ant-v5"):
        assert not resolve_text(tmp_path, text, task=task).diagnostics.errors
    inside = text.replace("backup = r", "backup = r  next_action = noise(0.1)")
    assert codes(resolve_text(tmp_path, inside)) == ["FRL0226"]


# alternatives


VELOCITY = "velocity = mean(Q(s, a_t), over = ensemble) * a"


def test_a_derived_block_replaces_the_alternative_of_its_base(tmp_path: Path) -> None:
    """``velocity`` is set in place of the ``target`` that qsm's block has; a spec that sets both itself is still refused."""
    flow = "policy { backbone = flow  sampler = euler }"
    child = f'algorithm x extends "qsm.flowrl" {{ {flow}  improve score_matching {{ {VELOCITY} }} }}'
    mechanism = algorithm_of(resolve_text(tmp_path, child)).improvements[0].mechanism
    assert mechanism.target is None and mechanism.velocity is not None
    both = child.replace(VELOCITY, f"target = noise  {VELOCITY}")
    assert codes(resolve_text(tmp_path, both)) == ["FRL0216"]


def test_an_override_replaces_the_alternative_in_a_call() -> None:
    learned = algorithm_of(
        resolve("dpmd", sets=["temperature.target_entropy=-A", "temperature.entropy=mixture(samples = 8)"])
    )
    adaptation = learned.parameters["temperature"].learned
    assert adaptation.target_kl is None and adaptation.target_entropy.text == "-A"


def test_a_task_replaces_the_alternative(tmp_path: Path) -> None:
    task = (
        f'for task "Hopper-v5" {{ policy {{ backbone = flow  sampler = euler }} improve score_matching {{ {VELOCITY} }} }}'
    )
    text = f'algorithm x extends "qsm.flowrl" {{ {task} }}'
    (tmp_path / "x.flowrl").write_text(text)
    found = resolve(str(tmp_path / "x.flowrl"), task="Hopper-v5")
    assert algorithm_of(found).improvements[0].mechanism.target is None
