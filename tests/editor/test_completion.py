"""What is proposed at each kind of place, and what of it is not."""

from __future__ import annotations

import pytest

from flowrl_dsl.axes import AXES
from flowrl_dsl.editor.completion import complete
from flowrl_dsl.formula import PRIMITIVES
from flowrl_dsl.registry import members_of, sections
from flowrl_dsl.resources import shipped_specs
from tests.editor.helpers import at

HEAD = "algorithm x {\n  regime = off_policy\n"
IMPROVE = HEAD + "  param temperature = 0.1\n  def twice(x) = 2 * x\n  improve score_matching {\n    let g = 1\n    "


def labels(text: str) -> list[str]:
    return [one.label for one in complete(*at(text)).proposals]


PLACES = [
    ("‸", {"algorithm"}, {"policy"}),
    ("algorithm x ‸", {"extends"}, {"algorithm"}),
    (HEAD + "  ‸", {*sections(), "paper", "order", "param", "let", "def", "improve", "for", "phase"}, {"regime", "mlp"}),
    (HEAD + "  po‸\n  act { explore = mean }\n}", {"policy", "param"}, {"act", "steps"}),
    (HEAD + "  regime = ‸", {*members_of("regime")}, {"policy"}),
    (HEAD + "  order = critic -> ‸", {"policy", "targets", "every", "critic_target"}, {"mlp", "let"}),
    (HEAD + "  param alpha_ = learned(1)\n  order = [‸", {"policy", "alpha_"}, set()),
    (HEAD + "  improve ‸", {*members_of("mechanism")}, {"policy"}),
    (HEAD + "  policy {\n    ‸\n    network = mlp([1])", {"backbone", "sampler", "improve"}, {"network", "steps", "let"}),
    (HEAD + "  act { exp‸lore = mean }", {"explore", "evaluate"}, {"policy"}),
    (HEAD + "  policy { backbone = ‸", {*members_of("backbone")}, {"mlp", "none"}),
    (HEAD + "  policy { sampler = ‸", {*members_of("sampler"), "none"}, {"mlp"}),
    (HEAD + "  policy { sampler = dd‸\n  }\n  act { explore = sample }\n}", {*members_of("sampler")}, {"mlp"}),
    (HEAD + "  policy { sampler = ddpm(‸", {"steps", "clip"}, {"sampler", "relu"}),
    (HEAD + "  policy { sampler = ddpm(steps = 3, ‸", {"clip"}, {"steps"}),
    (HEAD + "  policy { network = mlp([256], activation = ‸", {"relu", "mish"}, {"mlp", "true"}),
    (HEAD + "  policy { optimizer = adam(‸", {"learning_rate", "linear"}, {"mlp"}),
    (HEAD + "  act { explore = best_of(4) from ‸", {"policy", "policy_target", "old_policy"}, {"Q"}),
    (HEAD + "  act { explore = best_of(4) ‸", {"from", "evaluate"}, {"explore"}),
    (HEAD + "  policy behavior { }\n  act { explore = best_of(4) from ‸", {"behavior", "behavior_target"}, set()),
    (HEAD + "  param t = ‸", {"linear", "learned"}, {"mlp"}),
    (HEAD + "  param t = 1 ‸", {"in"}, {"from"}),
    (HEAD + "  for ‸", {"task"}, {"policy"}),
    (HEAD + '  for task "a" {\n    ‸', {"policy", "improve"}, {"for"}),
    (HEAD + "  phase warm {\n    ‸", {"updates", "order", "begin"}, {"policy"}),
    (HEAD + "  phase warm { begin = [‸", {"copy", "reset"}, {"every"}),
    (HEAD + "  phase warm { begin = [reset(‸", {"policy", "critic", "optimizers"}, {"every"}),
    (
        IMPROVE + "target = ‸",
        {"a_t", "sigma", "s", "g", "temperature", "twice", "top1", "Q", "eps", "grad", *PRIMITIVES},
        {"log_prob"},
    ),
    (IMPROVE + "target = mean(g, over = ‸", {*AXES}, {"a_t", "mean"}),
    (IMPROVE + "target = mean(g, over = [batch, ‸", {*AXES}, {"a_t", "mean"}),
    (IMPROVE + "target = mean(g, ‸", {"over", "a_t"}, {"wrt"}),
    (IMPROVE + "target = grad(mean(Q(s, a_t)), ‸", {"wrt"}, {"over"}),
    (IMPROVE + "target = grad(mean(Q(s, a_t)), wrt = ‸", {"a_t", "a"}, {"mean", "g"}),
    (HEAD + "  def f(one, two) = ‸", {"one", "two", "softmax_weights", "a_t"}, {"f"}),
    (HEAD + "  # a comment ‸", set(), {"policy"}),
    (HEAD + '  paper = "‸"', set(), {"policy"}),
    (HEAD + "  nothing { x = ‸", set(), {"policy", "mlp"}),
]


@pytest.mark.parametrize(("text", "there", "absent"), PLACES, ids=range(len(PLACES)))
def test_proposals(text: str, there: set[str], absent: set[str]) -> None:
    found = labels(text)
    assert there <= {*found}, there - {*found}
    assert not absent & {*found}
    assert len(found) == len({*found})


def test_the_whole_word_is_replaced_and_options_are_assigned() -> None:
    found = complete(*at(HEAD + "  policy { back‸bone"))
    assert (found.span.column, found.span.end_column) == (12, 20)
    (backbone,) = [one for one in found.proposals if one.label == "backbone"]
    assert backbone.insert == "backbone = " and "type of policy distribution" in backbone.text


def test_documents_of_proposals() -> None:
    texts = {one.label: one.text for one in complete(*at(HEAD + "  policy { backbone = ‸")).proposals}
    assert "arXiv:2011.13456" in texts["diffusion"] and "alpha_t" in texts["diffusion"]
    texts = {one.label: one.text for one in complete(*at(IMPROVE + "target = ‸")).proposals}
    assert "def top1(q) = best(q, over = particle)" in texts["top1"] and "All weight on the best" in texts["top1"]
    assert "[batch, action]" in texts["a_t"]


def test_specs_to_extend(tmp_path) -> None:
    (tmp_path / "mine.flowrl").write_text("")
    (tmp_path / "other.flowrl").write_text("")
    found = complete(*at('algorithm x extends "dp‸md" {', str(tmp_path / "mine.flowrl")))
    assert found.proposals[0].label == '"other.flowrl"'
    assert {one.label for one in found.proposals[1:]} == {f'"{name}.flowrl"' for name in shipped_specs()}
    assert (found.span.column, found.span.end_column) == (21, 27)
