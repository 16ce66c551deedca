"""Phases as the checker reads them: their orders, what they begin with, printing, differences, inheritance, overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.algorithm import (
    Begin,
    Condition,
    CopyParameters,
    Phase,
    ResetOptimizers,
    Single,
    Then,
    When,
    order_of_phases,
    show_stage,
    starts,
)
from flowrl_dsl.resources import folder
from flowrl_dsl.spec.compare import compare
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.show import show
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from tests.spec.helpers import codes

TD3 = folder("specs") / "td3.flowrl"
PRETRAIN = "phase pretrain { updates = 1_000  order = critic -> targets }"
MAIN = "phase main { order = critic -> [policy, targets]  begin = [reset(policy), copy(policy_target, policy)] }"


def phased(tmp_path: Path, *parts: str, sets: tuple[str, ...] = (), base: str = str(TD3), name: str = "two") -> Resolution:
    path = tmp_path / f"{name}.flowrl"
    path.write_text(f'algorithm {name} extends "{base}" {{\n  ' + "\n  ".join(parts) + "\n}\n")
    return resolve(str(path), sets=sets)


def checked(found: Resolution):
    assert not found.diagnostics.errors, [d.message for d in found.diagnostics.errors]
    return found.algorithm


def test_phases_in_the_order_written(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, PRETRAIN, MAIN))
    assert [(phase.name, phase.updates) for phase in of.phases] == [("pretrain", 1000), ("main", None)]
    assert of.phases[1].begin == (ResetOptimizers(("policy",)), CopyParameters("policy_target", "policy"))
    assert [show_stage(phase.order) for phase in of.phases] == ["critic -> targets", "critic -> [policy, targets]"]
    assert of.origins["pretrain.updates"].text == "1_000" and of.place("main") is not None


def test_one_order_is_composed_of_those_of_the_phases() -> None:
    critic, policy = Single("critic"), Single("policy")
    reset = ResetOptimizers(("policy",))
    phases = (Phase("a", critic, 5), Phase("b", Then((critic, policy)), 7, (reset,)), Phase("c", policy, 2))
    assert starts(phases) == [0, 5, 12]
    assert order_of_phases(phases) == Then(
        (
            When(Condition(until=5), critic),
            When(Condition(after=5, until=6), Begin((reset,))),
            When(Condition(after=5, until=12), Then((critic, policy))),
            When(Condition(after=12), policy),
        )
    )


def test_one_phase_is_the_order_itself(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, "phase main { updates = 50  order = policy -> critic -> targets }"))
    assert show_stage(of.order) == "policy -> critic -> targets"


def test_a_phase_without_an_order_has_that_of_the_algorithm(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, PRETRAIN, "phase main { }"))
    assert of.phases[1].order == checked(resolve(str(TD3))).order
    assert of.origins["main.order"].source == "default"


def test_its_resolved_text_means_the_same_and_is_laid_out_as_the_formatter_does(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, PRETRAIN, MAIN))
    text = show(of)
    assert "phase main {" in text and format_file(parse(text, "again")[0]) == text
    (tmp_path / "again.flowrl").write_text(text)
    again = checked(resolve(str(tmp_path / "again.flowrl")))
    assert again.phases == of.phases and compare(of, again) == [] and show(again) == text


def test_reset_of_all_optimizers_names_them(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, PRETRAIN, "phase main { begin = reset(optimizers) }"))
    assert of.phases[1].begin == (ResetOptimizers(("critic", "policy")),)


def test_a_derived_spec_replaces_options_of_a_phase_and_appends_others(tmp_path: Path) -> None:
    phased(tmp_path, PRETRAIN, "phase main { updates = 10  order = policy }", name="base")
    parts = ("phase main { updates = 20 }", "phase last { order = critic }")
    of = checked(phased(tmp_path, *parts, base="base.flowrl"))
    assert [(p.name, p.updates, show_stage(p.order)) for p in of.phases] == [
        ("pretrain", 1000, "critic -> targets"),
        ("main", 20, "policy"),
        ("last", None, "critic"),
    ]


def test_differences_name_the_phase(tmp_path: Path) -> None:
    left = checked(phased(tmp_path, PRETRAIN, MAIN))
    right = checked(phased(tmp_path, PRETRAIN, MAIN, sets=("pretrain.updates=5", "main.begin=reset(policy)")))
    assert [(one.path, one.left, one.right) for one in compare(left, right)] == [
        ("pretrain.updates", "1000", "5"),
        ("main.begin", "[reset(policy), copy(policy_target, policy)]", "[reset(policy)]"),
    ]
    without = checked(resolve(str(TD3)))
    assert {one.path for one in compare(left, without)} > {"phases", "order", "pretrain.order"}


@pytest.mark.parametrize(
    ("value", "note"), [("pretrain.update=5", "updates"), ("pretrain=5", "its options are"), ("main.order.x=5", "")]
)
def test_overrides_of_what_a_phase_has_not(tmp_path: Path, value: str, note: str) -> None:
    found = phased(tmp_path, PRETRAIN, MAIN, sets=(value,))
    assert codes(found) == ["FRL0261"] and note in str(found.diagnostics.errors[0].notes)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (("phase pretrain { order = critic }", MAIN), "FRL0237"),
        (("phase pretrain { updates = 0 }", MAIN), "FRL0237"),
        (("phase pretrain { updates = 1.5 }", MAIN), "FRL0237"),
        (("phase pretrain { updates = 1 / 0 }", MAIN), "FRL0237"),
        (("phase { updates = 3 }", MAIN), "FRL0237"),
        (("phase pretrain { updates = 2_000_000_000 }", "phase main { updates = 2_000_000_000 }"), "FRL0237"),
        (("phase pretrain { updates = 3  epochs = 4 }", MAIN), "FRL0208"),
        (("phase pretrain { updates = 3  steps = 4 }", MAIN), "FRL0259"),
        (("phase pretrain { steps = 4 }", MAIN), "FRL0259"),
        (("phase main { steps = 4 }",), "FRL0259"),
        (("phase pretrain { updates = 3  let x = 4 }", MAIN), "FRL0205"),
        (("phase policy { updates = 3 }", MAIN), "FRL0227"),
        ((PRETRAIN, PRETRAIN, MAIN), "FRL0206"),
        (("param pretrain = 3", PRETRAIN, MAIN), "FRL0206"),
        ((PRETRAIN, "phase main { order = critic }"), "FRL0232"),
        ((PRETRAIN, "phase main { order = critic -> policy -> critic }"), "FRL0233"),
        ((PRETRAIN, "phase main { order = actor }"), "FRL0231"),
        ((PRETRAIN, "phase main { begin = [] }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = reset() }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = reset(targets) }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = copy(policy) }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = copy(policy, policy) }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = copy(behavior, policy) }"), "FRL0238"),
        ((PRETRAIN, "phase main { begin = copy(policy_target, critic) }"), "FRL0238"),
    ],
)
def test_every_mistake_has_its_code(tmp_path: Path, parts: tuple[str, ...], code: str) -> None:
    found = phased(tmp_path, *parts)
    assert code in codes(found) and all(d.span is not None for d in found.diagnostics)


def test_copies_between_policies_with_other_networks(tmp_path: Path) -> None:
    behavior = "policy behavior { backbone = deterministic  network = mlp([3])  improve imitation { } }"
    found = phased(
        tmp_path,
        behavior,
        "phase pretrain { updates = 9 }",
        "phase main { begin = copy(behavior, policy) }",
        "order = critic -> behavior -> policy -> targets",
    )
    assert codes(found) == ["FRL0239"]
    assert found.diagnostics.errors[0].notes[0].startswith("behavior.network = mlp(")


def test_a_parameter_is_learned_in_phases_that_measure(tmp_path: Path) -> None:
    parts = ("phase warm { updates = 9  order = critic -> temperature -> targets }", "phase main { }")
    assert "FRL0235" in codes(phased(tmp_path, *parts, base=str(folder("specs") / "dpmd.flowrl")))


IQL = folder("specs") / "iql.flowrl"
OFFLINE = "phase offline { updates = 50_000 }"


def test_the_last_phase_of_an_offline_algorithm_may_act(tmp_path: Path) -> None:
    """Printed, compared and overridden as updates are; the run lasts as long as both."""
    of = checked(phased(tmp_path, OFFLINE, "phase online { steps = 10_000 }", "train { updates = 5 }", base=str(IQL)))
    assert [(phase.updates, phase.steps) for phase in of.phases] == [(50_000, None), (None, 10_000)]
    assert of.regime.collects(of) and of.regime.taken(of) == "offline_to_online"
    assert of.sections["train"].in_phases(of) == {"steps": 20_000, "offline": 10_000}
    (tmp_path / "printed.flowrl").write_text(show(of))
    assert checked(resolve(str(tmp_path / "printed.flowrl"))).phases == of.phases
    parts = (OFFLINE, "phase online { steps = 10_000 }", "train { updates = 5 }")
    longer = checked(phased(tmp_path, *parts, base=str(IQL), sets=("online.steps=20_000",), name="longer"))
    assert [(d.path, d.left, d.right) for d in compare(of, longer)] == [("online.steps", "10000", "20000")]


def test_an_algorithm_without_such_a_phase_collects_nothing(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, OFFLINE, base=str(IQL)))
    assert not of.regime.collects(of) and of.regime.taken(of) == "offline"
    assert of.sections["train"].in_phases(of) == {"steps": 50_000}


def test_written_steps_that_phases_make_void_are_reported(tmp_path: Path) -> None:
    found = phased(tmp_path, OFFLINE, "train { steps = 1_000 }", base=str(IQL))
    warned = [d.message for d in found.diagnostics.found if d.code == "FRL0319"]
    assert warned == ['"train.steps" has no effect: the phases last 50000 steps; --steps can change that']
    assert checked(found).sections["train"].in_phases(found.algorithm)["steps"] == 50_000


def test_a_length_of_none_is_one_left_out(tmp_path: Path) -> None:
    of = checked(phased(tmp_path, base="qc", sets=("regime=off_policy", "online.steps=none")))
    assert [(phase.updates, phase.steps) for phase in of.phases] == [(1_000_000, None), (None, None)]
    (tmp_path / "again.flowrl").write_text(show(of))
    assert checked(resolve(str(tmp_path / "again.flowrl"))).phases == of.phases
    missing = phased(tmp_path, base="qc", sets=("offline.updates=none",))
    assert codes(missing) == ["FRL0237"] and "sets no updates" in missing.diagnostics.errors[0].message


def test_a_derived_spec_counts_a_phase_in_steps_instead_of_updates(tmp_path: Path) -> None:
    parts = (OFFLINE, "phase online { updates = 5 }")
    phased(tmp_path, *parts, base=str(IQL), name="base")
    of = checked(phased(tmp_path, "phase online { updates = none  steps = 7 }", base="base.flowrl"))
    assert [(phase.updates, phase.steps) for phase in of.phases] == [(50_000, None), (None, 7)]
