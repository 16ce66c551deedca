"""The penalty of a critic on proposed actions: against a loop in NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from flowrl_dsl.formula import variables
from flowrl_dsl.spec.resolve import resolve
from flowrl_dsl.testing.symmetries import check_permutations
from flowrl_dsl.testing.trials import Trial, trial
from tests import reference
from tests.spec.helpers import CRITIC, GAUSSIAN, algorithm_of, codes, resolve_text, spec

CAUTION, ROWS, EACH = 0.7, 6, 3
SPEC = f"""
algorithm small {{
  regime = offline
  order  = critic -> policy -> targets
  policy {{ backbone = tanh_gaussian  network = mlp([6], activation = tanh) }}
  critic {{
    network   = mlp([8], activation = tanh)
    reduction = sum
    proposals = {EACH} from policy
    penalty   = {CAUTION} * (logsumexp(Q(s, a_any) - log_density, over = particle) - Q(s, a))
  }}
  improve reparameterized {{}}
  train {{ batch = {ROWS} }}
}}
"""


CALIBRATED = SPEC.replace("regime", "data { reward = 2 * r - 1 }  regime").replace(
    f"penalty   = {CAUTION} * (logsumexp(Q(s, a_any) - log_density, over = particle) - Q(s, a))",
    f"""horizon = 4
    let least = where(of_policy > 0.5, maximum(Q(s, a_any), 0.1 * return_to_go), Q(s, a_any))
    penalty   = {CAUTION} * (logsumexp(least - log_density, over = particle) - Q(s, a))""",
)


@cache
def seen() -> Trial:
    return trial(SPEC)


@cache
def calibrated() -> Trial:
    return trial(CALIBRATED)


def of(name: str) -> np.ndarray:
    return np.asarray(seen().interpreted[name], np.float64)


def test_proposals_are_of_three_kinds_with_the_densities_of_their_own() -> None:
    a, density = of("critic.a_any"), of("critic.log_density")
    assert a.shape == (ROWS, 3 * EACH, 2) and density.shape == (ROWS, 3 * EACH)
    np.testing.assert_allclose(density[:, :EACH], -2 * np.log(2), rtol=1e-6)
    for part, name in enumerate(("a_uniform", "a_at_s", "a_at_s_next")):
        np.testing.assert_array_equal(a[:, part * EACH : (part + 1) * EACH], of(f"critic.{name}"))
    for part, name in enumerate(("s", "s_next"), 1):
        np.testing.assert_array_equal(density[:, part * EACH : (part + 1) * EACH], of(f"critic.density_at_{name}"))


def test_values_of_proposals_are_pushed_down_against_that_of_the_data() -> None:
    one, total = seen(), 0.0
    params = reference.f64(one.state["critic"])
    a_any, density = of("critic.a_any"), of("critic.log_density")
    s, a = (np.asarray(one.batch[name], np.float64) for name in ("s", "a"))
    a = np.clip(a, -0.99999, 0.99999) if "data.clip" in one.hyper else a
    for k in range(ROWS):
        q = np.array([reference.q_values(params, s[k], action) for action in a_any[k]])
        soft = np.log(np.sum(np.exp(q - density[k][:, None]), axis=0))
        total += np.sum(CAUTION * (soft - reference.q_values(params, s[k], a[k]))) / ROWS
    assert float(one.stepped[1]["penalty"]) == pytest.approx(total, rel=1e-3)
    assert float(one.stepped[1]["critic_loss"]) > total


def test_a_calibrated_penalty_takes_no_value_of_the_policy_below_the_return() -> None:
    one, total, bound = calibrated(), 0.0, 0
    params, rate = reference.f64(one.state["critic"]), one.hyper["critic.discount"]
    values = {name: np.asarray(one.interpreted[f"critic.{name}"], np.float64) for name in ("a_any", "log_density")}
    data = reference.f64(one.batch)
    for k in range(ROWS):
        steps = int(data["count_ahead"][k])
        rewards = [2 * r - 1 for r in data["rewards_ahead"][k][:steps]]
        back = sum(rate**i * r for i, r in enumerate(rewards))
        back += rate**steps * (1 - data["d_ahead"][k]) * rewards[-1] / (1 - rate)
        assert float(one.interpreted["critic.return_to_go"][k]) == pytest.approx(back, rel=1e-4)
        least = []
        for n, action in enumerate(values["a_any"][k]):
            q = reference.q_values(params, data["s"][k], action)
            bound += int(n >= EACH and np.any(q < 0.1 * back))
            least.append(np.maximum(q, 0.1 * back) if n >= EACH else q)
        soft = np.log(np.sum(np.exp(np.array(least) - values["log_density"][k][:, None]), axis=0))
        a = np.clip(data["a"][k], -0.99999, 0.99999)
        total += np.sum(CAUTION * (soft - reference.q_values(params, data["s"][k], a))) / ROWS
    assert 0 < bound < 2 * EACH * ROWS
    assert float(one.stepped[1]["penalty"]) == pytest.approx(total, rel=1e-3)


def test_draws_of_one_kind_may_come_in_any_order() -> None:
    check_permutations(calibrated())


def test_cql() -> None:
    algorithm = algorithm_of(resolve("cql"))
    critic = algorithm.sections["critic"]
    assert (critic.proposals.value, critic.proposals.source) == (10, "policy")
    assert algorithm.parameters["caution"].value == 5 and algorithm.regime.name == "offline"


def test_calql() -> None:
    algorithm, base = algorithm_of(resolve("calql")), algorithm_of(resolve("cql"))
    critic = algorithm.sections["critic"]
    assert {"return_to_go", "of_policy", "a_any", "log_density"} <= variables(critic.penalty)
    assert (critic.looks_ahead, base.sections["critic"].looks_ahead) == (1000, 0)
    assert critic.proposals == base.sections["critic"].proposals
    assert {phase.order for phase in algorithm.phases} == {base.order}
    assert [(phase.updates, phase.steps) for phase in algorithm.phases] == [(1_000_000, None), (None, 1_000_000)]
    assert algorithm.regime.taken(algorithm) == "offline_to_online"
    assert algorithm.sections["train"].sampling.data == 0.5


def test_mistakes_about_penalties(tmp_path) -> None:
    plain = "improve reparameterized {}"
    penalty = "penalty = mean(Q(s, a_any), over = particle)"
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC.replace("}", f" {penalty} }}"), plain))
    assert len(codes(found)) == 1 and "proposals = 10 from policy" in found.diagnostics.errors[0].message
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC.replace("}", " proposals = 2 from policy }"), plain))
    assert codes(found) == ["FRL0226"]
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC.replace("}", " penalty = mean(square(a), over = action) }"), plain))
    assert codes(found) == ["FRL0256"]
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC.replace("}", " horizon = 5 }"), plain))
    assert codes(found) == ["FRL0226"] and "return_to_go" in found.diagnostics.errors[0].message
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC.replace("}", " penalty = Q(s, a) - return_to_go }"), plain))
    assert len(codes(found)) == 1 and "horizon = 1000" in found.diagnostics.errors[0].message
    flow = "policy { backbone = flow  sampler = euler(2) }"
    dense = "proposals = 2 from policy  penalty = max(Q(s, a_any) - log_density, over = particle)"
    found = resolve_text(
        tmp_path, spec(flow, CRITIC.replace("}", f" {dense} }}"), "improve imitation {}", "regime = offline")
    )
    assert codes(found) == ["FRL0212"] and "log_prob" in found.diagnostics.errors[0].message
