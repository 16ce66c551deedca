"""What components need of one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.helpers import CRITIC, DIFFUSION, GAUSSIAN, algorithm_of, codes, place, resolve_text, spec

SCORE = "improve score_matching { target = -sigma * grad(mean(Q(s, a_t), over = ensemble), wrt = a_t) }"
RATIO = "improve likelihood_ratio { advantage = mean(Q(s, a), over = ensemble) }"
PLAIN = "improve reparameterized {}"


@pytest.mark.parametrize(
    ("parts", "needs", "where"),
    [
        ((GAUSSIAN, CRITIC, SCORE), {"noise_prediction", "noise_process"}, None),
        ((DIFFUSION, CRITIC, RATIO), {"log_prob"}, "likelihood_ratio"),
        (("policy { backbone = diffusion }", CRITIC, PLAIN), {"diffusion_sampler"}, "diffusion"),
        (
            (GAUSSIAN, "improve reparameterized { objective = log_prob(s, a) }", "act { evaluate = best_of(3) }"),
            {"q_value"},
            "best_of(3)",
        ),
        ((DIFFUSION, CRITIC, PLAIN, "act { evaluate = mean }"), {"mode"}, "mean"),
        ((DIFFUSION, CRITIC, "improve reparameterized { objective = log_prob(s, a) }"), {"log_prob"}, "log_prob(s, a)"),
        (
            (
                GAUSSIAN,
                "critic { target = none  backup = r }",
                "improve reparameterized { objective = min(Q_target(s, a), over = ensemble) }",
            ),
            {"q_target"},
            "Q_target(s, a)",
        ),
        ((GAUSSIAN, PLAIN), {"q_value"}, "reparameterized"),
        (
            (
                GAUSSIAN,
                CRITIC,
                "param k = learned(target_kl = 1) in (0, inf)",
                "improve reparameterized { objective = k * log_prob(s, a) }",
            ),
            {"kl"},
            "learned(target_kl = 1)",
        ),
    ],
)
def test_missing_capabilities(tmp_path: Path, parts: tuple[str, ...], needs: set[str], where: str | None) -> None:
    found = resolve_text(tmp_path, spec(*parts))
    assert set(codes(found)) == {"FRL0212"}
    assert {d.message.split(" needs ")[1].split(",")[0] for d in found.diagnostics.errors} == needs
    if where is not None:
        assert place(found, "FRL0212") == where


def test_the_message_names_who_has_it(tmp_path: Path) -> None:
    (error,) = resolve_text(tmp_path, spec(DIFFUSION, CRITIC, RATIO)).diagnostics.errors
    wanted = 'likelihood_ratio needs log_prob, which backbone "diffusion" with sampler "ddpm" does not provide'
    assert error.message == wanted
    assert error.notes[-1].startswith("backbone") and "tanh_gaussian" in error.notes[-1]


@pytest.mark.parametrize("copy", ["policy_target", "old_policy"])
def test_copies_that_are_not_kept(tmp_path: Path, copy: str) -> None:
    block = f"improve likelihood_ratio {{ particles = 4 from {copy}  advantage = mean(Q(s, a), over = ensemble) }}"
    found = resolve_text(
        tmp_path,
        spec(GAUSSIAN.replace("}", " old = copy(every = 2) }") if copy != "old_policy" else GAUSSIAN, CRITIC, block),
    )
    assert codes(found) == ["FRL0220"] and place(found, "FRL0220") == copy
    assert "to the policy" in found.diagnostics.errors[0].notes[0]


def test_a_sampler_nobody_uses_is_one_error(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, spec(GAUSSIAN.replace("}", " sampler = ddpm }"), CRITIC, PLAIN))
    assert codes(found) == ["FRL0226"] and place(found, "FRL0226") == "ddpm"


def test_a_policy_that_is_never_drawn_from_needs_no_sampler(tmp_path: Path) -> None:
    """Its error alone is read; where an action is drawn from it, a sampler must be there."""
    behavior = "policy behavior { backbone = flow  improve imitation {} }"
    cost = "improve reparameterized { objective = -denoising_loss(s, a) from behavior }"
    algorithm_of(resolve_text(tmp_path, spec(GAUSSIAN, CRITIC, behavior, cost)))
    drawn = "improve weighted_regression { particles = 2 from behavior  weight = 1 }"
    found = resolve_text(tmp_path, spec(GAUSSIAN, CRITIC, behavior, drawn))
    assert codes(found) == ["FRL0212"] and place(found, "FRL0212") == "flow"


@pytest.mark.parametrize(
    ("behavior", "student", "wrong"),
    [
        ("backbone = flow  sampler = euler(2)", "backbone = generator(noise = none)", ""),
        ("backbone = diffusion  sampler = ddim(2)", "backbone = flow  sampler = midpoint(1)", ""),
        ("backbone = diffusion  sampler = ddpm(2)", "backbone = generator(noise = none)", "distillation"),
        ("backbone = flow  sampler = euler(2)", "backbone = generator", "distillation"),
    ],
)
def test_teacher_and_student_map_noise(tmp_path: Path, behavior: str, student: str, wrong: str) -> None:
    both = f"policy behavior {{ {behavior}  improve imitation {{}} }}", f"policy {{ {student} }}"
    found = resolve_text(tmp_path, spec("regime = offline", *both, "improve distillation { draws = 1 from behavior }"))
    assert codes(found) == (["FRL0212"] if wrong else [])
    assert all(wrong in error.message and "noise_map" in error.message for error in found.diagnostics.errors)


def test_several_next_actions_are_asked_for(tmp_path: Path) -> None:
    backup = "backup = r + max(min(Q_target(s_next, a_nexts), over = ensemble))"
    found = resolve_text(tmp_path, spec(GAUSSIAN, f"critic {{ {backup} }}", PLAIN))
    assert len(codes(found)) == 1 and "next_actions = 10 from policy" in found.diagnostics.errors[0].message
    found = resolve_text(tmp_path, spec(GAUSSIAN, f"critic {{ next_actions = 3 from policy  {backup} }}", PLAIN))
    algorithm_of(found)
    found = resolve_text(tmp_path, spec(GAUSSIAN, "critic { next_actions = 3 from policy }", PLAIN))
    assert codes(found) == ["FRL0226"]


def test_a_multiplier_needs_what_it_follows(tmp_path: Path) -> None:
    eta = "param eta = dual(1.0, of = imitation_error) in [0.1, 10]"
    flow = "policy { backbone = flow  sampler = euler(2) }"
    algorithm_of(resolve_text(tmp_path, spec("regime = offline", eta, flow, "improve eta * imitation {}")))
    found = resolve_text(tmp_path, spec(eta, GAUSSIAN, CRITIC, "improve eta * reparameterized {}"))
    assert codes(found) == ["FRL0212"] and "imitation_error" in found.diagnostics.errors[0].message
    order = "order = [eta -> policy]"
    found = resolve_text(tmp_path, spec("regime = offline", order, eta, flow, "improve eta * imitation {}"))
    assert codes(found) == ["FRL0235"]


def test_parts_with_errors_are_given_the_benefit_of_the_doubt(tmp_path: Path) -> None:
    found = resolve_text(tmp_path, spec("policy { backbone = gausian }", "critic { target = emma(1) }", SCORE))
    assert codes(found) == ["FRL0211", "FRL0211"]
    found = resolve_text(
        tmp_path, spec("policy { backbone = diffusion(obs = 3)  sampler = ddpm(steps = 0) }", CRITIC, SCORE)
    )
    assert codes(found) == ["FRL0213", "FRL0214"]


def test_options_that_only_the_backup_reads(tmp_path: Path) -> None:
    critic = "critic { discount = 0.5  next_action = best_of(2)  backup = r + min(Q_target(s, a), over = ensemble) }"
    found = resolve_text(tmp_path, spec(GAUSSIAN, critic, PLAIN))
    assert codes(found) == ["FRL0226", "FRL0226"]
    algorithm_of(resolve_text(tmp_path, spec(GAUSSIAN, "critic { backup = r }", PLAIN)))
