"""Values written in the language become options: positions, defaults, scalars, draws, literals, origins."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.registry import Interval, Scalar
from flowrl_dsl.spec.resolve import resolve
from tests.spec.helpers import CRITIC, DIFFUSION, IMPROVE, algorithm_of, codes, gaussian, place, resolve_text, spec


def policy(text: str) -> str:
    return spec(f"policy {{ backbone = tanh_gaussian  {text} }}", CRITIC, IMPROVE)


def test_defaults_are_resolved_like_text(tmp_path: Path) -> None:
    algorithm = algorithm_of(resolve_text(tmp_path, gaussian()))
    critic = algorithm.sections["critic"]
    assert critic.optimizer.learning_rate == Scalar(name="critic.optimizer.learning_rate", value=3e-4)
    assert critic.target.rate == Scalar(name="critic.target.rate", value=0.005)
    assert set(algorithm.sections) == {"policy", "critic", "act", "observe", "train"}
    assert algorithm.origins["critic.target"].source == "default"
    assert algorithm.origins["critic.target"].text == "ema(0.005)"
    assert algorithm.origins["critic.optimizer.b1"].text == "0.9"
    assert algorithm.origins["policy.sampler"].text == "none"


def test_origins_name_the_file(tmp_path: Path) -> None:
    algorithm = algorithm_of(resolve_text(tmp_path, gaussian("train { batch = 2 ^ 8 }")))
    origin = algorithm.origins["train.batch"]
    assert origin.source == str(tmp_path / "spec.flowrl") and origin.text == "2^8"
    assert origin.span is not None and (origin.span.line, origin.span.column) == (2, 19)
    assert algorithm.sections["train"].batch == 256


@pytest.mark.parametrize("text", ["adam(1e-3, 0.5)", "adam(learning_rate = 1e-3, b1 = 0.5)", "adam(1e-3, b1 = 1 / 2)"])
def test_positions_and_names(tmp_path: Path, text: str) -> None:
    optimizer = algorithm_of(resolve_text(tmp_path, policy(f"optimizer = {text}"))).sections["policy"].optimizer
    assert optimizer.learning_rate.value == 1e-3 and optimizer.b1 == 0.5


def test_a_schedule_fills_start_and_end(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, policy("optimizer = adam(linear(3e-4 -> 3e-5, over = 200_000))"))
    rate = algorithm_of(found).sections["policy"].optimizer.learning_rate
    assert rate.name == "policy.optimizer.learning_rate" and rate.value is None
    assert rate.schedule.start == Scalar(name="policy.optimizer.learning_rate.start", value=3e-4)
    assert rate.schedule.end == Scalar(name="policy.optimizer.learning_rate.end", value=3e-5)
    assert rate.schedule.over == 200_000


@pytest.mark.parametrize(
    ("value", "start", "kind"),
    [
        ("0.1", 0.1, "number"),
        ("linear(0.2 -> 0.1, over = 10)", 0.2, "schedule"),
        ("learned(0.5, target_entropy = -A)", 0.5, "learned"),
    ],
)
def test_parameters(tmp_path: Path, value: str, start: float, kind: str) -> None:
    objective = "improve reparameterized { objective = min(Q(s, a), over = ensemble) - beta * log_prob(s, a) }"
    text = spec(f"param beta = {value} in (0, 1]", "policy { backbone = tanh_gaussian }", CRITIC, objective)
    parameter = algorithm_of(resolve_text(tmp_path, text)).parameters["beta"]
    assert parameter.value == start and parameter.interval == Interval(0.0, 1.0, True, False)
    assert (parameter.schedule is not None, parameter.learned is not None) == (kind == "schedule", kind == "learned")


def test_a_parameter_sets_a_scalar_but_not_a_structure(tmp_path: Path) -> None:
    found = resolve_text(
        tmp_path, gaussian("param rate = 0.01 in (0, 1]").replace("critic {}", "critic { target = ema(rate) }")
    )
    assert algorithm_of(found).sections["critic"].target.rate == Scalar(name="rate")
    found = resolve_text(tmp_path, gaussian("param width = 64 in [1, 512]", "train { batch = width }"))
    assert codes(found) == ["FRL0213"]
    assert "shapes the compiled program" in found.diagnostics.errors[0].notes[0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("critic { network = mlp([0]) }", '"critic.network.sizes" must be at least 1, found 0'),
        ("critic { network = mlp([256, -3]) }", '"critic.network.sizes" must be at least 1, found -3'),
        ("critic { network = mlp([8, 1e10]) }", '"critic.network.sizes" must be at most 100000, found 1e10'),
        ("critic { ensemble = 2 ^ 31 }", '"critic.ensemble" must be at most 2147483647, found 2^31'),
        ("critic { network = mlp([8.5]) }", '"critic.network.sizes" is a list of whole numbers, found `8.5`'),
    ],
)
def test_whole_numbers_are_such_as_programs_can_hold(tmp_path: Path, section: str, message: str) -> None:
    found = resolve_text(tmp_path, gaussian().replace("critic {}", section))
    assert [d.message for d in found.diagnostics.errors] == [message]


def test_parameters_inside_schedules_stand_still(tmp_path: Path) -> None:
    optimizer = "optimizer = adam(linear(top -> 1e-5, over = 1000))"
    still = policy(optimizer).replace("{\n", "{\n  param top = 1e-3 in (0, 1]\n", 1)
    schedule = algorithm_of(resolve_text(tmp_path, still)).sections["policy"].optimizer.learning_rate.schedule
    assert schedule.start == Scalar(name="top")
    moving = still.replace("= 1e-3 in", "= linear(1e-3 -> 1e-4, over = 10) in")
    assert codes(resolve_text(tmp_path, moving)) == ["FRL0213"]


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("network = mlp([])", "FRL0214", "[]"),
        ("network = mlp([64.5])", "FRL0213", "64.5"),
        ("network = mlp(64)", "FRL0213", "64"),
        ('network = mlp(["64"])', "FRL0213", '"64"'),
        ("network = mlp([64], layer_norm = 1)", "FRL0215", "1"),
        ("network = mlp([64], activation = true)", "FRL0215", "true"),
        ("network = 3", "FRL0213", "3"),
        ("network = none", "FRL0211", "none"),
        ("network = adam", "FRL0211", "adam"),
        ("optimizer = adam(-1)", "FRL0214", "-1"),
        ("optimizer = adam(fast)", "FRL0213", "fast"),
        ("optimizer = adam(learned(target_kl = 1))", "FRL0213", "learned(target_kl = 1)"),
        ("optimizer = adam(2 * linear(1 -> 2, over = 3))", "FRL0213", "2 * linear(1 -> 2, over = 3)"),
        ("optimizer = adam(linear(1 -> 2 -> 3, over = 9))", "FRL0255", "1 -> 2 -> 3"),
        ("optimizer = adam(10 ^ 400)", "FRL0224", "10 ^ 400"),
        ("optimizer = adam((-8) ^ 0.5)", "FRL0224", "(-8) ^ 0.5"),
        ("optimizer = adam(1e-3, learning_rate = 0.1)", "FRL0206", "learning_rate = 0.1"),
        ("target = copy(every = 10) from policy", "FRL0218", "policy"),
        ("target = copy", "FRL0209", "copy"),
    ],
)
def test_wrong_values(tmp_path: Path, text: str, code: str, where: str) -> None:
    found = resolve_text(tmp_path, policy(text))
    assert set(codes(found)) == {code}
    if len(found.diagnostics.errors) == 1 and "1 -> 2 -> 3" not in text:
        assert place(found, code) == where


def test_draws(tmp_path: Path) -> None:
    text = gaussian("act { explore = noise(0.1, clip = 0.5) from policy_target  evaluate = mean }")
    text = text.replace("= tanh_gaussian", "= tanh_gaussian  target = ema(0.01)")
    act = algorithm_of(resolve_text(tmp_path, text)).sections["act"]
    assert (act.explore.source, act.evaluate.source) == ("policy_target", "policy")
    assert act.explore.value.scale.name == "act.explore.scale"


@pytest.mark.parametrize("count", ["0", "-1", "2.5", "many", "noise(0.1)"])
def test_counts_of_draws(tmp_path: Path, count: str) -> None:
    block = f"improve likelihood_ratio {{ particles = {count} from policy  advantage = mean(Q(s, a), over = ensemble) }}"
    text = spec("policy { backbone = tanh_gaussian  old = copy(every = 2) }", CRITIC, block)
    assert codes(resolve_text(tmp_path, text)) in (["FRL0213"], ["FRL0214"])


def test_weights_of_the_terms(tmp_path: Path) -> None:
    text = spec(
        "param eta = 0.3 in [0, 1]",
        "policy { backbone = tanh_gaussian }",
        CRITIC,
        "improve eta * reparameterized {}",
        "improve (1 / 4) * reparameterized { objective = log_prob(s, a) }",
    )
    first, second = algorithm_of(resolve_text(tmp_path, text)).improvements
    assert (first.label, first.factor) == ("reparameterized", Scalar(name="eta"))
    assert (second.label, second.factor) == ("reparameterized_2", Scalar(name="reparameterized_2.factor", value=0.25))
    assert codes(resolve_text(tmp_path, text.replace("(1 / 4)", "(-1)"))) == ["FRL0214"]


def test_an_error_in_a_default_is_shown_at_its_owner(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, gaussian().replace("critic {}", "critic { target = none }"))
    assert codes(found) == ["FRL0212"] and place(found, "FRL0212") == "critic"
    assert found.diagnostics.errors[0].notes[-1].startswith("in the default `backup = r + discount")


def test_unread_declarations(tmp_path: Path) -> None:
    text = gaussian("param a1 = 1 in (0, 2]", "let b1 = 2", "def c1(x) = x", "def d1(x, y) = x")
    found = resolve_text(tmp_path, text)
    assert codes(found) == ["FRL0225"] * 5
    assert {d.message.split('"')[1] for d in found.diagnostics.errors} == {"a1", "b1", "c1", "d1", "y"}


def test_what_an_unchecked_block_mentions_counts_as_used(tmp_path: Path) -> None:
    text = spec(
        "param beta = 1 in (0, 2]", "policy { backbone = tanh_gaussian }", CRITIC, "improve magic { objective = beta }"
    )
    assert codes(resolve_text(tmp_path, text)) == ["FRL0211"]


@pytest.mark.parametrize("path", ["nowhere.flowrl", ".", "nowhere/at_all.flowrl", "qsmm", "", "\0"])
def test_files_that_cannot_be_read(path: str) -> None:
    found = resolve(path)
    assert found.algorithm is None and len(found.diagnostics.errors) == 1


LEARNED = "param scale = learned(0.3, target_entropy = -A, entropy = mixture(samples = 8, noise = scale))"


def test_what_a_parameter_learns_from_may_depend_on_the_parameter(tmp_path: Path) -> None:
    text = spec(
        "order = [critic, policy, scale] -> targets", DIFFUSION, CRITIC, IMPROVE, LEARNED, "act { explore = noise(scale) }"
    )
    learned = algorithm_of(resolve_text(tmp_path, text)).parameters["scale"].learned
    assert learned.entropy.noise == Scalar(name="scale")


def test_reading_itself_is_no_use_of_a_parameter(tmp_path: Path) -> None:
    text = spec("order = [critic, policy, scale] -> targets", DIFFUSION, CRITIC, IMPROVE, LEARNED)
    assert "FRL0225" in codes(resolve_text(tmp_path, text))


@pytest.mark.parametrize(("schedule", "lacks"), [("cosine", 3), ("linear(over = 9)", 2), ("linear(0.1 -> 0.2)", 1)])
def test_a_schedule_without_its_ends_is_an_error(tmp_path: Path, schedule: str, lacks: int) -> None:
    found = resolve_text(tmp_path, policy(f"optimizer = adam({schedule})"))
    assert codes(found) == ["FRL0209"] * lacks
