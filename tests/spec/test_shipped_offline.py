"""The shipped offline specs: what each of them must compute, beyond what all specs are tested for."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from flowrl_dsl.algorithm import show_stage
from flowrl_dsl.formula import functions, variables
from flowrl_dsl.resources import shipped_specs
from flowrl_dsl.spec.resolve import resolve
from tests.spec.helpers import algorithm_of


def of(name: str, task: str | None = None):
    return algorithm_of(resolve(name, task=task))


NAMES = """
    bc iql sql eql idql ifql td3_bc rebrac dql edp dac dac_expectile fql sparse_flow dtql trusted_flow srpo
    meanflow_ql cpql qam expo dsrl
"""


@pytest.mark.parametrize("name", [*NAMES.split(), "dpmd_offline"])
def test_they_learn_from_data_alone(name: str) -> None:
    assert of(name).regime.name == "offline"


def test_half_of_them_are_shorter_than_twenty_lines() -> None:
    paths = [path for name, path in shipped_specs().items() if of(name).regime.name == "offline"]
    lengths = [sum(not line.lstrip().startswith("#") for line in _lines(path)) for path in paths]
    assert len(paths) >= 30 and max(lengths) <= 30 and median(lengths) < 20


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def test_td3_bc() -> None:
    algorithm, base = of("td3_bc"), of("td3")
    (block,) = algorithm.improvements
    assert block.mechanism.objective.text == "alpha * by_size(member(Q(s, a), 1)) - mean(square(a - a_seen), over = action)"
    assert algorithm.sections["critic"] == base.sections["critic"] and algorithm.order == base.order
    assert algorithm.sections["observe"].normalize.of_data


def test_rebrac() -> None:
    algorithm = of("rebrac")
    critic = algorithm.sections["critic"]
    assert {"a_next_seen", "next_seen", "a_next", "critic_pull"} <= variables(critic.backup) and critic.follows_actions
    assert critic.network.layer_norm is True and algorithm.sections["train"].batch == 1024
    assert algorithm.sections["observe"].normalize is None


def test_dql() -> None:
    algorithm, maze = of("dql"), of("dql", "antmaze-umaze-v2")
    policy, critic = algorithm.sections["policy"], algorithm.sections["critic"]
    assert (policy.sampler.name, policy.sampler.variance, policy.sampler.steps) == ("ddpm", "posterior", 5)
    assert (policy.target.rate.value, policy.target.every, policy.target.after) == (0.005, 5, 1000)
    assert [block.label for block in algorithm.improvements] == ["imitation", "reparameterized"]
    assert algorithm.improvements[1].factor.name == "eta"
    assert {"subset", "member", "stop"} <= functions(algorithm.improvements[1].mechanism.objective)
    assert critic.next_actions is None and critic.next_action.source == "policy_target"
    assert (maze.sections["critic"].next_actions.value, maze.sections["critic"].next_actions.source) == (10, "policy_target")
    assert "a_nexts" in variables(maze.sections["critic"].backup)


def test_edp() -> None:
    algorithm, base = of("edp"), of("dql")
    assert [block.mechanism.name for block in algorithm.improvements] == ["imitation", "reparameterized"]
    assert algorithm.improvements[1].mechanism.draw == "predicted"
    assert algorithm.sections["policy"].sampler.steps == 15 and algorithm.sections["critic"] == base.sections["critic"]


def test_dac() -> None:
    algorithm = of("dac")
    assert show_stage(algorithm.order) == "critic -> critic_target -> policy -> [eta, policy_target]"
    critic, eta = algorithm.sections["critic"], algorithm.parameters["eta"]
    assert critic.ensemble == 10 and (critic.next_actions.value, critic.next_actions.source) == (10, "policy_target")
    assert (eta.interval.low, eta.interval.high, eta.learned.of, eta.learned.rate.value) == (
        0.001,
        100,
        "imitation_error",
        0.001,
    )
    assert [block.mechanism.name for block in algorithm.improvements] == ["imitation", "guidance"]
    assert algorithm.improvements[0].factor.name == "eta"


def test_fql() -> None:
    algorithm = of("fql")
    assert show_stage(algorithm.order) == "[critic, behavior, policy] -> targets"
    student, flow = algorithm.sections["policy"].backbone, algorithm.sections["behavior"].backbone
    assert (student.noise, student.clip, flow.time.name, flow.obs) == (None, "hard", "raw", ())
    assert algorithm.sections["critic"].network.layer_norm == "after"
    own = {block.label: block.mechanism for block in algorithm.improvements if block.owner == "policy"}
    assert (own["distillation"].draws.value, own["distillation"].draws.source) == (1, "behavior")
    online = of("fql_online")
    assert [(phase.updates, phase.steps) for phase in online.phases] == [(500_000, None), (None, 1_000_000)]
    assert online.sections["train"].sampling.name == "mixed" and online.improvements == algorithm.improvements


@pytest.mark.parametrize(("name", "backbone"), [("dtql", "edm"), ("trusted_flow", "flow")])
def test_dtql(name: str, backbone: str) -> None:
    algorithm, maze = of(name), of(name, "antmaze-medium-play-v2")
    pretrain, main = algorithm.phases
    assert (pretrain.updates, show_stage(pretrain.order)) == (50_000, "behavior -> [value, critic]")
    assert show_stage(main.order) == "behavior -> [value, critic] -> policy -> targets" and main.begin
    behavior = algorithm.sections["behavior"]
    assert behavior.backbone.name == backbone and behavior.sampler is None
    trained = [block.mechanism for block in algorithm.improvements if block.owner == "policy"]
    assert "denoising_loss" in functions(trained[0].objective) and "log_prob" not in functions(trained[0].objective)
    assert "log_prob" in functions(maze.improvements[0].mechanism.objective)
    assert maze.parameters["tau"].value == 0.9 and algorithm.parameters["tau"].value == 0.7


def test_srpo() -> None:
    algorithm = of("srpo")
    assert [show_stage(phase.order) for phase in algorithm.phases] == ["behavior", "value -> critic -> targets", "policy"]
    objective = algorithm.improvements[0].mechanism.objective
    assert {"score_gap", "stop", "Q_target"} <= functions(objective)
    schedule = algorithm.sections["behavior"].backbone.schedule
    assert (schedule.t_min, schedule.t_max) == (0.02, 0.98)


def test_meanflow_ql() -> None:
    algorithm = of("meanflow_ql")
    policy, critic = algorithm.sections["policy"], algorithm.sections["critic"]
    assert show_stage(algorithm.order) == "[critic, policy] -> targets"
    assert (policy.backbone.name, policy.backbone.bound.value, policy.sampler.name) == ("mean_flow", 5.0, "one_step")
    assert [block.mechanism.name for block in algorithm.improvements] == ["imitation", "reparameterized"]
    assert algorithm.improvements[0].factor.name == "alpha"
    for choice in (critic.next_action, algorithm.sections["act"].evaluate):
        assert (choice.value.name, choice.value.n, choice.value.by, choice.source) == ("best_of", 5, "mean", "policy")


def test_cpql() -> None:
    algorithm, base, maze = of("cpql"), of("dql"), of("cpql", "antmaze-umaze-v2")
    policy, critic = algorithm.sections["policy"], algorithm.sections["critic"]
    assert (policy.backbone.name, policy.sampler.name, policy.target) == ("consistency", "one_step", None)
    assert (policy.backbone.sigma_min, policy.backbone.sigma_max, policy.backbone.levels) == (0.002, 80.0, 40)
    assert algorithm.improvements == base.improvements and critic.next_action.source == "policy"
    assert (critic.target.every, critic.target.after) == (5, 1000)
    assert (maze.sections["critic"].next_actions.value, maze.sections["critic"].next_actions.source) == (10, "policy")


def test_qam() -> None:
    algorithm = of("qam")
    (block,) = (block.mechanism for block in algorithm.improvements if block.owner == "policy")
    critic = algorithm.sections["critic"]
    assert show_stage(algorithm.order) == "[critic, behavior, policy] -> targets"
    assert (block.name, block.steps.value, block.steps.source) == ("adjoint_matching", 10, "behavior_target")
    assert {"Q_target", "clip"} <= functions(block.slope) and "temperature" in variables(block.slope)
    assert critic.ensemble == 10 and "std" in functions(critic.backup)
    assert algorithm.sections["behavior"].sampler is None and algorithm.sections["policy"].sampler.steps == 10


def test_expo() -> None:
    algorithm, base = of("expo"), of("fql_online")
    policy, critic, act = (algorithm.sections[name] for name in ("policy", "critic", "act"))
    assert [(phase.updates, phase.steps) for phase in algorithm.phases] == [(500_000, None), (None, 1_000_000)]
    orders = ["behavior", "critic -> critic_target -> every(20, [behavior, policy, temperature])"]
    assert [show_stage(phase.order) for phase in algorithm.phases] == orders
    assert (policy.base.name, policy.base.source, policy.base.scale.value.value) == ("edited", "behavior", 0.05)
    assert algorithm.sections["behavior"] == base.sections["behavior"] and critic.ensemble == 10
    for choice in (critic.next_action, act.explore, act.evaluate):
        assert (choice.value.name, choice.value.n, choice.value.also, choice.source) == ("one_of", 8, "bases", "policy")
        assert {"Q_target", "min", "best"} <= functions(choice.value.weight)
    assert "subset" in functions(critic.next_action.value.weight) & functions(act.explore.value.weight)
    (own,) = (block.mechanism for block in algorithm.improvements if block.owner == "policy")
    assert own.draw == "edited" and {"Q", "draw_log_prob"} <= functions(own.objective)
    assert "temperature" not in variables(critic.backup) and algorithm.sections["train"].updates == 20


def test_dsrl() -> None:
    algorithm = of("dsrl")
    policy, critic, latent = (algorithm.sections[name] for name in ("policy", "critic", "latent"))
    orders = ["behavior", "critic -> [policy, temperature] -> targets -> latent"]
    assert [show_stage(phase.order) for phase in algorithm.phases] == orders
    assert (policy.base.name, policy.base.source, policy.base.scale.value.value) == ("steered", "behavior", 1.5)
    assert (latent.draws.value, latent.draws.source) == (1, "behavior") and {"V_z", "Q"} <= functions(latent.fit)
    (own,) = (block.mechanism for block in algorithm.improvements if block.owner == "policy")
    assert {"V_z", "min", "draw_log_prob"} <= functions(own.objective) and "Q" not in functions(own.objective)
    assert {"draw_log_prob", "Q_target"} <= functions(critic.backup) and latent.network == critic.network


def test_qgpo() -> None:
    algorithm = of("qgpo")
    orders = ["policy", "critic -> targets -> energy", "energy"]
    assert [show_stage(phase.order) for phase in algorithm.phases] == orders
    energy, critic = algorithm.sections["energy"], algorithm.sections["critic"]
    for drawn in (energy.particles, critic.next_actions):
        assert (drawn.value, drawn.source) == (16, "policy")
    assert {"Q_target", "V_t", "log_softmax"} <= functions(energy.fit) and "Q" not in functions(energy.fit)
    choice = algorithm.sections["act"].evaluate.value
    assert (choice.name, choice.guide.source, choice.guide.value.name) == ("guided", "energy", "scale")
    assert algorithm.sections["policy"].sampler.steps == 15 and algorithm.parameters["beta"].value == 3


def test_bdpo() -> None:
    algorithm = of("bdpo")
    pretrain, main = algorithm.phases
    assert show_stage(pretrain.order) == "behavior -> targets" and main.begin
    moved = "[critic, steps] -> targets -> every(5, [policy, behavior], after = 2050000)"
    assert show_stage(main.order) == moved
    policy, behavior, steps, critic = (algorithm.sections[name] for name in ("policy", "behavior", "steps", "critic"))
    assert (policy.backbone, policy.network) == (behavior.backbone, behavior.network)
    assert (
        (policy.target.rate.value, policy.target.every) == (0.005, 5) == (behavior.target.rate.value, behavior.target.every)
    )
    assert (policy.sampler.name, policy.sampler.steps, policy.sampler.variance) == ("ddpm", 5, "beta")
    assert (steps.draws.value, steps.draws.source, steps.ensemble, critic.ensemble) == (10, "policy_target", 10, 10)
    assert {"chain", "chain_eps", "chain_t", "kl_weight", "eta"} <= variables(critic.backup)
    assert {"a_less", "t_less", "last"} <= variables(steps.fit) and "stop" not in functions(steps.fit)
    (block,) = (block.mechanism for block in algorithm.improvements if block.owner == "policy")
    assert (block.name, block.draws) == ("denoising_step", 10) and {"V_t", "Q_target"} <= functions(block.objective)
    rate = critic.optimizer.learning_rate.schedule
    assert (rate.over, rate.after) == (2_000_000, 2_000_000)


def test_dpmd_offline() -> None:
    algorithm = of("dpmd_offline")
    block = algorithm.improvements[0].mechanism
    assert (block.particles.value, block.particles.source, block.noise) == (16, "behavior", None)
    assert "V" in functions(algorithm.sections["critic"].backup) and algorithm.sections["policy"].old is None


def test_hybrids_change_what_they_name() -> None:
    sparse, fql = of("sparse_flow"), of("fql")
    assert sparse.improvements == fql.improvements or [b.label for b in sparse.improvements] == [
        b.label for b in fql.improvements
    ]
    assert "V" in functions(sparse.sections["critic"].backup)
    cheap = of("dac_expectile").sections["critic"]
    assert (cheap.ensemble, cheap.next_actions is None or "a_nexts" not in variables(cheap.backup)) == (2, True)
    assert of("ifql").sections["act"].evaluate.value.by == "mean"


def test_qc() -> None:
    """Chunks of five, the best of 32 of a flow; the critic that is trained chooses the next one, its copy rates it."""
    algorithm = of("qc")
    act, critic, policy = (algorithm.sections[name] for name in ("act", "critic", "policy"))
    assert act.chunk == 5 and critic.n_step == 1
    assert {(choice.value.name, choice.value.n, choice.value.by) for choice in (act.explore, act.evaluate)} == {
        ("best_of", 32, "mean")
    }
    assert (critic.next_action.value.n, functions(critic.next_action.value.weight)) == (32, {"best", "mean", "Q"})
    assert functions(critic.backup) >= {"mean", "Q_target"} and critic.ensemble == 2
    assert policy.backbone.name == "flow" and policy.sampler.steps == 10
    assert [block.label for block in algorithm.improvements] == ["imitation"]
    assert [(phase.updates, phase.steps) for phase in algorithm.phases] == [(1_000_000, None), (None, 1_000_000)]


def test_qc_fql() -> None:
    algorithm, base = of("qc_fql"), of("fql_online")
    assert (algorithm.sections["act"].chunk, base.sections["act"].chunk) == (5, None)
    assert (algorithm.parameters["alpha"].value, base.parameters["alpha"].value) == (100, 10)
    assert algorithm.sections["train"].sampling.name == "uniform"
    assert [phase.updates for phase in algorithm.phases] == [1_000_000, None]
    assert algorithm.sections["critic"] == base.sections["critic"]
