"""Warnings stand where somebody wrote the suspect value, and stay silent otherwise."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import flowrl_dsl.spec
from flowrl_dsl.registry import families
from tests.spec.helpers import CRITIC, GAUSSIAN, IMPROVE, algorithm_of, gaussian, place, resolve_text, spec

SPEC_ROOM = Path(flowrl_dsl.spec.__file__).parent


def warnings(folder: Path, text: str) -> list[str]:
    found = resolve_text(folder, text)
    algorithm_of(found)
    return [d.code for d in found.diagnostics.warnings]


def test_a_plain_spec_has_none(tmp_path: Path) -> None:
    assert warnings(tmp_path, gaussian()) == []


@pytest.mark.parametrize(
    ("statement", "code", "where"),
    [
        ("train { warmup = 255 }", "FRL0306", "255"),
        ("train { batch = 8000 }", "FRL0306", "8000"),
        ("train { replay = 200  batch = 300  warmup = 1000 }", "FRL0307", "200"),
        ("train { steps = 100 }", "FRL0308", "100"),
        ("act { explore = best_of(1) }", "FRL0304", "1"),
        ("act { explore = mean from policy }", "FRL0305", "mean from policy"),
    ],
)
def test_places(tmp_path: Path, statement: str, code: str, where: str) -> None:
    found = resolve_text(tmp_path, gaussian(statement))
    assert place(found, code) == where


@pytest.mark.parametrize("statement", ["train { warmup = 256 }", "train { replay = 5000 }", "act { explore = best_of(2) }"])
def test_values_at_the_border_are_fine(tmp_path: Path, statement: str) -> None:
    assert warnings(tmp_path, gaussian(statement)) == []


@pytest.mark.parametrize(
    ("value", "silent"),
    [("0", True), ("0.5", True), ("1", False), ("linear(0 -> 1, over = 100)", False), ("dual(0, at_most = 1)", False)],
)
def test_a_parameter_at_the_edge_of_its_range_unless_it_stays_zero(tmp_path: Path, value: str, silent: bool) -> None:
    improve = (
        "improve reparameterized { objective = (1 + beta) * mean(Q(s, a), over = ensemble) }  improve beta * imitation {}"
    )
    text = spec("policy { backbone = tanh_gaussian }", f"param beta = {value} in [0, 1]", CRITIC, improve)
    assert ("FRL0302" not in warnings(tmp_path, text)) is silent


@pytest.mark.parametrize(
    ("explore", "silent"),
    [("sample", False), ("noise(0)", False), ("best_of(4)", False), ("mean", False), ("noise(0.1)", True)],
)
def test_exploring_with_a_deterministic_policy(tmp_path: Path, explore: str, silent: bool) -> None:
    text = spec("policy { backbone = deterministic }", CRITIC, IMPROVE, f"act {{ explore = {explore} }}")
    assert warnings(tmp_path, text) == ([] if silent else ["FRL0305"])


def test_exploring_with_another_policy_than_the_one_that_is_improved(tmp_path: Path) -> None:
    """What counts is the policy that actions are drawn from, also through its copies."""
    behavior = "policy behavior {{ backbone = {}  {} improve reparameterized {{}} }}"
    fixed, kept = behavior.format("deterministic", ""), behavior.format("deterministic", "target = ema(0.005) ")
    assert warnings(tmp_path, gaussian(fixed, "act { explore = sample from behavior }")) == ["FRL0305"]
    assert warnings(tmp_path, gaussian(kept, "act { explore = sample from behavior_target }")) == ["FRL0305"]
    random = behavior.format("tanh_gaussian", "")
    text = spec("policy { backbone = deterministic }", CRITIC, IMPROVE, random, "act { explore = sample from behavior }")
    assert warnings(tmp_path, text) == []


def test_copies_of_every_section(tmp_path: Path) -> None:
    """The message names the function, or else the copy, that would read them."""
    behavior = "policy behavior { backbone = tanh_gaussian  target = ema(0.005)  improve reparameterized {} }"
    backup = "critic { target = ema(0.005)  backup = r + discount * (1 - d) * min(Q(s_next, a_next), over = ensemble) }"
    found = resolve_text(tmp_path, spec("policy { backbone = tanh_gaussian }", behavior, backup, IMPROVE))
    assert [d.message for d in found.diagnostics.warnings if d.code == "FRL0312"] == [
        '"critic.target" is kept, but nothing reads Q_target',
        '"behavior.target" is kept, but nothing reads behavior_target',
    ]
    read = gaussian(behavior, "act { evaluate = mean from behavior_target }")
    assert warnings(tmp_path, read) == []


def test_a_critic_whose_energy_the_policy_follows_is_read(tmp_path: Path) -> None:
    policy = "policy { backbone = energy  sampler = annealed_langevin }"
    critic = "critic { kind = noise_conditioned }"
    assert warnings(tmp_path, spec(policy, critic, "improve value_denoising {}")) == []


def test_a_schedule_of_a_parameter(tmp_path: Path) -> None:
    improve = "improve reparameterized { objective = beta * min(Q(s, a), over = ensemble) }"
    for ramp, expected in (("1 -> 1, over = 10", 1), ("1 -> 2, over = 2_000_000", 1), ("1 -> 2, over = 10", 0)):
        param = f"param beta = cosine({ramp}) in (0, 10]"
        assert warnings(tmp_path, spec(GAUSSIAN, CRITIC, param, improve)) == ["FRL0321"] * expected


def test_a_learning_rate_by_parameter_or_schedule(tmp_path: Path) -> None:
    policy = "policy {{ backbone = tanh_gaussian  optimizer = adam({}) }}"
    for rate in ("0.1", "linear(0.1 -> 1e-4, over = 10)", "rate"):
        param = "param rate = 0.1 in (0, 1)" if rate == "rate" else ""
        assert warnings(tmp_path, spec(param, policy.format(rate), CRITIC, IMPROVE)) == ["FRL0311"]
    assert warnings(tmp_path, spec(policy.format("1e-2"), CRITIC, IMPROVE)) == []


def test_gradients_behind_stop(tmp_path: Path) -> None:
    policy = "policy { backbone = diffusion  sampler = ddim }"
    target = "improve score_matching {{ target = grad(mean({}, over = ensemble), wrt = a_t) }}"
    assert warnings(tmp_path, spec(policy, CRITIC, target.format("Q(s, stop(a_t))"))) == ["FRL0318"]
    assert warnings(tmp_path, spec(policy, CRITIC, target.format("Q(s, stop(a_t)) * Q(s, a_t)"))) == []


def test_warnings_leave_the_algorithm(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, gaussian("act { evaluate = best_of(1) }"))
    assert algorithm_of(found).sections["act"].evaluate.value.n == 1
    assert not found.diagnostics.errors and len(found.diagnostics.warnings) == 1


LANGUAGE = {
    *("off_policy", "weight", "start", "end", "init", "value"),
    *("schedule", "learned", "target", "backbone", "sampler", "optimizer"),
    *("every", "over", "obs", "ensemble", "reverse", "reduction", "s"),
    *("updates", "steps", "copy", "after", "along", "train", "data"),
}
"""Words that are also those of the language: the default regime, the weight of a term, the ends of an arrow and the value at
the start; the value of a parameter; families; words of conditions, axes, two kinds of primitives, the ending of plurals; the
length of a phase and what it begins with; the section that a budget of a suite sets, and the data sets of a suite."""


@pytest.mark.parametrize("path", sorted(SPEC_ROOM.rglob("*.py")), ids=lambda p: str(p.relative_to(SPEC_ROOM)))
def test_the_checker_names_no_component_and_no_option(path: Path) -> None:
    """What is to be said about one of them it says itself, so that one of a plugin can, and a rename breaks nothing."""
    words = {word for text in _texts(ast.parse(path.read_text())) if " " not in text for word in text.split(".")}
    assert not words & _names() - LANGUAGE


def _texts(tree: ast.Module) -> list[str]:
    """The strings of a file that are not its prose."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose)
    return [node.value for node in found if isinstance(node.value, str)]


@cache
def _names() -> set[str]:
    """The names of all components, and those of their options."""
    components = [component for members in families().values() for component in members.values()]
    return {component.name for component in components} | {name for cls in components for name in cls.model_fields}
