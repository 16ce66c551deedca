"""Sections with a name of their own: two policies in one algorithm."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrl_dsl.algorithm import stage_names
from flowrl_dsl.resources import folder
from flowrl_dsl.spec.compare import compare
from flowrl_dsl.spec.resolve import Resolution, resolve
from flowrl_dsl.spec.show import show
from flowrl_dsl.syntax.formatter import format_file
from flowrl_dsl.syntax.parser import parse
from tests.spec.helpers import codes

TD3 = folder("specs") / "td3.flowrl"
BEHAVIOR = """policy behavior {
    backbone = diffusion
    sampler  = ddim(steps = 4)
    target   = ema(0.01)
    improve weighted_regression { particles = 4 from policy  weight = 1 }
  }"""


def two(tmp_path: Path, *parts: str, sets: tuple[str, ...] = (), task: str | None = None) -> Resolution:
    """td3 with these parts; it updates the policy ``behavior`` before the one that acts."""
    body = "\n  ".join(("order = critic -> behavior -> policy -> targets", *parts))
    path = tmp_path / "two.flowrl"
    path.write_text(f'algorithm two extends "{TD3}" {{\n  {body}\n}}\n')
    return resolve(str(path), task=task, sets=sets)


def checked(found: Resolution):
    assert not found.diagnostics.errors, [d.message for d in found.diagnostics.errors]
    return found.algorithm


def test_a_named_policy_is_a_section_and_a_stage_of_its_own(tmp_path: Path) -> None:
    of = checked(two(tmp_path, BEHAVIOR, "act { evaluate = sample from behavior_target }"))
    assert of.sections["behavior"].backbone.name == "diffusion" and of.sections["policy"].backbone.name == "deterministic"
    assert stage_names(of.order) == ["critic", "behavior", "policy", "targets"]
    assert [(b.label, b.owner) for b in of.improvements] == [
        ("reparameterized", "policy"),
        ("behavior_weighted_regression", "behavior"),
    ]
    assert of.sections["act"].evaluate.source == "behavior_target"


def test_its_resolved_text_means_the_same_and_is_laid_out_as_the_formatter_does(tmp_path: Path) -> None:
    of = checked(two(tmp_path, BEHAVIOR))
    text = show(of)
    assert "policy behavior {" in text and format_file(parse(text, "again")[0]) == text
    (tmp_path / "again.flowrl").write_text(text)
    again = checked(resolve(str(tmp_path / "again.flowrl")))
    assert compare(of, again) == [] and show(again) == text


def test_a_difference_names_the_section(tmp_path: Path) -> None:
    left = checked(two(tmp_path, BEHAVIOR))
    right = checked(two(tmp_path, BEHAVIOR.replace("steps = 4", "steps = 8").replace("4 from policy", "2 from policy")))
    found = {d.path: (d.left, d.right) for d in compare(left, right)}
    assert found == {
        "behavior.sampler.steps": ("4", "8"),
        "behavior_weighted_regression.particles": ("4 from policy", "2 from policy"),
    }


def test_overrides_and_tasks_reach_it(tmp_path: Path) -> None:
    task = 'for task "Hopper-v5" { policy behavior { sampler = ddim(steps = 9)  improve 2 * weighted_regression {} } }'
    sets = ("behavior.target.rate=0.5", "behavior_weighted_regression.particles=3 from policy")
    of = checked(two(tmp_path, BEHAVIOR, task, sets=sets, task="Hopper-v5"))
    behavior, block = of.sections["behavior"], of.improvements[1]
    assert behavior.sampler.steps == 9 and behavior.target.rate.value == 0.5
    assert block.factor.value == 2 and block.mechanism.particles.value == 3
    plain = checked(two(tmp_path, BEHAVIOR, task))
    assert plain.sections["behavior"].sampler.steps == 4


def test_a_child_replaces_the_improve_blocks_of_the_section_it_writes_alone(tmp_path: Path) -> None:
    checked(two(tmp_path, BEHAVIOR))
    child = tmp_path / "child.flowrl"
    block = "policy behavior { improve selection { particles = 2 from policy } }"
    child.write_text(f'algorithm child extends "two.flowrl" {{ {block} }}\n')
    of = checked(resolve(str(child)))
    assert [b.label for b in of.improvements] == ["reparameterized", "behavior_selection"]
    assert of.sections["behavior"].sampler.name == "ddim"


@pytest.mark.parametrize(
    ("part", "code", "message"),
    [
        ("critic safe { ensemble = 3 }", "FRL0205", 'section "critic" occurs once and cannot be named'),
        ("critic { improve drift { field = a } }", "FRL0205", "has no policy and cannot contain an improve block"),
        (BEHAVIOR.replace("behavior", "key"), "FRL0227", "a group of the state"),
        (BEHAVIOR.replace("behavior", "policy_target"), "FRL0227", "a group of section policy"),
        (BEHAVIOR.replace("behavior", "critic"), "FRL0227", "cannot be declared"),
        ("policy behavior { backbone = deterministic }", "FRL0210", "has no improve block"),
        (BEHAVIOR + "  param behavior = 1.0", "FRL0206", 'section "behavior" takes the name of a param'),
        (
            BEHAVIOR.replace("ddim(steps = 4)", "none") + " act { evaluate = sample from behavior }",
            "FRL0212",
            "which no sampler provides",
        ),
        (
            "policy behavior { backbone = deterministic  improve weighted_regression { weight = 1  clip_error = 1 } }",
            "FRL0212",
            "noise_prediction",
        ),
        (BEHAVIOR.replace("target   = ema(0.01)", "") + " act { explore = sample from behavior_target }", "FRL0220", "keep"),
    ],
)
def test_mistakes_have_a_code_and_a_place(tmp_path: Path, part: str, code: str, message: str) -> None:
    found = two(tmp_path, part)
    assert code in codes(found), codes(found)
    error = next(d for d in found.diagnostics.errors if d.code == code)
    assert message in error.message and error.span is not None and error.span.file.endswith("two.flowrl")


def test_what_chooses_an_action_needs_what_the_policy_that_it_is_drawn_from_provides(tmp_path: Path) -> None:
    """The mode of a Gaussian is there although the policy that acts, a diffusion, has none."""
    path = tmp_path / "two.flowrl"
    block = "improve weighted_regression { particles = 2 from policy  weight = 1 }"
    path.write_text(
        'algorithm two extends "qsm.flowrl" {\n  order = critic -> targets -> policy -> gauss\n'
        f"  policy gauss {{ backbone = tanh_gaussian  target = ema(0.1)  {block} }}\n"
        "  act { explore = mean from gauss  evaluate = mean from gauss_target }\n}\n"
    )
    of = checked(resolve(str(path)))
    assert of.sections["act"].explore.source == "gauss"


def test_what_another_policy_provides_meets_no_need_of_this_one(tmp_path: Path) -> None:
    """The diffusion of ``behavior`` gives the deterministic policy no noise process."""
    found = two(tmp_path, BEHAVIOR, "improve score_matching { target = noise }")
    assert codes(found) == ["FRL0212", "FRL0212"]
